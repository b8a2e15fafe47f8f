import assert from 'node:assert/strict'
import { type RefreshClaims } from '../../lib/tokens/claims.js'
import { type Identity } from '../../lib/sessions/identify.js'
import { type RefreshOutcome } from '../../lib/sessions/rotation-policy.js'
import { isRevoked, type Session } from '../../lib/sessions/session.js'
import { type EpochSeconds, type Seconds } from '../../lib/time.js'
import { type FakeTokens } from '../support/fake-tokens.js'
import { type Answer, GRACE } from '../support/core.js'
import { IDLE } from './steps.js'

/** The expected state of a session beside its row. */
export interface Family {
  readonly subject: string
  /** Its row after the last step; null before the first, and after a purge. */
  row: Session | null
  /** Its rows, one for each change, oldest first. */
  readonly rows: Session[]
  /** The issue time of each generation, in seconds since the start of the script. */
  readonly since: Map<string, Seconds>
  /** An attacker has a copy of its token. */
  stolen: boolean
  /** It was ended by a call that has returned. */
  ended: boolean
  /** Its row was reset. */
  forgotten: boolean
  /** The owner may lose it. */
  disturbed: boolean
}

/** One refresh: the presented token, the row, and the result. */
export interface Presentation {
  readonly token: RefreshClaims
  readonly signedByCurrentKey: boolean
  readonly family: Family
  /** True if the user may log in. */
  readonly active: boolean
  /** True if the store was about to fail. */
  readonly faulty: boolean
  readonly before: Session | null
  readonly after: Session | null
  readonly answer: Answer
  readonly now: EpochSeconds
}

/** One page request: the presented token, the row, and the answer. */
export type PageView = Omit<Presentation, 'signedByCurrentKey' | 'answer'> & { readonly answer: Identity | string }

interface Meeting {
  readonly token: RefreshClaims
  readonly before: Session
  readonly after: Session
  readonly now: EpochSeconds
}

/** The relation of token, row before and row after for each outcome. Young is exactly less than grace. */
const MEANINGS: Record<RefreshOutcome, (meeting: Meeting) => boolean> = {
  hold: m => m.token.gen === m.before.generation && isYoung(m.before, m.now) && m.after.generation === m.before.generation,
  replay: m => m.token.gen === m.before.previous && isYoung(m.before, m.now) && m.after.generation === m.before.generation,
  // Token and row differ in age only if a store issued a lost generation again.
  rotate: m => m.token.gen === m.before.generation && m.now - Math.min(m.token.iat, m.before.rotatedAt) >= GRACE && isNext(m),
  recover: m => m.token.gen === m.before.previous && !isYoung(m.before, m.now) && !isUsedUp(m.before) && isNext(m),
  heal: m => m.token.gen > m.before.generation && m.token.iat >= m.before.rotatedAt && m.after.generation - m.token.gen <= 1
}

/** Checks one refresh against the invariants of a session. */
export function checkPresentation (p: Presentation, tokens: FakeTokens): void {
  const { outcome, issued } = p.answer
  const expected = expectation(p)
  if (outcome === 'FST_AUTH_STORE_UNAVAILABLE') return assert.ok(p.faulty, 'I7: 503 only while the store fails')
  assert.notEqual(outcome, 'FST_AUTH_BUSY', 'I7: nobody competes here')
  if (issued === null) {
    assert.notEqual(expected, 'served', `I3: an honest owner is refused with ${outcome}`)
    assert.equal(p.after?.generation, p.before?.generation, 'I7: a refusal changes nothing')
    return
  }
  assert.notEqual(expected, 'refused', `I4: what is over or was replaced is answered with ${outcome}`)
  assert.ok(p.before !== null && p.after !== null, 'I4: a session without a row is accepted')

  const meeting: Meeting = { token: p.token, before: p.before, after: p.after, now: p.now }
  assert.ok(MEANINGS[outcome as RefreshOutcome](meeting), `I1: ${outcome} means something else than ${JSON.stringify(meeting)}`) // a refusal issues nothing
  assert.ok(outcome !== 'heal' || p.signedByCurrentKey, 'I1: a retired key heals nothing')
  checkIssued(p.answer, meeting, tokens)
}

