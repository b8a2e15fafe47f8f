import { type User, type Users } from '../accounts/user.js'
import { AuthError } from '../errors.js'
import { toAppClaims, type AppClaims } from '../tokens/claims.js'
import { assertFound } from '../tokens/subject.js'
import { type RequestContext } from '../events.js'

/** The option `accessToken.claims`: the app's own claims of a user. */
type MakeAppClaims = (user: User) => Promise<AppClaims> | AppClaims

/** The app's functions that load a user and its claims. */
export interface UserSource {
  readonly findById?: Users['findById'] | undefined
  /** Called for every access token. */
  readonly appClaims?: MakeAppClaims | undefined
}

/** Throws FST_AUTH_USER_REFUSED for an unknown or disabled user, a TypeError for another user, or for rows in place of one. */
export async function findUser (findById: NonNullable<Users['findById']>, subject: string, { bounded }: RequestContext): Promise<User> {
  const user = await bounded(() => findById(subject))
  if (!isAccepted(user, subject)) throw refusalOf(user)
  return user
}

function isAccepted (user: User | null | undefined, subject: string): user is User {
  if (user == null) return false
  assertFound(Object(user).id, subject) // an empty list of rows, or false, has no id
  return !user.disabled
}

/** Throws a TypeError for a result that is no set of claims: a bug of the app, which no retry mends. */
export async function makeAppClaims (make: MakeAppClaims, user: User, { bounded }: RequestContext): Promise<AppClaims> {
  return toAppClaims(await bounded(() => make(user)), user.passwordHash)
}

/**
 * The app's claims of a login: those of the user, who is loaded unless `user` is given, and over them its own. Throws
 * FST_AUTH_USER_REFUSED for an unknown or disabled user.
 */
export async function claimsOfLogin (subject: string, user: User | undefined, own: AppClaims | undefined, { findById, appClaims }: UserSource, context: RequestContext): Promise<AppClaims> {
  const owner = user ?? (findById === undefined ? null : await findUser(findById, subject, context))
  if (owner?.disabled) throw refusalOf(owner)
  const made = appClaims === undefined || owner === null ? {} : await makeAppClaims(appClaims, owner, context)
  return own === undefined ? made : toAppClaims({ ...made, ...toAppClaims(own) }, owner?.passwordHash)
}

/**
 * The app's own claims of a subject, from its user; empty without a user table. Rejects with FST_AUTH_USER_REFUSED for an
 * unknown or disabled user, after `onRefused`. It is not async and does not call `findUser`: that saves a refresh four promises.
 */
export function loadAppClaims (subject: string, { findById, appClaims }: UserSource, context: RequestContext, onRefused?: () => Promise<unknown>): Promise<AppClaims> {
  if (findById === undefined) return Promise.resolve({})
  return context.bounded(() => findById(subject)).then(user => {
    if (!isAccepted(user, subject)) return refuseUser(user, onRefused)
    return appClaims === undefined ? {} : makeAppClaims(appClaims, user, context)
  })
}

async function refuseUser (user: User | null | undefined, onRefused: (() => Promise<unknown>) | undefined): Promise<never> {
  await onRefused?.()
  throw refusalOf(user)
}

function refusalOf (user: User | null | undefined): AuthError {
  return new AuthError('FST_AUTH_USER_REFUSED', { reason: user == null ? '"users.findById", which gets the id as text, found no user' : 'the user is disabled' })
}
