import { createHmac, timingSafeEqual } from 'node:crypto'
import { type OpenedKeys } from '../keys/reload.js'
import { type Key } from '../keys/ring.js'
import { isId, isRecord, isTime } from './claims.js'
import { isSubject } from './subject.js'
import { Codec, kidOf } from './jwt.js'
import { type EpochSeconds } from '../time.js'

/** The claims of a challenge: a step of a login that a user has passed, or a link that a user was sent. */
export interface ChallengeClaims {
  readonly jti: string
  readonly sub: string
  readonly purpose: string
  readonly iat: EpochSeconds
  readonly exp: EpochSeconds
  /** The MAC of the value that the challenge is bound to. */
  readonly bound?: string
}

/** A value that a challenge is bound to; null is a value, undefined binds it to nothing. */
export type BoundValue = string | null | undefined

export interface VerifiedChallenge {
  readonly claims: ChallengeClaims
  /** True for the value that the challenge was issued with. */
  isBoundTo (value: BoundValue): boolean
}

/** Explicit typing (RFC 8725 section 3.11): a challenge is neither an access nor a refresh token, nor the other way round. */
const TYPE = 'ct+jwt'

/** Signs and verifies challenges with the keys of refresh tokens. It does not check times. */
export class ChallengeTokens {
  readonly #keys: OpenedKeys
  readonly #codec: Codec

  constructor (keys: OpenedKeys) {
    this.#keys = keys
    this.#codec = new Codec('refresh', keys, TYPE)
  }

  sign (claims: Omit<ChallengeClaims, 'bound'>, value: BoundValue): string {
    const bound = value === undefined ? {} : { bound: macOf(this.#codec.signingKey, claims.jti, value).toString('base64url') }
    return this.#codec.sign({ ...claims, ...bound })
  }

  /** Reloads the keys for a challenge with an unknown one, as `KeySource.seek`; undefined if a reload cannot help. */
  seekKey (token: string): Promise<void> | undefined {
    return this.#keys.changing.has('refresh') ? this.#keys.seek('refresh', kidOf(token, TYPE)) : undefined
  }

  /** Null if the token is no challenge signed with one of the keys. */
  verify (token: string): VerifiedChallenge | null {
    const verified = this.#codec.verify(token)
    if (verified === null || !isChallengeClaims(verified.payload)) return null
    const { key, payload: claims } = verified
    return { claims, isBoundTo: value => isBound(key, claims, value) }
  }
}

function isChallengeClaims (payload: unknown): payload is ChallengeClaims {
  return isRecord(payload) && isId(payload['jti']) && isSubject(payload['sub']) && typeof payload['purpose'] === 'string' &&
    isTime(payload['iat']) && isTime(payload['exp']) && (payload['bound'] === undefined || typeof payload['bound'] === 'string')
}

function isBound (key: Key, { jti, bound }: ChallengeClaims, value: BoundValue): boolean {
  if (bound === undefined || value === undefined) return bound === value
  const expected = macOf(key, jti, value)
  const given = Buffer.from(bound, 'base64url')
  return given.length === expected.length && timingSafeEqual(given, expected)
}

/** A MAC, since the holder of the token could find a short value, such as a code, from a plain hash. No JWS has a signing input like it. */
function macOf (key: Key, jti: string, value: string | null): Buffer {
  return createHmac('sha256', key.verifies).update(`fastify-refresh-cookie challenge ${JSON.stringify([jti, value])}`).digest()
}
