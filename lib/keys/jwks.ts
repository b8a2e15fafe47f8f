import { type Seconds } from '../time.js'
import { jwksMaxAge, type KeySettings, type KeySource } from './reload.js'
import { isHmac, type Key, type KeyRing } from './ring.js'

/** A JSON Web Key Set (RFC 7517 section 5) of public keys. */
interface Jwks {
  readonly keys: ReadonlyArray<{ readonly kty: string, readonly kid: string, readonly use: 'sig', readonly alg: string } & Readonly<Record<'n' | 'e' | 'crv' | 'x' | 'y', string | undefined>>>
}

/** The public keys of a ring, without its secrets. */
export function toJwks (ring: KeyRing): Jwks {
  return { keys: pairsOf(ring).map(({ kid, algorithm, verifies }) => ({ ...verifies.export({ format: 'jwk' }), kid, use: 'sig', alg: algorithm })) as Jwks['keys'] } // a public key exports no private members
}

export interface PublicKeys {
  ring (): KeyRing
  /** The time for which verifiers may cache them. */
  readonly maxAge: Seconds
}

/** The keys of `GET /jwks`; undefined if they are and stay secrets. */
export function publicKeys ({ keys, reloadKeysEvery }: KeySettings, source: KeySource): PublicKeys | undefined {
  const ring = (): KeyRing => source.rings.access
  return keys?.changes || pairsOf(ring()).length > 0 ? { ring, maxAge: jwksMaxAge(reloadKeysEvery) } : undefined
}

function pairsOf ({ byKid }: KeyRing): Key[] {
  return [...byKid.values()].filter(({ algorithm }) => !isHmac(algorithm))
}
