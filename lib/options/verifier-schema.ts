import { type AuditEvent, type EventListener } from '../events.js'
import { type KeyOptions } from '../keys/import.js'
import { systemClock, type Clock, type Duration } from '../time.js'
import { callback, clock, DAY, defaultTo, duration, group, oneOf, optional, refuseFirst, REGISTER_OPTIONS, source, text, type Checked } from './validators.js'
import { audience, cacheBytes, jwksUrl, keyRing } from './values.js'

/**
 * The options of `app.register(verifier, options)`: either `keys` or `jwks`, and the claims that access tokens must have.
 * Durations are whole seconds, or a number with a unit: '30s', '15m', '12h', '7d', '2w'.
 */
export interface VerifierOptions {
  /** The keys that verify access tokens, each with `use: 'verify'`; or a function that returns them. */
  keys?: readonly KeyOptions[] | (() => Promise<readonly KeyOptions[]> | readonly KeyOptions[]) | undefined
  /** The URL at which the service that signs publishes its public keys, e.g. 'https://login.example/auth/jwks'. */
  jwks?: string | undefined
  /** The algorithm of RSA keys of `jwks` without `alg`; 'RS256' by default. */
  jwksRsaAlgorithm?: 'RS256' | 'PS256' | undefined
  /** The interval at which keys of a function or of `jwks` are read again; '5m' by default. */
  reloadKeysEvery?: Duration | undefined
  /** The `iss` that access tokens must have. */
  issuer?: string | undefined
  /** The `aud` of access tokens must have one of these. Without it a token that has an `aud` is refused. */
  audience?: string | readonly string[] | undefined
  accessToken?: {
    /** The longest lifetime of access tokens; '1d' by default. A token that lives longer than this and than an hour is refused. */
    expiresIn?: Duration | undefined
    /** The tolerance for `iat` and `nbf` in the future, '5s' by default; `exp` is exact. */
    leeway?: Duration | undefined
    /**
     * The memory of the verification cache in bytes; 150,000,000 by default, for 100,000 tokens in use without claims of the
     * app. A token that is not in it is verified again. 0 verifies every token at every request.
     */
    cacheBytes?: number | undefined
  } | undefined
  timeouts?: {
    /** For one call to a function that returns keys, or to `jwks`; '2s' by default. */
    call?: Duration | undefined
    /** For all calls of one request together; '3s' by default. */
    request?: Duration | undefined
  } | undefined
  /** Called for every refusal, and when keys change. Its errors are logged and change nothing. */
  onEvent? (event: AuditEvent): Promise<void> | void
  /** Returns the time in seconds since the epoch, for tests. */
  clock?: Clock | undefined
}

/** The validator and the default of each option. */
export const verifierTable = group({
  keys: optional(source(keyRing)),
  jwks: optional(jwksUrl),
  jwksRsaAlgorithm: optional(oneOf('RS256', 'PS256')),
  reloadKeysEvery: defaultTo('5m', duration(1, DAY)),
  issuer: optional(text),
  audience: optional(audience),
  accessToken: group({
    expiresIn: defaultTo('1d', duration(1, DAY)),
    leeway: defaultTo('5s', duration(0, 60)),
    cacheBytes
  }),
  timeouts: group({
    call: defaultTo('2s', duration(1, 60)),
    request: defaultTo('3s', duration(1, 60))
  }),
  onEvent: optional(callback<EventListener>()),
  clock: defaultTo(systemClock, clock)
}, REGISTER_OPTIONS)

/** The options of a verifier after validation. */
export type VerifierSettings = Checked<typeof verifierTable>

/** Validates the options of a verifier. Throws a TypeError that names the option and the way out. */
export function readVerifierOptions (options: VerifierOptions): VerifierSettings {
  const settings = verifierTable(options, '')
  const { keys, jwks, jwksRsaAlgorithm, timeouts } = settings
  refuseFirst([
    [keys === undefined && jwks === undefined, 'option "keys" is missing: give the public keys of the service that signs, or its "jwks"'],
    [keys !== undefined && jwks !== undefined, 'options "keys" and "jwks" both give the keys of access tokens: use one of them'],
    [jwksRsaAlgorithm !== undefined && jwks === undefined, 'option "jwksRsaAlgorithm" does nothing without "jwks": leave it out, or give "jwks"'],
    [timeouts.call > timeouts.request, 'option "timeouts.call" must not be longer than "timeouts.request", the time of all calls together']
  ])
  return settings
}
