/**
 * What authentication costs, beside the same route without it and beside what one would write oneself.
 *
 *     npm run bench            the whole table, ten minutes
 *     npm run bench -- --quick a first look, a minute
 */
import { load, start, stop } from './load.js'
import { median } from './statistics.js'

/** One thing measured against another in the same run, and the ratio that we want. */
interface Row {
  readonly subject: string
  readonly reference: string
  readonly goal: number
}

const ROWS: readonly Row[] = [
  { subject: 'get: ours', reference: 'get: no authentication', goal: 0.92 },
  { subject: 'get: ours', reference: 'get: @fastify/jwt', goal: 1.7 },
  { subject: 'get: ours, EdDSA', reference: 'get: no authentication', goal: 0.88 },
  { subject: 'get: ours, ES256', reference: 'get: no authentication', goal: 0.88 },
  { subject: 'get: ours, RS256', reference: 'get: no authentication', goal: 0.88 },
  { subject: 'get: ours, immediate, 100,000 revoked', reference: 'get: ours, immediate', goal: 0.98 },
  { subject: 'refresh: ours', reference: 'refresh: @fastify/jwt', goal: 0.9 },
  { subject: 'refresh: ours', reference: 'refresh: bare', goal: 0.36 },
  { subject: 'refresh: ours, Redis', reference: 'refresh: @fastify/jwt + Redis', goal: 0.9 },
  { subject: 'refresh: ours, Redis', reference: 'refresh: bare + Redis', goal: 0.5 },
  { subject: 'refresh: ours, PostgreSQL', reference: 'refresh: @fastify/jwt + PostgreSQL', goal: 0.9 },
  { subject: 'refresh: ours, PostgreSQL', reference: 'refresh: bare + PostgreSQL', goal: 0.75 },
  { subject: 'get: ours', reference: 'get: express + jsonwebtoken', goal: 1 },
  { subject: 'get: ours', reference: 'get: @fastify/session, memory', goal: 1 },
  { subject: 'get: ours', reference: 'get: @fastify/session, Redis', goal: 1 },
  { subject: 'get: ours', reference: 'get: better-auth', goal: 1 },
  { subject: 'get: ours', reference: 'get: better-auth, cookie cache', goal: 1 },
  { subject: 'refresh: ours', reference: 'refresh: express + jsonwebtoken', goal: 1 }
]

const quick = process.argv.includes('--quick')
const only = process.argv.find(argument => argument.startsWith('--only='))?.slice('--only='.length)
const rounds = quick ? 3 : 7
const seconds = quick ? 1 : 4

const names = [...new Set(ROWS.flatMap(({ subject, reference }) => [subject, reference]))].filter(name => only === undefined || name.startsWith(only))
const running = []
for (const name of names) running.push(await start(name))
const rates = new Map(names.map(name => [name, [] as number[]]))

for (let round = 0; round <= rounds; round++) {
  for (const subject of running) {
    const { perCpuSecond } = await load(subject, seconds)
    if (round > 0) rates.get(subject.name)?.push(perCpuSecond) // the first round warms up
  }
}
await Promise.all(running.map(stop))

console.log('| what | beside | a second | beside it | ratio (least to most) | goal | |')
console.log('|---|---|---:|---:|---:|---:|---|')
for (const { subject, reference, goal } of ROWS) {
  const [own, other] = [rates.get(subject), rates.get(reference)]
  if (own === undefined || other === undefined) continue
  const ratios = own.map((rate, round) => rate / (other[round] ?? Number.NaN))
  const ratio = median(ratios)
  const spread = `${ratio.toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`
  console.log(`| ${subject} | ${reference} | ${median(own).toFixed(0)} | ${median(other).toFixed(0)} | ${spread} | ${goal} | ${ratio >= goal ? 'met' : 'missed'} |`)
}
