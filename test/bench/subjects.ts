import fastifyCookie, { type CookieSerializeOptions } from '@fastify/cookie'
import fastifyJwt, { type JWT } from '@fastify/jwt'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { type Redis } from 'ioredis'
import Database from 'better-sqlite3'
import { rmSync } from 'node:fs'
import { type Pool } from 'pg'
import refreshCookie, { memoryStore, type RefreshCookieOptions, type SessionStore } from 'fastify-refresh-cookie'
import { mysqlStore } from 'fastify-refresh-cookie/mysql'
import { postgresStore } from 'fastify-refresh-cookie/postgres'
import { redisStore } from 'fastify-refresh-cookie/redis'
import { sqliteStore } from 'fastify-refresh-cookie/sqlite'
import { newMysqlPool, newPool, newRedis } from './connections.js'
import { madeUpSession } from './made-up-session.js'
import { sqliteFile } from './stores.js'

const SECRET = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'
const COOKIE = '__Host-Http-refresh'
const COOKIE_OPTIONS: CookieSerializeOptions = { httpOnly: true, secure: true, sameSite: 'strict', path: '/', maxAge: 604_800 }
const ROTATE_ALWAYS = { grace: 0, recoverLostReply: false } as const
const NAME = `bench_${process.pid}`

/**
 * What is measured, by name: apps that answer `GET /me` to an access token, or `POST /auth/refresh` to a cookie, and give
 * both at `POST /enter`. References do the least that somebody would have to do without this package.
 */
export const SUBJECTS: Readonly<Record<string, () => Promise<FastifyInstance>>> = {
  // A token each as long as those of ours, since a server pays for every byte of a header.
  'get: no authentication': () => noAuthentication(287),
  'get: no authentication, a token as of EdDSA': () => noAuthentication(317),
  'get: no authentication, a token as of RS256': () => noAuthentication(743),
  'get: @fastify/jwt': () => withFastifyJwt(),
  'get: ours': () => ours({}),
  'get: ours, EdDSA': () => withKey('EdDSA'),
  'get: ours, ES256': () => withKey('ES256'),
  'get: ours, RS256': () => withKey('RS256'),
  'get: ours, immediate': () => withRevoked(0),
  'get: ours, immediate, 100,000 revoked': () => withRevoked(100_000),

  'refresh: bare': () => bareRefresh(async () => {}),
  'refresh: @fastify/jwt': () => jwtRefresh(async () => {}),
  'refresh: ours': async () => ours({ refreshToken: ROTATE_ALWAYS, store: await filled(memoryStore()) }),
  'refresh: bare + Redis': async () => bareRefresh(await oneEvalsha()),
  'refresh: @fastify/jwt + Redis': async () => jwtRefresh(await oneEvalsha()),
  'refresh: ours, Redis': async () => ours({ refreshToken: ROTATE_ALWAYS, store: redisStore(await ownRedis(), { prefix: `${NAME}:`, retainFor: '1s' }) }),
  'refresh: bare + PostgreSQL': async () => bareRefresh(await oneUpdate()),
  'refresh: @fastify/jwt + PostgreSQL': async () => jwtRefresh(await oneUpdate()),
  'refresh: ours, PostgreSQL': async () => ours({ refreshToken: ROTATE_ALWAYS, store: postgresStore(ownPool(), { table: NAME }) }),
  'refresh: ours, MariaDB': async () => ours({ refreshToken: ROTATE_ALWAYS, store: ownMysqlStore() }),
  'refresh: ours, SQLite': async () => ours({ refreshToken: ROTATE_ALWAYS, store: ownSqliteStore() })
}

async function noAuthentication (tokenLength: number): Promise<FastifyInstance> {
  const app = Fastify()
  app.post('/enter', async () => ({ access_token: randomBytes(tokenLength).toString('base64url').slice(0, tokenLength) }))
  app.get('/me', async () => ({ id: '1' }))
  return app
}

async function withFastifyJwt (): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(fastifyJwt, { secret: SECRET })
  app.post('/enter', async () => ({ access_token: app.jwt.sign(claims()) }))
  app.get('/me', { onRequest: async request => { await request.jwtVerify() } }, async () => ({ id: '1' }))
  return app
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

/** A POST that reads one cookie and sets one. */
async function bareRefresh (touchStore: () => Promise<void>): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(fastifyCookie)
  const value = randomBytes(270).toString('base64url')
  app.post('/enter', async (_request, reply) => { setCookie(reply, value); return {} })
  app.post('/auth/refresh', async (request, reply) => {
    const sent = request.cookies[COOKIE] ?? ''
    await touchStore()
    setCookie(reply, sent)
    return { access_token: value, token_type: 'Bearer', expires_in: 600 }
  })
  return app
}

