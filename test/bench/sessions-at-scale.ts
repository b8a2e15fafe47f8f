/**
 * Measures the size of a session, and the cost of a refresh among a million sessions relative to a thousand. Both stores take turns
 * in one run, and every refresh rotates.
 *
 *     npm run bench:build && node test/bench/dist/sessions-at-scale.js memory|redis|postgres|mysql|sqlite [sessions]
 */
import Fastify, { type FastifyInstance } from 'fastify'
import refreshCookie from 'fastify-refresh-cookie'
import { median, timed } from './statistics.js'
import { openStore, type Engine, type MeasuredStore } from './stores.js'

const FEW = 1000
const ROUNDS = 15
const BROWSERS = 400
const AT_ONCE = 8

/** An app with logged-in users. */
interface Crowd {
  readonly app: FastifyInstance
  /** The Cookie header of each user. */
  readonly cookies: string[]
  /** The time of each round of refreshes, in milliseconds. */
  readonly times: number[]
}

const engine = (process.argv[2] ?? 'memory') as Engine
const many = Number(process.argv[3] ?? 1_000_000)

const [few, lots] = [await openStore(engine), await openStore(engine)]
await few.fill(FEW - BROWSERS)
const filled = await timed(async () => { await lots.fill(many - BROWSERS) })
console.log(`${engine}: ${many} sessions written in ${(filled / 1000).toFixed(0)} s, ${Math.round(await lots.size() / many)} bytes each`)

const crowds = [await gather(few), await gather(lots)]
for (let round = 0; round <= ROUNDS; round++) {
  for (const crowd of crowds) crowd.times.push(await timed(() => refreshAll(crowd)))
}
const [ofFew = NaN, ofMany = NaN] = crowds.map(({ times }) => 1000 * median(times.slice(1)) / BROWSERS) // the first round warms up
const ratios = crowds[0]?.times.slice(1).map((time, round) => (crowds[1]?.times[round + 1] ?? NaN) / time) ?? []
console.log(`a refresh among ${FEW}: ${ofFew.toFixed(0)} µs; among ${many}: ${ofMany.toFixed(0)} µs; ratio of the rounds: median ${median(ratios).toFixed(2)}, ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`)
for (const [name, store] of [['few', few], ['many', lots]] as const) {
  const share = await store.hotShare()
  if (share !== null) console.log(`heap-only updates among ${name}: ${(100 * share).toFixed(1)} %`)
}

for (const { app } of crowds) await app.close()
for (const store of [few, lots]) await store.drop()

async function gather ({ store }: MeasuredStore): Promise<Crowd> {
  const app = Fastify()
  await app.register(refreshCookie, {
    secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*',
    store,
    rateLimit: false,
    refreshToken: { grace: 0, recoverLostReply: false }
  })
  app.post<{ Params: { id: string } }>('/enter/:id', async request => await request.auth.login(request.params.id))
  await app.ready()

  const cookies: string[] = []
  for (let nth = 0; nth < BROWSERS; nth++) {
    const answer = await app.inject({ method: 'POST', url: `/enter/p${nth}` })
    cookies.push(cookieOf(answer.headers['set-cookie']))
  }
  return { app, cookies, times: [] }
}

/** All users refresh once, a few at a time. */
async function refreshAll ({ app, cookies }: Crowd): Promise<void> {
  await Promise.all(Array.from({ length: AT_ONCE }, async (_, first) => {
    for (let nth = first; nth < cookies.length; nth += AT_ONCE) {
      const answer = await app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: cookies[nth] } })
      if (answer.statusCode !== 200) throw new Error(answer.body)
      cookies[nth] = cookieOf(answer.headers['set-cookie'])
    }
  }))
}

function cookieOf (setCookie: string | string[] | undefined): string {
  return String(setCookie).split(';')[0] ?? ''
}
