/**
 * Measures the cost of a request as an app grows, relative to a small app. The sizes run in turn in one process, without a network.
 * Prints a table and draws it.
 *
 *     npm run bench:build && node test/bench/dist/growth.js
 */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify'
import refreshCookie, { memoryStore, type RefreshCookieOptions } from 'fastify-refresh-cookie'
import { chart, type Line } from './chart.js'
import { madeUpSession } from './made-up-session.js'
import { median, timed } from './statistics.js'

const ROUNDS = 15
const REQUESTS = 1000
const BROWSERS = 100
const MORE_THAN_REMEMBERED = 20_000
const ROTATE_ALWAYS = { grace: 0, recoverLostReply: false } as const

/** Sends one request. */
type Ask = () => Promise<void>

interface Dimension {
  readonly name: string
  readonly sizes: readonly number[]
  /** Makes an app of a size; the result sends it a request. */
  readonly make: (size: number) => Promise<Ask>
}

const DIMENSIONS: readonly Dimension[] = [
  {
    name: 'sessions (refresh)',
    sizes: [1000, 10_000, 100_000, 1_000_000],
    async make (size) {
      const app = await newApp({ refreshToken: ROTATE_ALWAYS })
      for (let nth = BROWSERS; nth < size; nth++) await app.store.create(madeUpSession(`s${nth}`))
      return await refreshing(app.app, nth => `p${nth}`)
    }
  },
  {
    name: 'sessions of one user (refresh)',
    sizes: [100, 1000, 10_000],
    async make (size) {
      const { app, store } = await newApp({ refreshToken: ROTATE_ALWAYS })
      for (let nth = BROWSERS; nth < size; nth++) await store.create(madeUpSession('p'))
      return await refreshing(app, () => 'p')
    }
  },
  {
    name: 'keys (GET, every token verified)',
    sizes: [1, 5, 20],
    async make (size) {
      const keys = Array.from({ length: size }, (_, nth) => ({ kid: String(nth), algorithm: 'HS256', use: nth === 0 ? 'sign' : 'verify', secret: randomBytes(32).toString('base64') }) as const)
      const { app } = await newApp({ keys })
      return await getting(app, MORE_THAN_REMEMBERED)
    }
  },
  {
    name: 'access tokens in use (GET)',
    sizes: [1, 100, 1000, 10_000, 100_000],
    async make (size) {
      const { app } = await newApp({})
      return await getting(app, size)
    }
  },
  {
    name: 'revoked sessions (GET)',
    sizes: [1, 100, 10_000, 100_000],
    async make (size) {
      const { app, store } = await newApp({ revocation: 'immediate' })
      for (let nth = 0; nth < size; nth++) {
        const session = madeUpSession(`s${nth}`)
        await store.create(session)
        await store.revoke(session.id, 'logout')
      }
      return await getting(app, BROWSERS)
    }
  }
]

const lines: Line[] = []
console.log('| as there are more | of them | µs a request | beside the first |')
console.log('|---|---:|---:|---:|')
for (const { name, sizes, make } of DIMENSIONS) {
  const asks: Ask[] = []
  for (const size of sizes) asks.push(await make(size))
  const times = asks.map((): number[] => [])
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, ask] of asks.entries()) {
      const time = await timed(async () => { for (let nth = 0; nth < REQUESTS; nth++) await ask() })
      await breathe()
      if (round > 0) times[index]?.push(1000 * time / REQUESTS) // the first round warms up
    }
  }
  const points = sizes.map((size, index) => {
    const ratios = times[index]?.map((time, round) => time / (times[0]?.[round] ?? Number.NaN)) ?? []
    const ratio = median(ratios)
    console.log(`| ${name} | ${size.toLocaleString('en')} | ${median(times[index] ?? []).toFixed(0)} | ${ratio.toFixed(2)} |`)
    return { size, ratio }
  })
  lines.push({ name, points })
}
await writeFile(new URL('../../../docs/growth.svg', import.meta.url), chart(lines))

async function newApp (options: RefreshCookieOptions) {
  const app = Fastify()
  const store = memoryStore()
  await app.register(refreshCookie, { secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*', store, rateLimit: false, ...options })
  app.post<{ Params: { id: string } }>('/enter/:id', async request => await request.auth.login(request.params.id))
  app.get('/me', { onRequest: app.authenticate }, async request => ({ id: request.auth.claims.sub }))
  await app.ready()
  return { app, store }
}

/** Browsers that refresh in turn, each with its latest cookie. */
async function refreshing (app: FastifyInstance, person: (nth: number) => string): Promise<Ask> {
  const cookies: string[] = []
  const send = async (nth: number, options: InjectOptions) => {
    const { statusCode, headers, body } = await app.inject({ method: 'POST', ...options })
    if (statusCode !== 200) throw new Error(body)
    cookies[nth] = String(headers['set-cookie']).split(';')[0] ?? ''
  }
  for (let nth = 0; nth < BROWSERS; nth++) await send(nth, { url: `/enter/${person(nth)}` })
  let turn = 0
  return async () => {
    const nth = turn++ % BROWSERS
    await send(nth, { url: '/auth/refresh', headers: { cookie: cookies[nth] ?? '' } })
  }
}

/** Requests with `count` different access tokens, in turn. */
async function getting (app: FastifyInstance, count: number): Promise<Ask> {
  const tokens: string[] = []
  for (let nth = 0; nth < count; nth++) {
    tokens.push((await app.inject({ method: 'POST', url: `/enter/p${nth}` })).json().access_token)
    if (nth % 100 === 0) await breathe()
  }
  let turn = 0
  return async () => {
    const { statusCode } = await app.inject({ url: '/me', headers: { authorization: `Bearer ${tokens[turn++ % count]}` } })
    if (statusCode !== 200) throw new Error(`a request answered ${statusCode}`)
  }
}

/** Ends a turn of the event loop, which injected requests never do, so that Node cleans up. */
async function breathe (): Promise<void> {
  await new Promise(setImmediate)
}