/** Checks one page request: it is answered as a refresh would be, changes nothing but on reuse, and shows nothing that a rotation changes. */
export function checkPageView (view: PageView): void {
  const { answer, before, after } = view
  const expected = expectation(view)
  if (answer === 'FST_AUTH_STORE_UNAVAILABLE') return assert.ok(view.faulty, 'I7: 503 only while the store fails')
  if (answer !== 'FST_AUTH_REFRESH_TOKEN_REUSED') assert.deepEqual(after, before, 'I13: a page view changes nothing')
  if (typeof answer === 'string') return assert.notEqual(expected, 'served', `I3: an honest owner sees ${answer} instead of the page`)
  assert.notEqual(expected, 'refused', 'I4: an ended session or a replaced token is shown the page')
  assert.ok(before !== null)
  const { subject, id, authTime, expiresAt } = before
  assert.deepEqual(answer, { sub: subject, sid: id, auth_time: authTime, expiresAt, claims: {} }, 'I13: a page shows only what no rotation changes')
}

/** The expected result of a refresh. */
function expectation ({ token, family, active, before, now }: Omit<Presentation, 'signedByCurrentKey' | 'answer'>): 'served' | 'refused' | 'either' {
  if (family.ended || !active || before === null || isRevoked(before)) return 'refused'
  if (now >= token.exp || now >= before.idleExpiresAt || now >= before.expiresAt) return 'refused'
  if (token.gen === before.previous && !isYoung(before, now) && isUsedUp(before)) return 'refused'
  if (!family.stolen && !family.disturbed) return 'served'
  return token.gen < before.generation && token.gen !== before.previous ? 'refused' : 'either'
}

function checkIssued ({ outcome, issued }: Answer, { token, after, now }: Meeting, tokens: FakeTokens): void {
  assert.ok(issued !== null)
  assert.ok(issued.expiresIn > 0 && issued.claims.exp <= after.expiresAt, 'I6: an access token lives within its session')
  if (issued.refreshToken === null) {
    assert.equal(outcome, 'hold', 'I2: every outcome but a hold sends a cookie')
    assert.equal(token.gen, after.generation, 'I2: a held token is the current one')
    return
  }
  const { value, maxAge } = issued.refreshToken
  assert.notEqual(outcome, 'hold', 'I2: no cookie with a hold')
  const current: RefreshClaims = {
    sub: after.subject,
    sid: after.id,
    gen: after.generation,
    auth_time: after.authTime,
    iat: after.rotatedAt,
    exp: Math.min(after.idleExpiresAt, after.expiresAt),
    end: after.expiresAt
  }
  assert.deepEqual(tokens.verifyRefresh(value)?.claims, current, 'I2: the cookie is the current token')
  assert.equal(maxAge, Math.min(after.idleExpiresAt, after.expiresAt) - now, 'I6: the cookie ends with its token')
  assert.ok(maxAge > 0, 'I6: no cookie is expired when set')
}

/** The permitted effects of a step on a session. */
export interface Licence {
  /** It may change the session. */
  readonly touches: boolean
  /** It may end the session. */
  readonly ends: boolean
  /** It may reset the session. */
  readonly forgets: boolean
  /** It may delete the session if it had expired at this time. */
  readonly purges: EpochSeconds
}

/** Checks the effect of one step on a row; null if it is gone. */
export function checkRow (before: Session, after: Session | null, { touches, ends, forgets, purges }: Licence): void {
  if (after === null) return assert.ok(Math.min(before.idleExpiresAt, before.expiresAt) < purges, 'I10: only long-expired sessions are purged')
  const ended = ends && isRevoked(after) && !isRevoked(before)
  if (!touches) assert.deepEqual(after, ended ? { ...before, revokedAt: after.revokedAt, reason: after.reason } : before, 'I9: other sessions are unchanged')
  if (isRevoked(before)) assert.deepEqual(after, before, 'I4: an ended session does not change')
  if (!forgets) assert.ok(after.generation >= before.generation, 'I1: generations only grow')
  assert.equal(after.expiresAt, before.expiresAt, 'I6: the absolute expiry never changes')
  assert.ok(after.idleExpiresAt <= Math.min(after.rotatedAt + IDLE, after.expiresAt), 'I6: the idle expiry changes only with a rotation')
}

function isYoung ({ rotatedAt }: Session, now: EpochSeconds): boolean {
  return now - rotatedAt < GRACE
}

/** True if the previous generation was recovered as often as permitted: three times. */
function isUsedUp ({ generation, previous }: Session): boolean {
  return previous !== null && generation - previous > 3
}

function isNext ({ token, before, after, now }: Meeting): boolean {
  return after.generation === before.generation + 1 && after.previous === token.gen && after.rotatedAt === now
}
