import { type AccessClaims } from '../core/claims.js'
import { type RequestContext } from '../core/events.js'
import { restated } from '../errors.js'
import { type FormatGrant, type Grant, type GrantRoute } from './grant.js'
import { type JsonSchema } from './json-schema.js'

/** Whom a grant is for: the request, and the claims of its access token. */
export interface Grantee extends Pick<RequestContext, 'bounded'> {
  readonly session: AccessClaims
}

/** The bodies of the routes that answer with a grant. */
export interface GrantBody {
  readonly schema: JsonSchema
  /** Whether it is the standard one, from which tools can take the access token. */
  readonly standard: boolean
  /** The body for a grant. Throws FST_AUTH_STORE_UNAVAILABLE where the app's own function fails; a cookie is then set all the same. */
  of (route: GrantRoute, grant: Grant, caller: Grantee): Promise<object> | object
}

/** The app may answer with any object. */
const shapedSchema = { type: 'object', description: 'As the app shapes it.', additionalProperties: true } as const satisfies JsonSchema

/** What was done although its answer cannot be made; the other routes can be asked again. */
const DONE: Partial<Record<GrantRoute, string>> = {
  signup: 'The account was made and is logged in, but the answer could not be made: refresh, or log in',
  password: 'The password was changed, but the answer could not be made: refresh, or log in with the new one'
}

/** Builds the bodies: the grant itself, or what the app makes of it. */
export function createGrantBody (schema: JsonSchema, format: FormatGrant | undefined): GrantBody {
  if (format === undefined) return { schema, standard: true, of: (_route, grant) => grant }
  return {
    schema: shapedSchema,
    standard: false,
    async of (route, grant, { bounded, session }) {
      try {
        return await bounded(async () => objectOf(await format(grant, { route, claims: session })))
      } catch (error) {
        const done = DONE[route]
        throw done === undefined ? error : restated(error, done)
      }
    }
  }
}

function objectOf (body: unknown): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new TypeError('formatGrant must give an object')
  return body
}
