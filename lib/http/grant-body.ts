import { type AccessClaims } from '../core/claims.js'
import { type RequestContext } from '../core/events.js'
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

/** Builds the bodies: the grant itself, or what the app makes of it. */
export function createGrantBody (schema: JsonSchema, format: FormatGrant | undefined): GrantBody {
  if (format === undefined) return { schema, standard: true, of: (_route, grant) => grant }
  return {
    schema: shapedSchema,
    standard: false,
    of: async (route, grant, { bounded, session }) => await bounded(async () => {
      const body: unknown = await format(grant, { route, claims: session })
      if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new TypeError('formatGrant must give an object')
      return body
    })
  }
}
