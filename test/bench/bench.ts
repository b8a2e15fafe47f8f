/**
 * What authentication costs, beside the same route without it and beside what one would write oneself.
 *
 *     npm run bench                    the whole table, ten minutes
 *     npm run bench -- --quick         a first look, a minute
 *     npm run bench -- --only=refresh  the rows that begin with this
 */
import { load, start, stop } from './load.js'
import { measureLogins } from './logins.js'
import { measureStarts } from './start-up.js'
import { median, quantile } from './statistics.js'

/** One thing measured against another in the same run, and the ratio that we want. */
interface Row {
  readonly subject: string
  readonly reference: string
  readonly goal: number
}

const ROWS: readonly Row[] = [
  { subject: 'get: ours', reference: 'get: no authentication', goal: 0.92 },
  { subject: 'get: ours', reference: 'get: @fastify/jwt', goal: 1.7 },
  { subject: 'get: ours, EdDSA', reference: 'get: no authentication, a token as of EdDSA', goal: 0.88 },
  { subject: 'get: ours, ES256', reference: 'get: no authentication, a token as of EdDSA', goal: 0.88 },
  { subject: 'get: ours, RS256', reference: 'get: no authentication, a token as of RS256', goal: 0.88 },
  { subject: 'get: ours, immediate, 100,000 revoked', reference: 'get: ours, immediate', goal: 0.98 },
  { subject: 'refresh: ours', reference: 'refresh: @fastify/jwt', goal: 0.9 },
  { subject: 'refresh: ours', reference: 'refresh: bare', goal: 0.36 },
  { subject: 'refresh: ours, Redis', reference: 'refresh: @fastify/jwt + Redis', goal: 0.9 },
  { subject: 'refresh: ours, Redis', reference: 'refresh: bare + Redis', goal: 0.5 },
  { subject: 'refresh: ours, PostgreSQL', reference: 'refresh: @fastify/jwt + PostgreSQL', goal: 0.9 },
  { subject: 'refresh: ours, PostgreSQL', reference: 'refresh: bare + PostgreSQL', goal: 0.75 },
  { subject: 'refresh: ours, MariaDB', reference: 'refresh: ours, PostgreSQL', goal: 0.7 },
  { subject: 'refresh: ours, SQLite', reference: 'refresh: ours, PostgreSQL', goal: 0.5 },
  { subject: 'get: ours', reference: 'get: express + jsonwebtoken', goal: 1 },
  { subject: 'get: ours', reference: 'get: @fastify/session, memory', goal: 1 },
  { subject: 'get: ours', reference: 'get: @fastify/session, Redis', goal: 1 },
  { subject: 'get: ours', reference: 'get: better-auth', goal: 1 },
  { subject: 'get: ours', reference: 'get: better-auth, cookie cache', goal: 1 },
  { subject: 'refresh: ours', reference: 'refresh: express + jsonwebtoken', goal: 1 }
]

const quick = process.argv.includes('--quick')
const only = process.argv.find(argument => argument.startsWith('--only='))?.slice('--only='.length) ?? ''
const [rounds, seconds, patience] = quick ? [1, 0.6, 0.2] : [5, 1.5, 1]

const rows = ROWS.filter(({ subject }) => subject.startsWith(only))
const names = [...new Set(rows.flatMap(({ subject, reference }) => [subject, reference]))]
const rates = new Map(names.map(name => [name, [] as number[]]))

// A process may have luck, with its compiler or its place in memory, and keeps it: so each round has new ones.
for (let round = 0; round < rounds; round++) {
  for (const name of names) {
    const subject = await start(name)
    await load(subject, patience * (name.startsWith('refresh') ? 3.5 : 2)) // it warms up; a refresh has more to compile
    rates.get(name)?.push((await load(subject, seconds)).perCpuSecond)
    await stop(subject)
  }
}

console.log('| what | beside | a second | beside it | ratio (least to most) | goal | |')
console.log('|---|---|---:|---:|---:|---:|---|')
for (const { subject, reference, goal } of rows) print(subject, reference, rates.get(subject) ?? [], rates.get(reference) ?? [], goal)

if ('login'.startsWith(only)) {
  const { logins, verifications, idle, busy } = await measureLogins()
  print('login', 'argon2.verify', logins, verifications, 0.95)
  const [alone, beside] = [quantile(idle, 0.99), quantile(busy, 0.99)]
  console.log(`| an unrelated GET while 200 logins wait, 99 % | while nothing else happens | ${beside.toFixed(1)} ms | ${alone.toFixed(1)} ms | | 15 ms | ${beside <= 15 ? 'met' : 'missed'} |`)
}
if ('start'.startsWith(only)) {
  const { bare, ours } = await measureStarts()
  const ratio = median(ours.map((time, round) => time / (bare[round] ?? Number.NaN)))
  console.log(`| start: register and ready | @fastify/cookie, @fastify/jwt twice | ${median(ours).toFixed(1)} ms | ${median(bare).toFixed(1)} ms | ${ratio.toFixed(2)} | 1.5 | ${ratio <= 1.5 ? 'met' : 'missed'} |`)
}

function print (subject: string, reference: string, own: readonly number[], other: readonly number[], goal: number): void {
  const ratios = own.map((rate, round) => rate / (other[round] ?? Number.NaN))
  const ratio = median(ratios)
  const spread = `${ratio.toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`
  console.log(`| ${subject} | ${reference} | ${median(own).toFixed(0)} | ${median(other).toFixed(0)} | ${spread} | ${goal} | ${ratio >= goal ? 'met' : 'missed'} |`)
}
