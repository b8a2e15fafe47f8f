/**
 * What a login costs beside the hash that it verifies, and how long other requests wait while many log in.
 *
 *     npm run bench:build && node test/bench/dist/logins.js
 */
import argon2 from 'argon2'
import Fastify from 'fastify'
import refreshCookie, { type User } from 'fastify-refresh-cookie'
import { median, quantile, timed } from './statistics.js'

const ROUNDS = 5
const LOGINS = 40
const WAITING = 200
const PASSWORD = 'correct horse battery staple'

const app = Fastify()
let ada: User | null = null
let sampled = 0
await app.register(refreshCookie, {
  secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*',
  rateLimit: false,
  users: { findByUsername: () => ada },
  passwords: { queue: { waiting: WAITING, maxWait: '1m' } }
})
app.get('/other', async () => 'ok')
const url = await app.listen({ port: 0, host: '127.0.0.1' })
const passwordHash = await app.passwords.hash(PASSWORD)
ada = { id: 1, username: 'ada', passwordHash }

const verify = async () => await argon2.verify(passwordHash, PASSWORD)
const login = async (): Promise<void> => {
  const { statusCode } = await app.inject({ method: 'POST', url: '/auth/login', payload: { username: 'ada', password: PASSWORD } })
  if (statusCode !== 200) throw new Error(`a login answered ${statusCode}`)
}

const ratios: number[] = []
for (let round = 0; round <= ROUNDS; round++) {
  const [alone, whole] = [await timed(() => twoAtOnce(verify)), await timed(() => twoAtOnce(login))]
  if (round > 0) ratios.push(alone / whole) // the first round warms up
}
console.log(`login beside argon2.verify, two at once: ${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}), goal 0.95`)

const idle = await sample(() => sampled >= 500)
let left = WAITING
const logins = Promise.all(Array.from({ length: WAITING }, async () => {
  await login()
  left--
}))
const busy = await sample(() => left === 0)
await logins
console.log(`an unrelated GET, 99 %: ${quantile(idle, 0.99).toFixed(1)} ms idle, ${quantile(busy, 0.99).toFixed(1)} ms while ${WAITING} logins wait (${busy.length} requests), goal 15 ms`)
await app.close()

/** As many at once as the queue of the plugin verifies by default. */
async function twoAtOnce (work: () => Promise<unknown>): Promise<void> {
  await Promise.all([0, 1].map(async () => { for (let nth = 0; nth < LOGINS / 2; nth++) await work() }))
}

/** How long requests take, one after the other, until something is over. */
async function sample (isOver: () => boolean): Promise<number[]> {
  const times: number[] = []
  sampled = 0
  while (!isOver()) {
    times.push(await timed(async () => { await (await fetch(`${url}/other`)).text() }))
    sampled++
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  return times
}
