import t from 'tap'
import { type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { toSessionView } from '../../lib/http/session-view.js'
import { DOCUMENTATION } from '../support/documentation.js'
import { exactly } from '../support/exactly.js'
import { foundAfter, getsIn, HABITS, informedFoundAfter, isFollowerFound, isLoggedOut, USES, type View } from './scenarios.js'

/**
 * The effect of the rotation policy on honest users and attackers: the real session service with browsers, networks
 * and attackers from a seeded random generator.
 */

const ROUNDS = 100
const HONEST_RUNS = 50
const THEFTS = 200
const COPIES = 1000

type Policy = Partial<RotationPolicy>

const OURS: Policy = {}
const CAUTIOUS: Policy = { recoverLostReply: false }
const STRICT: Policy = { grace: 0, recoverLostReply: false }

/** The results of one policy. */
interface Outcome {
  /** The share of honest users who were logged out within the rounds, by scenario. */
  readonly loggedOut: Record<string, number>
  /** Seconds from each theft to its detection, by the attacker's habit, shortest first. */
  readonly found: Record<string, number[]>
  /** The share of copies first used 15 minutes after the theft that were accepted. */
  readonly getsIn: number
}

async function simulate (policy: Policy): Promise<Outcome> {
  const loggedOut: Outcome['loggedOut'] = {}
  const found: Outcome['found'] = {}
  for (const [name, use] of Object.entries(USES)) loggedOut[name] = await share(HONEST_RUNS, seed => isLoggedOut(policy, use, ROUNDS, seed))
  for (const [name, habit] of Object.entries(HABITS)) found[name] = await timesFound(seed => foundAfter(policy, habit, seed))
  found['informed'] = await timesFound(seed => informedFoundAfter(policy, toSessionView, seed))
  return { loggedOut, found, getsIn: await share(COPIES, seed => getsIn(policy, 15 * 60, seed)) }
}

/** The share of seeded runs in which something happens. */
async function share (runs: number, happens: (seed: number) => Promise<boolean>): Promise<number> {
  let count = 0
  for (let seed = 1; seed <= runs; seed++) count += await happens(seed) ? 1 : 0
  return count / runs
}

async function timesFound (foundAfter: (seed: number) => Promise<number>): Promise<number[]> {
  const times: number[] = []
  for (let seed = 1; seed <= THEFTS; seed++) times.push(await foundAfter(seed))
  return times.sort((a, b) => a - b)
}

const medianOf = (sorted: number[] = []): number => sorted[Math.floor(sorted.length / 2)] ?? NaN
const percent = (share: number): string => `${Math.round(share * 100)} %`
const minutes = (seconds: number): string => `${Math.round(seconds / 60)} min`

const ours = await simulate(OURS)
const cautious = await simulate(CAUTIOUS)
const strict = await simulate(STRICT)

/** The outcomes side by side, so that an attacker's success stands beside its detection. */
function table (outcomes: Record<string, Outcome>): string[] {
  const titles = ['policy', ...Object.keys(USES), ...[...Object.keys(HABITS), 'informed'].map(habit => `${habit} thief found after`), 'thief gets in']
  const rows = Object.entries(outcomes).map(([policy, { loggedOut, found, getsIn }]) => [
    policy, ...Object.values(loggedOut).map(percent), ...Object.values(found).map(times => minutes(medianOf(times))), percent(getsIn)
  ])
  const widths = titles.map((_, i) => Math.max(...[titles, ...rows].map(row => row[i]?.length ?? 0)))
  return [titles, ...rows].map(row => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | '))
}

t.test('the table of rotation policies', async t => {
  t.comment(`honest people logged out within ${ROUNDS} refreshes; thieves found after the theft, median of ${THEFTS}; a copy first used 15 min after the theft gets in`)
  for (const line of table({ ours, 'recoverLostReply: false': cautious, 'strict (grace: 0)': strict })) t.comment(line)
})

t.test('the documentation has the same figures', async t => {
  const policies = { default: ours, '`recoverLostReply: false`': cautious, 'strict: `grace: 0, recoverLostReply: false`': strict }
  const printed = DOCUMENTATION.replaceAll('**', '')
  for (const [policy, { loggedOut, found, getsIn }] of Object.entries(policies)) {
    const thieves = [found['random'], found['informed']].map(times => minutes(medianOf(times)))
    const row = [policy, ...Object.values(loggedOut).map(percent), ...thieves, percent(getsIn)]
    t.ok(printed.includes(`| ${row.join(' | ')} |`), row.join(' | '))
  }
})

t.test('an honest user is never logged out', async t => {
  for (const [use, loggedOut] of Object.entries(ours.loggedOut)) t.equal(loggedOut, 0, use)
})

t.test('strict rotation logs honest users out, so the simulation can fail', async t => {
  for (const [use, loggedOut] of Object.entries(strict.loggedOut)) t.ok(loggedOut > 0.4, use)
})

t.test('without recoverLostReply only lost replies cost a login', async t => {
  const [tabs, badNetwork, lost] = Object.values(cautious.loggedOut)
  t.match([tabs, badNetwork], exactly(0, 0))
  t.equal(lost, Object.values(strict.loggedOut)[2])
})

t.test('token theft: attacker and owner never both continue, and detection takes at most twice the time of strict rotation', async t => {
  for (const habit of Object.keys(HABITS)) {
    const times = ours.found[habit] ?? []
    t.ok(times.every(Number.isFinite), `${habit}: every one is found`)
    t.ok(medianOf(times) < 2 * medianOf(strict.found[habit]), `${habit}: soon`)
  }
})

t.test('token theft: an attacker who polls the API is detected within an hour, no later than one who does not', async t => {
  const times = ours.found['informed'] ?? []
  t.equal(times.length, THEFTS)
  t.ok(times.every(time => time <= 3600), `the last one after ${minutes(Math.max(...times))}`)
  t.ok(medianOf(times) <= medianOf(ours.found['random']))
})

t.test('token theft: exact refresh times in the session list would hide that attacker for hours, so the simulation can fail', async t => {
  const exact: View = ({ rotatedAt }) => ({ rotatedAt })
  const times: number[] = []
  for (let seed = 1; seed <= 20; seed++) times.push(await informedFoundAfter(OURS, exact, seed))
  t.ok(medianOf(times.sort((a, b) => a - b)) > 3600)
})

t.test('token theft: a copy one generation old works until the owner\'s next refresh, unless recoverLostReply is false', async t => {
  t.ok(ours.getsIn > strict.getsIn + 0.2)
  t.ok(Math.abs(cautious.getsIn - strict.getsIn) < 0.05)
})

t.test('token theft: only strict rotation detects an attacker who follows every refresh within seconds', async t => {
  t.equal(await share(10, seed => isFollowerFound(OURS, ROUNDS, seed)), 0)
  t.equal(await share(10, seed => isFollowerFound(STRICT, ROUNDS, seed)), 1)
})
