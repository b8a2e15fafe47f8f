/**
 * Compares the cost of authentication with the same route without it, with hand-written code, and with other packages.
 *
 *     npm run bench                       the whole table, about twenty minutes
 *     npm run bench -- --quick            a rough result, less than five minutes
 *     npm run bench -- --only=refresh     the rows that begin with this
 *     npm run bench -- --rounds=3         this number of rounds
 *     npm run bench -- --add=runs.json    adds the run to those of the file, and prints the table of all
 *     npm run bench -- --docs             writes the table into docs/benchmarks.md too
 */
import { readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { load, start, stop } from './load.js'
import { measureLogins } from './logins.js'
import { addTo, table, type Row, type Samples } from './samples.js'
import { measureStart } from './start-up.js'
import { quantile } from './statistics.js'

const ROWS: readonly Row[] = [
  { subject: 'get: ours', reference: 'get: no authentication', aim: 0.93 },
  { subject: 'get: ours', reference: 'get: @fastify/jwt', aim: 1.7 },
  { subject: 'get: ours', reference: 'get: @fastify/jwt with its cache' },
  { subject: 'get: ours, usual options', reference: 'get: no authentication, a token with iss and aud', aim: 0.93 },
  { subject: 'get: ours, EdDSA', reference: 'get: no authentication, a token as of EdDSA', aim: 0.88 },
  { subject: 'get: ours, ES256', reference: 'get: no authentication, a token as of EdDSA', aim: 0.88 },
  { subject: 'get: ours, RS256', reference: 'get: no authentication, a token as of RS256', aim: 0.88 },
  { subject: 'get: ours, immediate', reference: 'get: no authentication', aim: 0.88 },
  { subject: 'get: ours, immediate, 100,000 revoked', reference: 'get: ours, immediate', aim: 0.98 },
  { subject: 'get: ours, 1,000 tokens', reference: 'get: @fastify/jwt, 1,000 tokens', aim: 1.7 },
  { subject: 'get: ours, 10,000 tokens', reference: 'get: ours, 1,000 tokens', aim: 0.87 },
  { subject: 'get: ours, 100,000 tokens', reference: 'get: ours, 1,000 tokens', aim: 0.77 },
  { subject: 'get: ours, 1,000,000 tokens', reference: 'get: ours, 1,000 tokens' },
  { subject: 'get: ours, 1,000,000 tokens', reference: 'get: @fastify/jwt, 1,000,000 tokens', aim: 1.1 },
  { subject: 'refresh: ours', reference: 'refresh: @fastify/jwt', aim: 0.85 },
  { subject: 'refresh: ours, usual options', reference: 'refresh: @fastify/jwt', aim: 0.75 },
  { subject: 'refresh: ours, immediate', reference: 'refresh: @fastify/jwt' },
  { subject: 'refresh: ours', reference: 'refresh: bare' },
  { subject: 'refresh: ours, Redis', reference: 'refresh: @fastify/jwt + Redis', aim: 0.92 },
  { subject: 'refresh: ours, Redis', reference: 'refresh: bare + Redis' },
  { subject: 'refresh: ours, PostgreSQL', reference: 'refresh: @fastify/jwt + PostgreSQL', aim: 0.92 },
  { subject: 'refresh: ours, PostgreSQL', reference: 'refresh: bare + PostgreSQL' },
  { subject: 'refresh: ours, MariaDB', reference: 'refresh: ours, PostgreSQL' },
  { subject: 'refresh: ours, SQLite', reference: 'refresh: ours, PostgreSQL' },
  { subject: 'get: ours', reference: 'get: hono/jwt', aim: 1 },
  { subject: 'get: ours', reference: 'get: express + jsonwebtoken', aim: 1 },
  { subject: 'get: ours', reference: 'get: @fastify/secure-session', aim: 1 },
  { subject: 'get: ours', reference: 'get: @fastify/session, memory', aim: 1 },
  { subject: 'get: ours', reference: 'get: @fastify/session, Redis', aim: 1 },
  { subject: 'get: ours', reference: 'get: better-auth', aim: 1 },
  { subject: 'get: ours', reference: 'get: better-auth, cookie cache', aim: 1 },
  { subject: 'refresh: ours', reference: 'refresh: hono/jwt', aim: 1 },
  { subject: 'refresh: ours', reference: 'refresh: express + jsonwebtoken', aim: 1 },
  { subject: 'login: ours', reference: 'login: argon2.verify', aim: 0.97 },
  { subject: 'login: a route with argon2.verify', reference: 'login: argon2.verify' },
  { subject: 'start: ours', reference: 'start: @fastify/cookie, @fastify/jwt twice', aim: 0.89 },
  { subject: 'start: ours, login and signup', reference: 'start: @fastify/cookie, @fastify/jwt twice', aim: 0.89 },
  { subject: 'start: ours', reference: 'start: Fastify alone' }
]

const { values: { quick, rounds: wanted, only, add: file, docs } } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string', default: '' },
    add: { type: 'string' },
    docs: { type: 'boolean', default: false }
  }
})
const rounds = Number(wanted ?? (quick ? 1 : 5))
const [seconds, warmUp] = quick ? [0.6, 0.5] : [1.2, 1] // of processor time

const rows = ROWS.filter(({ subject }) => subject.startsWith(only))
const names = [...new Set(rows.flatMap(({ subject, reference }) => [subject, reference]))]
const isLogin = (name: string) => name.startsWith('login')
const samples: Samples = {}

// Each round starts new processes, since compilation and memory layout can make one process faster for its whole life.
for (let round = 0; round < rounds; round++) {
  for (const name of names) if (!isLogin(name)) (samples[name] ??= []).push(name.startsWith('start') ? await measureStart(name) : await measureLoad(name))
}
const logins = names.some(isLogin) ? await measureLogins() : null
Object.assign(samples, logins?.samples)

const measured = file === undefined ? samples : addTo(file, samples)
console.log(table(rows, measured))
if (docs) await writeDocs(table(rows, measured), Math.max(...Object.values(measured).map(({ length }) => length)))
if (logins !== null) {
  const [alone, beside] = [quantile(logins.idle, 0.99), quantile(logins.busy, 0.99)]
  console.log(`\nAn unrelated GET, 99 % of them: ${alone.toFixed(1)} ms alone, ${beside.toFixed(1)} ms while 200 logins wait.`)
}

/** A refresh has more to compile. A token is cached from its second use on, and each of 100,000 needs some. */
function warmUpOf (name: string): number {
  if (name.endsWith('100,000 tokens')) return 20
  return name.startsWith('refresh') ? 3.5 : 2
}

async function measureLoad (name: string) {
  const subject = await start(name)
  await load(subject, warmUp * warmUpOf(name))
  const sample = await load(subject, seconds)
  await stop(subject)
  return sample
}

/** Replaces the text between the marks. */
async function writeDocs (table: string, rounds: number): Promise<void> {
  const page = new URL('../../../docs/benchmarks.md', import.meta.url)
  const conditions = `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.versions.node}, ${rounds} rounds:`
  const text = await readFile(page, 'utf8')
  await writeFile(page, text.replace(/(<!-- bench -->\n)[^]*(<!-- end of bench -->)/, (_, begin, end) => `${begin}${conditions}\n\n${table}\n\n${end}`))
}
