/**
 * Measures the memory of sessions, cached tokens and counted attempts, in bytes each, with a million of each.
 *
 *     npm run bench:build && node test/bench/dist/memory.js [count]
 */
import Fastify from 'fastify'
import refreshCookie from 'fastify-refresh-cookie'
import { SHARED_KEY, tokenOf } from './many-tokens.js'
import { heapUsed, openStore } from './stores.js'

/** The counter of rate limits, which the package does not export. */
interface Counter {
  consume (key: string): Promise<unknown> | unknown
}
type NewCounter = new (limits: readonly object[], maxKeys: number) => Counter

const count = Number(process.argv[2] ?? 1_000_000)
const { MemoryCounter } = await import(new URL('./accounts/attempt-counters.js', import.meta.resolve('fastify-refresh-cookie')).href) as { MemoryCounter: NewCounter }

console.log(`| of ${count.toLocaleString('en')} | bytes each |`)
console.log('|---|---:|')
print('live session, memory store', await bytesOfSession())
print('access token in the verification cache', await bytesOfToken())
print('counted attempt, one limit', await bytesOfAttempt([{ name: 'session', max: 60, per: 60, countsSuccesses: true }]))
print('counted attempt, the two limits of an account', await bytesOfAttempt([{ name: 'account', max: 10, per: 900, countsSuccesses: false }, { name: 'account-day', max: 100, per: 86_400, countsSuccesses: false }]))

async function bytesOfSession (): Promise<number> {
  const { fill, size } = await openStore('memory')
  await fill(count)
  return await size() / count
}

async function bytesOfToken (): Promise<number> {
  const app = Fastify()
  await app.register(refreshCookie, { secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*', keys: [SHARED_KEY], accessToken: { expiresIn: '1d', cacheBytes: 4_000_000_000 } })
  await app.ready()
  const before = heapUsed()
  for (let nth = 0; nth < count; nth++) {
    for (let use = 0; use < 2; use++) await app.verifyAccessToken(asReceived(tokenOf(nth))) // cached from the second on
  }
  const bytes = (heapUsed() - before) / count
  await app.close()
  return bytes
}

async function bytesOfAttempt (limits: readonly object[]): Promise<number> {
  const counter = new MemoryCounter(limits, Infinity)
  const before = heapUsed()
  for (let nth = 0; nth < count; nth++) await counter.consume(`user ${nth}`)
  const bytes = (heapUsed() - before) / count
  await counter.consume('one more, so that the counter is not collected before')
  return bytes
}

/** The token as a part of a header, as in a request. */
function asReceived (token: string): string {
  return Buffer.from(`Bearer ${token}`).toString('latin1').slice('Bearer '.length)
}

function print (what: string, bytes: number): void {
  console.log(`| ${what} | ${bytes.toFixed(0)} |`)
}
