import t from 'tap'
import { decide, decideRenewal, isYoung, nextGeneration, type Decision, type Presented, type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { type Session } from '../../lib/sessions/session.js'
import { START as NOW } from '../support/fake-clock.js'

const GRACE = 30
const IDLE = 604_800
const END = NOW + 2_000_000

const policy: RotationPolicy = { rotation: 'always', grace: GRACE, recoverLostReply: true, idle: IDLE }
const never: Partial<RotationPolicy> = { rotation: 'never' }
const strict: Partial<RotationPolicy> = { grace: 0, recoverLostReply: false }
const forgetful: Partial<RotationPolicy> = { recoverLostReply: false }

/** A session at generation 5 that was rotated `age` seconds ago. */
function sessionOf (age: number, row: Partial<Session> = {}): Session {
  return {
    id: 'id',
    subject: 'ada',
    generation: 5,
    previous: 4,
    rotatedAt: NOW - age,
    createdAt: NOW - 5000,
    expiresAt: END,
    idleExpiresAt: NOW - age + IDLE,
    authTime: NOW - 5000,
    userAgent: null,
    ip: null,
    ...row
  }
}

interface Token extends Partial<Omit<Presented, 'claimed'>> {
  readonly expiresAt?: number
}

/** A token that was issued ten seconds ago. */
function presentedOf (generation: number, { expiresAt = NOW - 10 + IDLE, ...presented }: Token = {}): Presented {
  const claimed = sessionOf(10, { generation, previous: generation === 0 ? null : generation - 1, idleExpiresAt: expiresAt })
  return { claimed, signedByCurrentKey: true, userAgent: null, ...presented }
}

const hold: Decision = { answer: 'hold' }
const replay: Decision = { answer: 'replay' }
const reuse: Decision = { refuse: 'reuse' }
const next = { generation: 6, previous: 5, rotatedAt: NOW, idleExpiresAt: NOW + IDLE }
const rotate: Decision = { write: 'rotate', change: next }
const recover: Decision = { write: 'recover', change: { ...next, previous: 4 } }

/** The heal of a token of `generation`, issued ten seconds ago by default. */
function heal (generation: number, issuedAt = NOW - 10, idleExpiresAt = NOW - 10 + IDLE): Decision {
  return { write: 'heal', change: { generation, previous: generation - 1, rotatedAt: issuedAt, idleExpiresAt } }
}

interface Row {
  readonly age?: number
  readonly row?: Partial<Session>
  readonly policy?: Partial<RotationPolicy>
  readonly token?: Token
}

const CURRENT: Array<[title: string, row: Row, decision: Decision]> = [
  ['just issued: held', { age: 0 }, hold],
  ['a second before the end of grace: held', { age: GRACE - 1 }, hold],
  ['at the end of grace: rotated', { age: GRACE }, rotate],
  ['a second after it: rotated', { age: GRACE + 1 }, rotate],
  ['issued in the future of this clock: held', { age: -1 }, hold],
  ['issued far in the future of this clock: held', { age: -GRACE * 10 }, hold],
  ['grace 0, just issued: rotated', { age: 0, policy: strict }, rotate],
  ['grace 0, issued in the future: rotated', { age: -1, policy: strict }, rotate],
  ['rotation never, young: held', { age: 0, policy: never }, hold],
  ['rotation never, old: held', { age: GRACE, policy: never }, hold],
  ['rotation never, grace 0: held', { age: 100, policy: { ...never, ...strict } }, hold],
  ['lost replies not recovered, old: rotated', { age: GRACE, policy: forgetful }, rotate],
  ['signed by a retired key, old: rotated', { age: GRACE, token: { signedByCurrentKey: false } }, rotate],
  ['signed by a retired key, young: held', { age: 0, token: { signedByCurrentKey: false } }, hold],
  ['its first generation: rotated', { age: GRACE, row: { generation: 5, previous: null } }, rotate],
  ['near the absolute expiry: rotated, idle expiry limited by it', {
    age: GRACE,
    row: { expiresAt: NOW + 60 }
  }, { write: 'rotate', change: { ...next, idleExpiresAt: NOW + 60 } }]
]

const PREVIOUS: Array<[title: string, row: Row, decision: Decision]> = [
  ['the current one just issued: replayed', { age: 0 }, replay],
  ['a second before the end of grace: replayed', { age: GRACE - 1 }, replay],
  ['at the end of grace: recovered', { age: GRACE }, recover],
  ['a second after it: recovered', { age: GRACE + 1 }, recover],
  ['days later: recovered', { age: 600_000 }, recover],
  ['the current one issued in the future of this clock: replayed', { age: -1 }, replay],
  ['lost replies not recovered, young: replayed', { age: GRACE - 1, policy: forgetful }, replay],
  ['lost replies not recovered, at the end of grace: reuse', { age: GRACE, policy: forgetful }, reuse],
  ['grace 0, in the same second: reuse', { age: 0, policy: strict }, reuse],
  ['grace 0, issued in the future: reuse', { age: -1, policy: strict }, reuse],
  ['rotation never, young: replayed', { age: GRACE - 1, policy: never }, replay],
  ['rotation never, old: recovered', { age: GRACE, policy: never }, recover],
  ['signed by a retired key, young: replayed', { age: 0, token: { signedByCurrentKey: false } }, replay],
  ['signed by a retired key, old: recovered', { age: GRACE, token: { signedByCurrentKey: false } }, recover],
  ['near the absolute expiry: recovered, idle expiry limited by it', {
    age: GRACE,
    row: { expiresAt: NOW + 60 }
  }, { write: 'recover', change: { ...next, previous: 4, idleExpiresAt: NOW + 60 } }]
]

/** The current one is 5. Its predecessor is 4 without a recovery, and one lower per recovery. */
const RECOVERED: Array<[title: string, previous: number, row: Row, decision: Decision]> = [
  ['recovered once: once more', 3, { age: GRACE }, { write: 'recover', change: { ...next, previous: 3 } }],
  ['recovered twice: once more', 2, { age: GRACE }, { write: 'recover', change: { ...next, previous: 2 } }],
  ['recovered three times: reuse', 1, { age: GRACE }, reuse],
  ['recovered three times, days ago: reuse', 1, { age: 600_000 }, reuse],
  ['recovered three times, the current one young: replayed', 1, { age: GRACE - 1 }, replay],
  ['recovered more often, by an older release: reuse', 0, { age: GRACE }, reuse],
  ['rotation never, recovered three times: reuse', 1, { age: GRACE, policy: never }, reuse]
]

const AHEAD: Array<[title: string, generation: number, row: Row, decision: Decision]> = [
  ['one ahead: healed', 6, { age: 100 }, heal(6)],
  ['many ahead: healed', 1000, { age: 100 }, heal(1000)],
  ['issued when the row was written: healed', 6, { age: 10 }, heal(6)],
  ['issued a second before the row was written: reuse', 6, { age: 9 }, reuse],
  ['signed by a retired key: reuse', 6, { age: 100, token: { signedByCurrentKey: false } }, reuse],
  ['with any policy: healed', 6, { age: 100, policy: strict }, heal(6)],
  ['rotation never: healed', 6, { age: 100, policy: never }, heal(6)],
  ['idle expiry of the token before the absolute one: kept', 6, { age: 100, token: { expiresAt: NOW + 77 } }, heal(6, NOW - 10, NOW + 77)],
  ['idle expiry of the token beyond the absolute one: limited', 6, { age: 100, row: { expiresAt: NOW + 60 } }, heal(6, NOW - 10, NOW + 60)]
]

const bound: Partial<RotationPolicy> = { bindUserAgent: true }

const BOUND: Array<[title: string, generation: number, row: Row, decision: Decision]> = [
  ['the previous one from the same browser, young: replayed', 4, { age: 0, token: { userAgent: 'Firefox/131' } }, replay],
  ['the previous one from the same browser, old: recovered', 4, { age: GRACE, token: { userAgent: 'Firefox/131' } }, recover],
  ['the previous one from another, young: reuse', 4, { age: 0, token: { userAgent: 'curl/8' } }, reuse],
  ['the previous one from another, old: reuse', 4, { age: GRACE, token: { userAgent: 'curl/8' } }, reuse],
  ['the previous one from an unknown browser: reuse', 4, { age: 0 }, reuse],
  ['the current one from another, young: held', 5, { age: 0, token: { userAgent: 'curl/8' } }, hold],
  ['the current one from another, old: rotated', 5, { age: GRACE, token: { userAgent: 'curl/8' } }, rotate],
  ['one ahead from another: healed', 6, { age: 100, token: { userAgent: 'curl/8' } }, heal(6)]
]

const OLDER: Array<[title: string, generation: number, row: Row]> = [
  ['one older than the previous, young', 3, { age: 0 }],
  ['one older than the previous, old', 3, { age: GRACE }],
  ['the first', 0, { age: 0 }],
  ['the successor that a recovery invalidated, young', 5, { age: 0, row: { generation: 6, previous: 4 } }],
  ['the successor that a recovery invalidated, old', 5, { age: GRACE, row: { generation: 6, previous: 4 } }],
  ['below a first generation, without a previous one', 0, { age: 0, row: { generation: 1, previous: null } }],
  ['with rotation never', 3, { age: 0, policy: never }],
  ['with grace 0', 3, { age: 0, policy: strict }]
]

t.test('rotation table: the current generation', async t => {
  for (const [title, row, decision] of CURRENT) t.strictSame(decided(5, row), decision, title)
})

t.test('rotation table: the previous generation', async t => {
  for (const [title, row, decision] of PREVIOUS) t.strictSame(decided(4, row), decision, title)
})

t.test('token theft: a replaced token is recovered three times, a fourth use is reuse', async t => {
  for (const [title, previous, row, decision] of RECOVERED) t.strictSame(decided(previous, { ...row, row: { previous } }), decision, title)
})

t.test('rotation table: a generation ahead of the row', async t => {
  for (const [title, generation, row, decision] of AHEAD) t.strictSame(decided(generation, row), decision, title)
})

t.test('rotation table: bindUserAgent', async t => {
  for (const [title, generation, row, decision] of BOUND) {
    t.strictSame(decided(generation, { ...row, policy: bound, row: { userAgent: 'Firefox/130' } }), decision, title)
  }
})

t.test('reuse detection: every other generation', async t => {
  for (const [title, generation, row] of OLDER) t.strictSame(decided(generation, row), reuse, title)
})

t.test('an ended session keeps its reason for any token at any time', async t => {
  for (const generation of [0, 4, 5, 6]) {
    for (const expiresAt of [END, NOW - 1]) {
      const ended = (reason: Session['reason']): Row => ({ age: 0, row: { expiresAt, revokedAt: NOW - 5, reason: reason ?? null } })
      t.strictSame(decided(generation, ended('reuse')), { refuse: 'endedByReuse' })
      for (const reason of ['logout', 'revoked', 'user_refused', 'superseded', 'password_changed', 'limit', null] as const) {
        t.strictSame(decided(generation, ended(reason)), { refuse: 'ended' }, `${reason}`)
      }
    }
  }
})

t.test('idle and absolute expiry are exact for any token', async t => {
  for (const end of ['idleExpiresAt', 'expiresAt'] as const) {
    for (const generation of [0, 4, 5, 6]) {
      t.strictSame(decided(generation, { age: 0, row: { [end]: NOW - 1 } }), { refuse: 'expired' }, `a second after ${end}`)
      t.strictSame(decided(generation, { age: 0, row: { [end]: NOW } }), { refuse: 'expired' }, `at ${end}`)
      t.notMatch(decided(generation, { age: 0, row: { [end]: NOW + 1 } }), { refuse: 'expired' }, `a second before ${end}`)
    }
  }
})

t.test('young means less than grace; the future is young; without grace nothing is', async t => {
  const ages: Array<[age: number, young: boolean]> = [[-1000, true], [-1, true], [0, true], [29, true], [30, false], [31, false]]
  for (const [age, young] of ages) t.equal(isYoung(NOW - age, NOW, GRACE), young, `age ${age}`)
  for (const [age] of ages) t.notOk(isYoung(NOW - age, NOW, 0), `age ${age}, grace 0`)
})

t.test('a rotation increments the generation and remembers the previous one', async t => {
  t.strictSame(nextGeneration(0, END, policy, NOW), { generation: 1, previous: 0, rotatedAt: NOW, idleExpiresAt: NOW + IDLE })
  t.strictSame(nextGeneration(5, NOW + IDLE, policy, NOW), next, 'both expiries at once')
  t.strictSame(nextGeneration(5, NOW + IDLE - 1, policy, NOW), { ...next, idleExpiresAt: NOW + IDLE - 1 }, 'never beyond the absolute expiry')
})

function decided (generation: number, { age = 0, row, policy: own, token }: Row): Decision {
  return decide(sessionOf(age, row), presentedOf(generation, token), { ...policy, ...own }, NOW)
}

t.test('rotation table: renewal by an access token', async t => {
  const RENEWALS: Array<[title: string, row: Row, decision: Decision]> = [
    ['of a young generation: replayed, so that tabs converge', { age: 0 }, replay],
    ['a second before the end of grace: replayed', { age: GRACE - 1 }, replay],
    ['at the end of grace: rotated', { age: GRACE }, rotate],
    ['after the idle expiry: rotated', { age: IDLE }, rotate],
    ['of a young generation after its idle expiry: rotated', { age: 0, row: { idleExpiresAt: NOW } }, rotate],
    ['rotation never: extended, so that a cookie that was not sent stays valid', { age: GRACE, policy: never }, { write: 'rotate', change: { ...next, generation: 5, previous: 4 } }],
    ['without a grace period: rotated at once', { age: 0, policy: strict }, rotate],
    ['near the absolute expiry: limited by it', { age: GRACE, row: { expiresAt: NOW + 1 } }, { write: 'rotate', change: { ...next, idleExpiresAt: NOW + 1 } }],
    ['at the absolute expiry: refused', { age: GRACE, row: { expiresAt: NOW } }, { refuse: 'expired' }],
    ['of a session that ended: refused', { age: 0, row: { revokedAt: NOW, reason: 'logout' } }, { refuse: 'ended' }],
    ['of one that ended by reuse: refused', { age: 0, row: { revokedAt: NOW, reason: 'reuse' } }, { refuse: 'endedByReuse' }],
    ['by another browser, with bindUserAgent: refused', { age: 0, row: { userAgent: 'Firefox' }, policy: { bindUserAgent: true } }, { refuse: 'expired' }],
    ['by another browser, without it: as by any', { age: 0, row: { userAgent: 'Firefox' } }, replay]
  ]
  for (const [title, { age = 0, row, policy: over }, decision] of RENEWALS) {
    t.strictSame(decideRenewal(sessionOf(age, row), null, { ...policy, ...over }, NOW), decision, title)
  }
})
