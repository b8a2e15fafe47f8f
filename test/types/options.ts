/** Compiled by `npm run typecheck`, never run: the types of the options. */
import { createPrivateKey, createSecretKey } from 'node:crypto'
import { type FastifyInstance } from 'fastify'
import verifier, { verifier as namedVerifier, type VerifierOptions } from 'fastify-refresh-cookie/verifier'
import refreshCookie, { allowWeakHashing, memoryStore, refreshCookie as named, statelessStore, type RefreshCookieOptions } from 'fastify-refresh-cookie'

const secret = 'x'

export const good: RefreshCookieOptions[] = [
  { secret },
  { secret: [secret, secret] },
  { secret, issuer: 'https://us.example', audience: ['api', 'web'], prefix: '/session', trustedOrigins: ['https://app.example'] },
  { secret, keys: [{ kid: 'k1', algorithm: 'ES256', use: 'sign', privateKey: createPrivateKey(secret) }, { kid: 'k0', algorithm: 'RS256', use: 'verify', publicKey: { kty: 'RSA', n: 'x', e: 'AQAB' }, withoutKid: true }] },
  { secret: Buffer.from(secret), refreshToken: { secret: () => [new Uint8Array(32), secret] }, keys: [{ kid: 'k1', algorithm: 'HS256', use: 'sign', secret: Buffer.from(secret) }] },
  { secret: async () => [secret], keys: async () => [{ kid: 'k1', algorithm: 'HS512', use: 'sign', secret: createSecretKey(secret, 'utf8') }], reloadKeysEvery: '1h', refreshToken: { secret: () => secret } },
  { secret, routes: { signup: false, login: '/sign-in' }, accounts: { usernameField: 'email' } },
  { secret, store: memoryStore({ clock: () => 0 }), clock: () => 0 },
  { secret, store: statelessStore() },
  { secret, accessToken: { expiresIn: '10m', algorithm: 'HS512', leeway: 0 }, refreshToken: { secret, idle: '7d', absolute: 2_592_000, rotation: 'never', grace: '30s', recoverLostReply: false } },
  { secret, cookie: { name: '__Host-mine', path: '/', domain: 'example.com', sameSite: 'lax', secure: true, partitioned: false } },
  { secret, passwords: { memoryCost: 1024, timeCost: 2, parallelism: 1, minLength: 15, [allowWeakHashing]: true } },
  { secret, timeouts: { call: '2s', request: 3 }, onEvent (event) { if (event.type === 'reuse') console.log(event.subject, event.presented, event.at) } },
  { secret, routes: { verify: '/verify', jwks: false }, refreshToken: { transport: 'body' }, formatTokenResponse: ({ access_token: access, refresh_token: refresh }) => ({ access, refresh }) },
  { secret, refreshToken: { renewWithAccessToken: true }, formatTokenResponse: async (grant, { route, claims }) => ({ ...grant, route, sub: claims.sub.toUpperCase() }) },
  // From an environment that may lack them, under exactOptionalPropertyTypes.
  { secret: process.env['AUTH_SECRET'], issuer: process.env['ISSUER'], cookie: { domain: process.env['COOKIE_DOMAIN'] }, accessToken: undefined }
]

