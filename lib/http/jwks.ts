import { isHmac, type Key, type KeyRing } from '../core/keys.js'
import { type FromSchema, type JsonSchema } from './json-schema.js'

/** A JSON Web Key Set (RFC 7517 section 5) of public keys. What is not named here is never sent. */
export const jwksSchema = {
  type: 'object',
  description: 'The public keys of access tokens, by their kid.',
  properties: {
    keys: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          kty: { type: 'string' },
          kid: { type: 'string' },
          use: { type: 'string', const: 'sig' },
          alg: { type: 'string' },
          n: { type: 'string' },
          e: { type: 'string' },
          crv: { type: 'string' },
          x: { type: 'string' },
          y: { type: 'string' }
        },
        required: ['kty', 'kid', 'use', 'alg']
      }
    }
  },
  required: ['keys']
} as const satisfies JsonSchema

/** The public keys of a ring. */
export type Jwks = FromSchema<typeof jwksSchema>

/** The public halves of the pairs of a ring. Secrets are left out. */
export function toJwks (ring: KeyRing): Jwks {
  return { keys: pairsOf(ring).map(({ kid, algorithm, verifies }) => ({ ...verifies.export({ format: 'jwk' }), kid, use: 'sig', alg: algorithm })) as Jwks['keys'] } // a public key exports no more than the schema names
}

/** Whether a ring has a key that others may hold. */
export function hasPublicKeys (ring: KeyRing): boolean {
  return pairsOf(ring).length > 0
}

function pairsOf ({ byKid }: KeyRing): Key[] {
  return [...byKid.values()].filter(({ algorithm }) => !isHmac(algorithm))
}
