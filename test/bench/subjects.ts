import { generateKeyPairSync } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import refreshCookie, { memoryStore, type RefreshCookieOptions, type SessionStore } from 'fastify-refresh-cookie'
import { postgresStore } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { madeUpSession } from './made-up-session.js'
import { SHARED_KEY, tokenOf } from './many-tokens.js'
import { NAME, ownMysqlStore, ownPool, ownRedis, ownSqliteStore } from './own-databases.js'
import { bareRefresh, jwtRefresh, noAuthentication, oneEvalsha, oneUpdate, withFastifyJwt } from './references.js'

const SECRET = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'

/** Every refresh rotates. By default a refresh within the grace period does not rotate, and costs less. */
const ROTATE_ALWAYS = { grace: 0, recoverLostReply: false } as const

/** Tokens beyond this number are not verified beforehand, since they would not fit into the cache. */
const MOST_VERIFIED = 200_000

/**
 * The options of a usual deployment: limits, a look-up of users, a listener for events, an issuer and an audience. The load stays
 * below the limit of refreshes.
 */
const USUAL: RefreshCookieOptions = {
  issuer: 'https://login.example',
  audience: 'https://api.example',
  rateLimit: { perSession: { max: 1_000_000, per: '1m' } },
  users: { findById: id => ({ id, username: 'ada', passwordHash: null }) },
  onEvent () {}
}

/**
 * The plugin and the references, by name: apps that answer `GET /me` with an access token, or `POST /auth/refresh` with a cookie,
 * and that issue both at `POST /enter`. A reference does the minimum that an app without this package must do.
 */
export const SUBJECTS: Readonly<Record<string, () => Promise<FastifyInstance>>> = {
  // Each token is as long as those of the plugin, since every byte of a header costs time.
  'get: no authentication': () => noAuthentication(287),
  'get: no authentication, a token with iss and aud': () => noAuthentication(363),
  'get: no authentication, a token as of EdDSA': () => noAuthentication(317),
  'get: no authentication, a token as of RS256': () => noAuthentication(743),
  'get: @fastify/jwt': () => withFastifyJwt(),
  'get: @fastify/jwt with its cache': () => withFastifyJwt({ cache: true }),
  'get: ours': () => ours({}),
  'get: ours, usual options': () => ours(USUAL),
  'get: ours, EdDSA': () => withKey('EdDSA'),
  'get: ours, ES256': () => withKey('ES256'),
  'get: ours, RS256': () => withKey('RS256'),
  'get: ours, immediate': () => withRevoked(0),
  'get: ours, immediate, 100,000 revoked': () => withRevoked(100_000),
  'get: ours, 1,000 tokens': () => withTokens(1000),
  'get: ours, 10,000 tokens': () => withTokens(10_000),
  'get: ours, 100,000 tokens': () => withTokens(100_000),
  'get: ours, 1,000,000 tokens': () => withTokens(1_000_000),
  'get: @fastify/jwt, 1,000 tokens': () => withFastifyJwt(),
  'get: @fastify/jwt, 1,000,000 tokens': () => withFastifyJwt(),

  'refresh: bare': () => bareRefresh(),
  'refresh: @fastify/jwt': () => jwtRefresh(),
  'refresh: ours': async () => ours({ refreshToken: ROTATE_ALWAYS, store: await filled(memoryStore()) }),
  'refresh: ours, usual options': async () => ours({ ...USUAL, refreshToken: ROTATE_ALWAYS, store: await filled(memoryStore()) }),
  'refresh: ours, immediate': async () => ours({ revocation: 'immediate', refreshToken: ROTATE_ALWAYS, store: await filled(memoryStore()) }),
  'refresh: bare + Redis': async () => bareRefresh(await oneEvalsha()),
  'refresh: @fastify/jwt + Redis': async () => jwtRefresh(await oneEvalsha()),
  'refresh: ours, Redis': async () => ours({ refreshToken: ROTATE_ALWAYS, store: redisStore(await ownRedis(), { prefix: `${NAME}:`, retainFor: '1s' }) }),
  'refresh: bare + PostgreSQL': async () => bareRefresh(await oneUpdate()),
  'refresh: @fastify/jwt + PostgreSQL': async () => jwtRefresh(await oneUpdate()),
  'refresh: ours, PostgreSQL': async () => ours({ refreshToken: ROTATE_ALWAYS, store: postgresStore(ownPool(), { table: NAME }) }),
  'refresh: ours, MariaDB': async () => ours({ refreshToken: ROTATE_ALWAYS, store: ownMysqlStore() }),
  'refresh: ours, SQLite': async () => ours({ refreshToken: ROTATE_ALWAYS, store: ownSqliteStore() })
}

async function ours (options: RefreshCookieOptions): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(refreshCookie, { secret: SECRET, rateLimit: false, ...options })
  let entered = 0
  app.post('/enter', async request => await request.auth.login(`p${++entered}`))
  app.get('/me', { onRequest: app.authenticate }, async request => ({ id: request.auth.claims.sub }))
  return app
}

async function withKey (algorithm: keyof typeof PAIRS): Promise<FastifyInstance> {
  const privateKey = PAIRS[algorithm]().privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return await ours({ keys: [{ kid: '1', algorithm, use: 'sign', privateKey }] })
}

const PAIRS = {
  EdDSA: () => generateKeyPairSync('ed25519'),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 3072 })
} as const

async function withRevoked (count: number): Promise<FastifyInstance> {
  const store = memoryStore()
  const app = await ours({ store, revocation: 'immediate' })
  await app.ready()
  for (let nth = 0; nth < count; nth++) {
    const session = madeUpSession(`s${nth}`)
    await store.create(session)
    await store.revoke(session.id, 'logout')
  }
  return app
}

/** An app that has verified each token once, up to `MOST_VERIFIED`. */
async function withTokens (count: number): Promise<FastifyInstance> {
  const app = await ours({ keys: [SHARED_KEY], accessToken: { expiresIn: '1d' } })
  await app.ready()
  for (let nth = 0; nth < Math.min(count, MOST_VERIFIED); nth++) await app.verifyAccessToken(tokenOf(nth))
  return app
}

async function filled (store: SessionStore): Promise<SessionStore> {
  for (let nth = 0; nth < 100_000; nth++) await store.create(madeUpSession(`s${nth}`))
  return store
}
