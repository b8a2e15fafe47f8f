import fastifyCookie, { type CookieSerializeOptions } from '@fastify/cookie'
import fastifyJwt, { type JWT } from '@fastify/jwt'
import { randomBytes, randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { madeUpSession } from './made-up-session.js'
import { SHARED_KEY } from './many-tokens.js'
import { NAME, ownPool, ownRedis } from './own-databases.js'

const SECRET = SHARED_KEY.secret
const COOKIE = '__Host-Http-refresh'
const COOKIE_OPTIONS: CookieSerializeOptions = { httpOnly: true, secure: true, sameSite: 'strict', path: '/', maxAge: 604_800 }
const KEPT_SESSIONS = 1000

/** Work that a refresh waits for. */
type Touch = () => Promise<void>

export async function noAuthentication (tokenLength: number): Promise<FastifyInstance> {
  const app = Fastify()
  app.post('/enter', async () => ({ access_token: randomBytes(tokenLength).toString('base64url').slice(0, tokenLength) }))
  app.get('/me', async () => ({ id: '1' }))
  return app
}

/** `cache` is that of fast-jwt; @fastify/jwt does not use it by default. */
export async function withFastifyJwt ({ cache = false }: { cache?: boolean | number } = {}): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(fastifyJwt, { secret: SECRET, verify: { algorithms: ['HS256'], cache } })
  app.post('/enter', async () => ({ access_token: app.jwt.sign(newClaims(randomUUID())) }))
  app.get('/me', { onRequest: async request => { await request.jwtVerify() } }, async request => ({ id: (request.user as { sub: string }).sub }))
  return app
}

/** A POST that reads one cookie and sets one. */
export async function bareRefresh (touchStore: Touch = nothing): Promise<FastifyInstance> {
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

/** A POST that verifies one token and signs two, as every refresh must. */
export async function jwtRefresh (touchStore: Touch = nothing): Promise<FastifyInstance> {
  const app = Fastify()
  await app.register(fastifyCookie)
  await app.register(fastifyJwt, { secret: SECRET, namespace: 'access', sign: { algorithm: 'HS256', kid: 'a', header: { alg: 'HS256', typ: 'at+jwt' } }, verify: { algorithms: ['HS256'] } })
  await app.register(fastifyJwt, { secret: `${SECRET}2`, namespace: 'refresh', sign: { algorithm: 'HS256', kid: 'r', header: { alg: 'HS256', typ: 'rt+jwt' } }, verify: { algorithms: ['HS256'] } })
  const { access, refresh } = app.jwt as unknown as Record<'access' | 'refresh', JWT> // namespaces are not in the types of `jwt`
  const body = (sid: string) => ({ access_token: access.sign(newClaims(sid)), token_type: 'Bearer', expires_in: 600 })

  app.post('/enter', async (_request, reply) => {
    const sid = randomUUID()
    setCookie(reply, refresh.sign(refreshClaims(sid, 0)))
    return body(sid)
  })
  app.post('/auth/refresh', async (request, reply) => {
    const { sid, gen } = refresh.verify<{ sid: string, gen: number }>(request.cookies[COOKIE] ?? '')
    await touchStore()
    setCookie(reply, refresh.sign(refreshClaims(sid, gen + 1)))
    reply.header('cache-control', 'no-store')
    return body(sid)
  })
  return app
}

/** The minimum cost of a session in Redis: one script on one key. */
export async function oneEvalsha (): Promise<Touch> {
  const client = await ownRedis()
  const sha = String(await client.script('LOAD', "local text = redis.call('GET', KEYS[1]) redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL') return text"))
  const session = madeUpSession('')
  const keys = Array.from({ length: KEPT_SESSIONS }, (_, nth) => `${NAME}:bare:${nth}`)
  for (const key of keys) await client.set(key, JSON.stringify(session), 'EX', 3600)
  let turn = 0
  return async () => { await client.evalsha(sha, 1, keys[++turn % keys.length] ?? '', JSON.stringify({ ...session, generation: turn })) }
}

/** The minimum cost of a session in PostgreSQL: one UPDATE of one row. */
export async function oneUpdate (): Promise<Touch> {
  const pool = ownPool()
  await pool.query(`CREATE UNLOGGED TABLE ${NAME} (id text PRIMARY KEY, generation bigint, rotated_at bigint, user_agent text, ip text) WITH (fillfactor = 80)`)
  await pool.query(`INSERT INTO ${NAME} SELECT i::text, 0, 0, 'a user agent', '192.0.2.1' FROM generate_series(0, ${KEPT_SESSIONS - 1}) AS i`)
  await pool.query(`ALTER TABLE ${NAME} SET LOGGED`)
  let turn = 0
  return async () => {
    await pool.query({ name: 'advance', text: `UPDATE ${NAME} SET generation = generation + 1, rotated_at = $2 WHERE id = $1 RETURNING *`, values: [String(++turn % KEPT_SESSIONS), 1] })
  }
}

async function nothing (): Promise<void> {}

function setCookie (reply: FastifyReply, value: string): void {
  reply.setCookie(COOKIE, value, COOKIE_OPTIONS)
}

/** The claims of the plugin's access tokens. */
function newClaims (sid: string) {
  const now = Math.floor(Date.now() / 1000)
  return { sub: 'p1', iat: now, exp: now + 600, jti: randomUUID(), sid, auth_time: now }
}

function refreshClaims (sid: string, gen: number) {
  const now = Math.floor(Date.now() / 1000)
  return { sub: 'p1', sid, gen, auth_time: now, iat: now, exp: now + 604_800, end: now + 2_592_000 }
}