export const wrong: RefreshCookieOptions[] = [
  // @ts-expect-error a name that is nearly right
  { secret, acessToken: {} },
  // @ts-expect-error one level deeper
  { secret, cookie: { samesite: 'lax' } },
  // @ts-expect-error a route that does not exist
  { secret, routes: { signin: '/x' } },
  // @ts-expect-error a duration without a unit
  { secret, accessToken: { expiresIn: '600' } },
  // @ts-expect-error a duration in a unit that is not known
  { secret, refreshToken: { idle: '7 days' } },
  // @ts-expect-error an algorithm that needs two keys
  { secret, accessToken: { algorithm: 'RS256' } },
  // @ts-expect-error a key without a name
  { secret, keys: [{ algorithm: 'ES256', use: 'sign', privateKey: secret }] },
  // @ts-expect-error a key for anything
  { secret, keys: [{ kid: 'k1', use: 'sign', privateKey: secret }] },
  // @ts-expect-error no signature at all
  { secret, accessToken: { algorithm: 'none' } },
  // @ts-expect-error the browser's spelling
  { secret, cookie: { sameSite: 'Strict' } },
  // @ts-expect-error a body that is no object
  { secret, formatTokenResponse: grant => grant.access_token },
  // @ts-expect-error a header that nobody reads
  { secret, refreshToken: { transport: 'header' } },
  // @ts-expect-error what @fastify/cookie has and we refuse
  { secret, cookie: { secure: 'auto' } },
  // @ts-expect-error the cookie is httpOnly whatever one says
  { secret, cookie: { httpOnly: false } },
  // @ts-expect-error bytes that are no bytes
  { secret: [1, 2, 3] },
  // @ts-expect-error a pattern is no origin
  { secret, trustedOrigins: [/example/] },
  // @ts-expect-error a store that lacks most of it
  { secret, store: { get: async () => null } },
  // @ts-expect-error keys of another service are for the verifier
  { secret, jwks: 'https://login.example/auth/jwks' },
  // @ts-expect-error a switch for the weak
  { secret, passwords: { allowWeakHashing: true } }
]

export const goodForVerifiers: VerifierOptions[] = [
  { jwks: 'https://login.example/auth/jwks', issuer: 'https://login.example', audience: 'orders' },
  { jwks: 'https://login.example/auth/jwks', jwksRsaAlgorithm: 'PS256', reloadKeysEvery: '1h', audience: ['orders', 'invoices'] },
  { keys: [{ kid: 'k1', algorithm: 'ES256', use: 'verify', publicKey: 'x' }], accessToken: { expiresIn: '2h', leeway: 0 } },
  { keys: async () => [{ kid: 'k1', algorithm: 'ES256', use: 'verify', publicKey: 'x' }], timeouts: { call: 1, request: '2s' } },
  { jwks: process.env['JWKS'] ?? '', issuer: process.env['ISSUER'], onEvent (event) { console.log(event.type, event.at) }, clock: () => 0 }
]

export const wrongForVerifiers: VerifierOptions[] = [
  // @ts-expect-error it derives no key
  { secret },
  // @ts-expect-error it stores nothing
  { jwks: 'https://login.example/auth/jwks', store: memoryStore() },
  // @ts-expect-error it has no session to end
  { jwks: 'https://login.example/auth/jwks', revocation: 'immediate' },
  // @ts-expect-error an algorithm of another kind of key
  { jwks: 'https://login.example/auth/jwks', jwksRsaAlgorithm: 'ES256' },
  // @ts-expect-error it signs nothing
  { jwks: 'https://login.example/auth/jwks', accessToken: { algorithm: 'HS256' } }
]

/** Every way to register the plugin. */
export async function register (app: FastifyInstance): Promise<void> {
  await app.register(refreshCookie, { secret })
  await app.register(named, { secret })
  await app.register(import('fastify-refresh-cookie'), { secret })
  await app.register(refreshCookie, () => ({ secret }))
  await app.register(refreshCookie, { secret, prefix: '/auth', logLevel: 'warn', logSerializers: {} })
  await app.register(verifier, { jwks: 'https://login.example/auth/jwks' })
  await app.register(namedVerifier, { jwks: 'https://login.example/auth/jwks', logLevel: 'warn' })
  await app.register(import('fastify-refresh-cookie/verifier'), { jwks: 'https://login.example/auth/jwks' })
  // @ts-expect-error an option of the other plugin
  await app.register(verifier, { secret })
  // @ts-expect-error an unknown option
  await app.register(refreshCookie, { secret, unknown: true })
  // @ts-expect-error an option of a wrong type
  await app.register(refreshCookie, { secret: 1 })
}
