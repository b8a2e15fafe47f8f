/**
 * Measures whether the time of a failed login reveals the reason: several kinds of failures with the default hashing, in random
 * order, one after the other. Prints the median of each kind, and its distance from the median of all.
 *
 *     npm run bench:build && node test/bench/dist/failing-logins.js [samples of each kind]
 */
import Fastify from 'fastify'
import refreshCookie, { type User } from 'fastify-refresh-cookie'
import { median, timed } from './statistics.js'

const SAMPLES = Number(process.argv[2] ?? 200)
const PASSWORD = 'correct horse battery staple'

const users = new Map<string, User>()
const app = Fastify()
await app.register(refreshCookie, {
  secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*',
  rateLimit: false,
  users: { findByUsername: name => users.get(name) ?? null }
})
await app.ready()

const passwordHash = await app.passwords.hash(PASSWORD)
const kinds = {
  'unknown user': null,
  'wrong password': { id: 1, username: 'wrong password', passwordHash },
  'disabled user': { id: 2, username: 'disabled user', passwordHash, disabled: true },
  'broken hash': { id: 3, username: 'broken hash', passwordHash: passwordHash.slice(0, -9) },
  'no password': { id: 4, username: 'no password', passwordHash: null }
} satisfies Record<string, User | null>

for (const user of Object.values(kinds)) if (user !== null) users.set(user.username, user)
const names = Object.keys(kinds)
const times = new Map(names.map(name => [name, [] as number[]]))
const order = names.flatMap(name => Array<string>(SAMPLES).fill(name))
  .map(name => ({ name, place: Math.random() }))
  .sort((one, other) => one.place - other.place)

for (const { name } of order) {
  const payload = { username: name, password: name === 'disabled user' ? PASSWORD : 'wrong password' }
  times.get(name)?.push(await timed(async () => {
    const { statusCode } = await app.inject({ method: 'POST', url: '/auth/login', payload })
    if (statusCode !== 401) throw new Error(`${name} answered ${statusCode}`)
  }))
}

const all = median([...times.values()].flat())
console.log(`${SAMPLES} failed logins of each kind, in random order; the median of all is ${all.toFixed(1)} ms`)
for (const [name, samples] of times) {
  const own = median(samples)
  console.log(`${name.padEnd(16)} ${own.toFixed(1).padStart(7)} ms ${(100 * (own / all - 1)).toFixed(1).padStart(6)} %`)
}
await app.close()
