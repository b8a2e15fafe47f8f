import { type AuditEvent, type EventListener } from '../audit/events.js'
import { type KeyOptions } from '../keys/import.js'
import { systemClock, type Clock, type Duration } from '../time.js'
import { callback, clock, DAY, defaultTo, duration, group, oneOf, oneOrMore, optional, REGISTER_OPTIONS, source, text, type Checked } from './validators.js'
import { jwksUrl, keyRing } from './values.js'

/** What `app.register(verifier, options)` takes: `keys` or `jwks`, and what access tokens must say. */
export interface VerifierOptions {
  /** The keys that access tokens are verified with, each with `use: 'verify'`; or a function that gives them. */
  keys?: readonly KeyOptions[] | (() => Promise<readonly KeyOptions[]> | readonly KeyOptions[]) | undefined
  /** Where the service that signs publishes its public keys, e.g. 'https://login.example/auth/jwks'. */
  jwks?: string | undefined
  /** What RSA keys of `jwks` sign with that have no `alg`; 'RS256' by default. */
  jwksRsaAlgorithm?: 'RS256' | 'PS256' | undefined
  /** How often keys are read again that come from a function or from `jwks`; every 5 minutes by default. */
  reloadKeysEvery?: Duration | undefined
  /** The `iss` that access tokens must have. */
  issuer?: string | undefined
  /** One of them must be in the `aud` of access tokens. */
  audience?: string | readonly string[] | undefined
  accessToken?: {
    /** The longest that the service that signs lets them live, a day by default. A token that claims more than this, and than an hour, is refused. */
    expiresIn?: Duration | undefined
    /** For `iat` and `nbf` in the future only; `exp` is exact. */
    leeway?: Duration | undefined
  } | undefined
  timeouts?: {
    /** One call to a function that gives keys, or to `jwks`. */
    call?: Duration | undefined
    /** All calls of one request. */
    request?: Duration | undefined
  } | undefined
  /** Notified of every refusal, and of keys that change. What it throws changes nothing. */
  onEvent? (event: AuditEvent): Promise<void> | void
  /** The time in seconds since the epoch, for tests. */
  clock?: Clock | undefined
}

/** The table of all options: what each may be, and what it is when left out. */
export const verifierTable = group({
  keys: optional(source(keyRing)),
  jwks: optional(jwksUrl),
  jwksRsaAlgorithm: optional(oneOf('RS256', 'PS256')),
  reloadKeysEvery: defaultTo('5m', duration(1, DAY)),
  issuer: optional(text),
  audience: optional(oneOrMore(text)),
  accessToken: group({
    expiresIn: defaultTo('1d', duration(1, DAY)),
    leeway: defaultTo('5s', duration(0, 60))
  }),
  timeouts: group({
    call: defaultTo('2s', duration(1, 60)),
    request: defaultTo('3s', duration(1, 60))
  }),
  onEvent: optional(callback<EventListener>()),
  clock: defaultTo(systemClock, clock)
}, REGISTER_OPTIONS)

/** The options of a verifier as the code uses them. */
export type VerifierSettings = Checked<typeof verifierTable>

/** Reads the options of a verifier. Throws a TypeError that names the option and the way out. */
export function readVerifierOptions (options: VerifierOptions): VerifierSettings {
  const settings = verifierTable(options, '')
  const { keys, jwks, jwksRsaAlgorithm, timeouts } = settings
  const refused: ReadonlyArray<readonly [boolean, string]> = [
    [keys === undefined && jwks === undefined, 'option "keys" is missing: give the public keys of the service that signs, or its "jwks"'],
    [keys !== undefined && jwks !== undefined, 'options "keys" and "jwks" both say what access tokens are verified with: give one of them'],
    [jwksRsaAlgorithm !== undefined && jwks === undefined, 'option "jwksRsaAlgorithm" does nothing without "jwks": leave it out, or give that'],
    [timeouts.call > timeouts.request, 'option "timeouts.call" must not be longer than "timeouts.request", the time of all calls together']
  ]
  for (const [wrong, sentence] of refused) {
    if (wrong) throw new TypeError(sentence)
  }
  return settings
}