/** A POST that verifies one token and signs two, as every refresh has to. */
async function jwtRefresh (touchStore: () => Promise<void>): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(fastifyCookie)
  await app.register(fastifyJwt, { secret: SECRET, namespace: 'access', sign: { algorithm: 'HS256', kid: 'a', header: { alg: 'HS256', typ: 'at+jwt' } }, verify: { algorithms: ['HS256'] } })
  await app.register(fastifyJwt, { secret: `${SECRET}2`, namespace: 'refresh', sign: { algorithm: 'HS256', kid: 'r', header: { alg: 'HS256', typ: 'rt+jwt' } }, verify: { algorithms: ['HS256'] } })
  const { access, refresh } = app.jwt as unknown as Record<'access' | 'refresh', JWT> // namespaces are not in the types of `jwt`
  const body = () => ({ access_token: access.sign(claims()), token_type: 'Bearer', expires_in: 600 })

  app.post('/enter', async (_request, reply) => {
    setCookie(reply, refresh.sign(refreshClaims(0)))
    return body()
  })
  app.post('/auth/refresh', async (request, reply) => {
    const { gen } = refresh.verify<{ gen: number }>(request.cookies[COOKIE] ?? '')
    await touchStore()
    setCookie(reply, refresh.sign(refreshClaims(gen + 1)))
    reply.header('cache-control', 'no-store')
    return body()
  })
  return app
}

function setCookie (reply: FastifyReply, value: string): void {
  reply.setCookie(COOKIE, value, COOKIE_OPTIONS)
}

const endings: Array<() => Promise<unknown>> = []

/** Deletes what a subject kept, and disconnects. */
export async function cleanUp (): Promise<void> {
  for (const end of endings) await end()
}

/** The least that a session in Redis costs: one script on one key. */
async function oneEvalsha (): Promise<() => Promise<void>> {
  const client = await ownRedis()
  const sha = String(await client.script('LOAD', "local text = redis.call('GET', KEYS[1]) redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL') return text"))
  const keys = await Promise.all(Array.from({ length: 1000 }, async (_, nth) => {
    await client.set(`${NAME}:bare:${nth}`, JSON.stringify(madeUpSession('')), 'EX', 3600)
    return `${NAME}:bare:${nth}`
  }))
  let turn = 0
  return async () => { await client.evalsha(sha, 1, keys[++turn % keys.length] ?? '', JSON.stringify(madeUpSession(''))) }
}

/** The least that a session in PostgreSQL costs: one row. */
async function oneUpdate (): Promise<() => Promise<void>> {
  const pool = ownPool()
  await pool.query(`CREATE UNLOGGED TABLE ${NAME} (id text PRIMARY KEY, generation bigint, rotated_at bigint, user_agent text, ip text) WITH (fillfactor = 80)`)
  await pool.query(`INSERT INTO ${NAME} SELECT i::text, 0, 0, 'a user agent', '192.0.2.1' FROM generate_series(0, 999) AS i`)
  await pool.query(`ALTER TABLE ${NAME} SET LOGGED`)
  let turn = 0
  return async () => {
    await pool.query({ name: 'advance', text: `UPDATE ${NAME} SET generation = generation + 1, rotated_at = $2 WHERE id = $1 RETURNING *`, values: [String(++turn % 1000), 1] })
  }
}

function ownPool (): Pool {
  const pool = newPool()
  endings.push(async () => {
    await pool.query(`DROP TABLE ${NAME}`)
    await pool.end()
  })
  return pool
}

function ownMysqlStore (): SessionStore {
  const pool = newMysqlPool()
  endings.push(async () => {
    await pool.query(`DROP TABLE ${NAME}`)
    await pool.end()
  })
  return mysqlStore(pool, { table: NAME })
}

/** With a flush to the disk at each commit, as the other databases have. */
function ownSqliteStore (): SessionStore {
  const file = sqliteFile(NAME)
  const db = new Database(file)
  db.pragma('synchronous = FULL')
  endings.push(async () => {
    db.close()
    for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true })
  })
  return sqliteStore(db)
}

async function ownRedis (): Promise<Redis> {
  const client = await newRedis()
  endings.push(async () => {
    for await (const keys of client.scanStream({ match: `${NAME}:*`, count: 1000 })) if (keys.length > 0) await client.unlink(keys)
    await client.quit()
  })
  return client
}

async function filled (store: SessionStore): Promise<SessionStore> {
  for (let nth = 0; nth < 100_000; nth++) await store.create(madeUpSession(`s${nth}`))
  return store
}

/** Claims as ours are, so that tokens are equally long. */
function claims () {
  const now = Math.floor(Date.now() / 1000)
  return { sub: 'p1', iat: now, exp: now + 600, jti: randomBytes(16).toString('base64url'), sid: randomBytes(16).toString('base64url'), auth_time: now }
}

function refreshClaims (gen: number) {
  const now = Math.floor(Date.now() / 1000)
  return { sub: 'p1', sid: 'AAAAAAAAAAAAAAAAAAAAAA', gen, auth_time: now, iat: now, exp: now + 604_800, end: now + 2_592_000 }
}
