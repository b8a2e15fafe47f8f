import { type User, type Users } from '../accounts/user.js'
import { AuthError } from '../errors.js'
import { toAppClaims, type AppClaims } from '../tokens/claims.js'
import { type RequestContext } from '../audit/events.js'

/** The option `accessToken.claims`: the app's own claims of a user. */
export type MakeAppClaims = (user: User) => Promise<AppClaims> | AppClaims

/** Throws FST_AUTH_USER_REFUSED for an unknown or disabled user. */
export async function findUser (findById: NonNullable<Users['findById']>, subject: string, { bounded }: RequestContext): Promise<User> {
  const user = await bounded(() => findById(subject)) ?? null
  if (user === null) throw new AuthError('FST_AUTH_USER_REFUSED', { reason: '"users.findById" found no user' })
  if (user.disabled) throw new AuthError('FST_AUTH_USER_REFUSED', { reason: 'the user is disabled' })
  return user
}

export async function makeAppClaims (make: MakeAppClaims, user: User, { bounded }: RequestContext): Promise<AppClaims> {
  return await bounded(async () => toAppClaims(await make(user)))
}

/** The app's own claims of a subject, from its user; empty without a user table. Throws FST_AUTH_USER_REFUSED. */
export async function loadAppClaims (subject: string, findById: Users['findById'] | undefined, make: MakeAppClaims | undefined, context: RequestContext): Promise<AppClaims> {
  if (findById === undefined) return {}
  const user = await findUser(findById, subject, context)
  return make === undefined ? {} : await makeAppClaims(make, user, context)
}
