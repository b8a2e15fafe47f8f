import assert from 'node:assert/strict'
import { type RefreshClaims } from '../../lib/tokens/claims.js'
import { isLive, isRevoked, type Session } from '../../lib/sessions/session.js'
import { keepsSessions, type SessionStore } from '../../lib/sessions/store.js'
import { type SessionLimit } from '../../lib/sessions/session-limit.js'
import { type Clock, type EpochSeconds, type Seconds } from '../../lib/time.js'
import { ACCESS, codeOf, core, GRACE, person, type Answer, type Browser } from '../support/core.js'
import { checkPageView, checkPresentation, checkRow, type Family } from './invariants.js'
import { ABSOLUTE, IDLE, OWNERS, type Step } from './steps.js'

/** The result of a step. */
export interface Told {
  readonly step: Step['do']
  readonly answer: string
}

/** Creates the store of a script. */
export type MakeStore = (clock: Clock) => SessionStore

/**
 * Runs a script with the real session service on a store and checks the invariants after each step.
 * Resolves to the trace: each step with its result. Rejects with the broken invariant.
 * Scripts that share a table need a `run` each, which keeps their users apart.
 */
export async function play (script: readonly Step[], makeStore: MakeStore, run = ''): Promise<Told[]> {
  const machine = createMachine(makeStore, run)
  const trace: Told[] = []
  for (const step of script) trace.push({ step: step.do, answer: await machine.take(step) })
  await machine.finish()
  return trace
}

/** The implementation of each kind of step; resolves to its line in the trace. */
type Acts = { [Kind in Step['do']]: (step: Extract<Step, { do: Kind }>) => Promise<string> | string }

/** One of the browsers, and an attacker who may have a copy of its cookie. */
interface Desk {
  readonly subject: string
  readonly owner: Browser
  readonly thief: Browser
}

/** Steps that may end sessions of the same user in other browsers. */
const ENDS_OTHERS: ReadonlySet<Step['do']> = new Set(['login', 'change password', 'end another', 'end all'])

/** The time to type a password: longer than the clock difference, so that no two sessions start in one second. */
const TYPING: Seconds = GRACE / 3 + 1

/** A pending reply. */
interface Reply {
  readonly to: Browser
  readonly answer: Answer
}

function createMachine (makeStore: MakeStore, run: string) {
  let made: SessionStore | undefined
  const limit = { max: Infinity, whenFull: 'endOldest' as SessionLimit['whenFull'] }
  const c = core({ absolute: ABSOLUTE, policy: { idle: IDLE }, limit, store: clock => (made = makeStore(clock)) })
  const rows = made ?? assert.fail() // the same store, beneath its faults
  assert(keepsSessions(rows))
  const liveOf = async (subject: string): Promise<Session[]> => (await rows.list(subject)).filter(session => isLive(session, c.clock()))
  const desks: Desk[] = OWNERS.map(owner => ({ subject: owner + run, owner: c.browser(), thief: c.browser() }))
  const families = new Map<string, Family>()
  const signedOut = new Set<Browser>()
  const replies: Reply[] = []
  let purgedBefore: EpochSeconds = -Infinity
  let keyChanged = false
  let passed: Seconds = 0
  let clockBehind: Seconds = 0
  for (const { subject } of desks) admit(subject, true)

  const acts: Acts = {
    login: ({ browser }) => login(desk(browser)),
    refresh: ({ browser }) => visit(desk(browser)),
    'thief refreshes': ({ browser }) => desk(browser).thief.cookie === null ? steal(desk(browser)) : refresh(desk(browser).thief),
    'page view': ({ browser }) => view(desk(browser).owner),
    'thief views': ({ browser }) => view(desk(browser).thief),
    tabs: ({ browser, count }) => refreshTabs(desk(browser).owner, count),
    logout: ({ browser }) => logout(desk(browser).owner),
    steal: ({ browser }) => steal(desk(browser)),
    'store forgets': ({ browser }) => forget(desk(browser).owner),
    'end all': ({ subject }) => endAll(subject + run),
    'end another': ({ browser }) => endAnother(desk(browser)),
    'change password': ({ browser }) => changePassword(desk(browser)),
    disable: ({ subject }) => admit(subject + run, false),
    enable: ({ subject }) => admit(subject + run, true),
    deliver: ({ reply }) => deliver(reply),
    drop: ({ reply }) => pick(reply) === undefined ? 'nothing' : 'done',

    wait ({ seconds }) {
      pass(seconds)
      return 'done'
    },

    limit ({ max, whenFull }) {
      Object.assign(limit, { max, whenFull })
      return 'done'
    },

    'other instance' ({ behind }) {
      c.wait(clockBehind - behind)
      clockBehind = behind
      return 'done'
    },

    async send ({ browser }) {
      const { owner: to } = desk(browser)
      if (to.cookie === null) return await visit(desk(browser))
      const answer = await present(to)
      if (answer.issued?.refreshToken != null) replies.push({ to, answer })
      return told(to, answer)
    },

    'store fails' ({ times }) {
      for (let i = 0; i < times; i++) c.store.faults.push({ moment: 'before', kind: 'throw' })
      return 'done'
    },

    'killed after commit' () {
      c.store.faults.push({ moment: 'after', kind: 'throw', call: 'advance' })
      return 'done'
    },

    'change key' () {
      c.tokens.changeKey()
      keyChanged = true
      for (const family of families.values()) family.disturbed ||= family.forgotten
      return 'done'
    },

    async purge () {
      purgedBefore = Math.max(purgedBefore, c.clock() - ACCESS)
      await c.sessions.purgeExpired()
      return 'done'
    }
  }

  return { take, finish }

  async function take (step: Step): Promise<string> {
    const browser = 'browser' in step ? desk(step.browser)[step.do.startsWith('thief') ? 'thief' : 'owner'] : undefined
    const [touched, replaced] = browser === undefined ? [] : [sidOf(browser), claimsOf(browser)?.replaces]
    const subject = 'browser' in step ? desk(step.browser).subject : 'subject' in step ? step.subject + run : undefined
    const answer = await (acts[step.do] as (step: Step) => Promise<string> | string)(step) // the table has one for each kind
    for (const [sid, family] of families) {
      const before = family.row
      family.row = await rows.get(sid)
      const ends = sid === replaced || (family.subject === subject && (ENDS_OTHERS.has(step.do) || answer.startsWith('login ')))
      if (before !== null) checkRow(before, family.row, { touches: sid === touched, ends, forgets: step.do === 'store forgets', purges: purgedBefore })
      if (family.row !== null) note(family, family.row)
    }
    return answer
  }

  /** At the end faults stop: an honest owner succeeds, and an attacker and the owner alternate until one is out. */
  async function finish (): Promise<void> {
    c.store.faults.splice(0)
    for (const { subject, owner, thief } of desks) {
      admit(subject, true)
      const shared = owner.cookie !== null && sidOf(owner) === sidOf(thief)
      const served: boolean[] = []
      for (const browser of shared ? [thief, owner, thief, owner] : [owner]) {
        c.wait(GRACE + 1)
        served.push(!(await refresh(browser)).startsWith('FST_AUTH_'))
      }
      if (shared) assert.ok(served.slice(2).includes(false), 'I5: attacker and owner both continue')
    }
  }

  /** A user returns: refreshes, or logs in after a logout. */
  async function visit (desk: Desk): Promise<string> {
    if (desk.owner.cookie === null || signedOut.has(desk.owner)) return `login ${await login(desk)}`
    const told = await refresh(desk.owner)
    if (told.startsWith('FST_AUTH_') && told !== 'FST_AUTH_STORE_UNAVAILABLE') signedOut.add(desk.owner)
    return told
  }

  async function login ({ owner, subject }: Desk): Promise<string> {
    pass(TYPING)
    const held = familyOf(owner)
    const faulty = c.store.faults.length > 0
    const code = await owner.login(subject).then(() => 'done', codeOf)
    if (code !== 'done') return code
    if (held !== undefined && !faulty) held.ended = true
    await enter(owner, subject)
    return code
  }

  async function changePassword ({ owner, subject }: Desk): Promise<string> {
    const claims = claimsOf(owner)
    const user = c.people.get(subject)
    if (claims === null || signedOut.has(owner) || user === undefined || user.disabled) return 'nothing'
    pass(TYPING)
    const change = c.sessions.changePassword(claims, user, async () => {}, c.context())
    const code = await change.then(issued => owner.receive({ outcome: 'rotate', issued }), codeOf) ?? 'done'
    if (code !== 'done') return code
    for (const family of families.values()) family.ended ||= family.subject === subject
    await enter(owner, subject)
    return code
  }

  /** A session was started in a browser. */
  async function enter (owner: Browser, subject: string): Promise<void> {
    signedOut.delete(owner)
    families.set(sidOf(owner) ?? '', { subject, row: null, rows: [], since: new Map(), stolen: false, ended: false, forgotten: false, disturbed: false })
    const live = (await liveOf(subject)).filter(({ id }) => id !== claimsOf(owner)?.replaces)
    assert.ok(live.length <= limit.max, 'I12: no user has more sessions than allowed')
    assert.equal(live.at(-1)?.id, sidOf(owner), 'I12: the newest session is never evicted')
  }

  async function refresh (browser: Browser): Promise<string> {
    const answer = await present(browser)
    browser.receive(answer)
    return told(browser, answer)
  }

  /** Sends a browser's cookie, and checks the answer. */
  async function present (browser: Browser): Promise<Answer> {
    const [token, family, verified] = [claimsOf(browser), familyOf(browser), c.tokens.verifyRefresh(browser.cookie ?? '')]
    if (token === null || family === undefined || verified === null) return await browser.send()
    const active = c.people.get(token.sub)?.disabled !== true
    const faulty = c.store.faults.length > 0
    const before = await rows.get(token.sid)
    const answer = await browser.send()
    const after = await rows.get(token.sid)
    const { signedByCurrentKey } = verified
    const replaced = families.get(token.replaces ?? '')
    if (replaced !== undefined) replaced.ended ||= answer.issued !== null
    checkPresentation({ token, signedByCurrentKey, family, active, faulty, before, after, answer, now: c.clock() }, c.tokens)
    family.ended ||= answer.outcome === 'FST_AUTH_USER_REFUSED' || answer.outcome === 'FST_AUTH_REFRESH_TOKEN_REUSED'
    return answer
  }

  /** Sends a browser's cookie with a page request, and checks the answer. */
  async function view (browser: Browser): Promise<string> {
    const [token, family] = [claimsOf(browser), familyOf(browser)]
    const before = token === null ? null : await rows.get(token.sid)
    const faulty = c.store.faults.length > 0
    const answer = await browser.identify()
    if (token === null || family === undefined) return String(answer)
    const active = c.people.get(token.sub)?.disabled !== true
    checkPageView({ token, family, active, faulty, before, after: await rows.get(token.sid), answer, now: c.clock() })
    family.ended ||= answer === 'FST_AUTH_REFRESH_TOKEN_REUSED'
    return typeof answer === 'string' ? told(browser, { outcome: answer, issued: null }) : 'identified'
  }

  /** Concurrent tabs: the store decides which one rotates, but all must agree. */
  async function refreshTabs (browser: Browser, count: number): Promise<string> {
    if (c.store.faults.length > 0) return await refresh(browser)
    const answers = await Promise.all(Array.from({ length: count }, () => browser.send()))
    const cookies = new Set(answers.map(({ issued }) => issued?.refreshToken?.value ?? browser.cookie))
    const served = answers.filter(({ issued }) => issued !== null).length
    assert.equal(cookies.size, 1, 'I2: concurrent tabs get one cookie')
    assert.ok(served === 0 || served === count, 'I2: concurrent tabs are all accepted or all refused')
    for (const answer of answers) browser.receive(answer)
    return served > 0 ? 'served' : told(browser, answers[0] ?? assert.fail())
  }

  function deliver (index: number): string {
    const reply = pick(index)
    const token = read(reply?.answer.issued?.refreshToken?.value)
    if (reply === undefined || token === null) return 'nothing'
    // Grace is longer than any reply takes. A later reply may reset the browser to a replaced cookie.
    const family = families.get(token.sid) ?? assert.fail()
    family.disturbed ||= passed - (family.since.get(`${token.gen} ${token.iat}`) ?? 0) >= GRACE
    reply.to.receive(reply.answer)
    return 'done'
  }

  async function logout (browser: Browser): Promise<string> {
    const family = familyOf(browser)
    const code = await browser.logout()
    if (code === 'ok' && family !== undefined) family.ended = true
    return code
  }

  function steal ({ owner, thief }: Desk): string {
    const family = familyOf(owner)
    if (family === undefined) return 'nothing'
    family.stolen = true
    thief.cookie = owner.cookie
    return 'done'
  }

  async function endAll (subject: string): Promise<string> {
    const code = await c.sessions.revokeAll(subject, 'revoked', c.context()).then(() => 'done', codeOf)
    if (code === 'done') for (const family of families.values()) family.ended ||= family.subject === subject
    return code
  }

  async function endAnother ({ owner, subject }: Desk): Promise<string> {
    const other = (await liveOf(subject)).find(({ id }) => id !== sidOf(owner))
    if (other === undefined) return 'nothing'
    const ended = await c.sessions.revoke(other.id, 'revoked', c.context(), subject).catch(codeOf)
    const family = families.get(other.id)
    if (ended === true && family !== undefined) family.ended = true
    return String(ended)
  }

  /** A failover: the store loses its last change. */
  async function forget (browser: Browser): Promise<string> {
    const [family, sid] = [familyOf(browser), sidOf(browser) ?? '']
    const [earlier, row] = [family?.rows.at(-2), await rows.get(sid)]
    if (family === undefined || earlier === undefined || row === null || !isLive(row, c.clock())) return 'nothing'
    const { generation, previous, rotatedAt, idleExpiresAt } = earlier
    await rows.advance(sid, row.generation, { generation, previous, rotatedAt, idleExpiresAt })
    family.rows.pop()
    family.forgotten = true
    family.disturbed ||= keyChanged
    return 'done'
  }

  function pass (seconds: Seconds): void {
    c.wait(seconds)
    passed += seconds
  }

  function admit (subject: string, active: boolean): string {
    c.people.set(subject, person(subject, !active))
    return 'done'
  }

  function note (family: Family, row: Session): void {
    family.ended ||= isRevoked(row)
    const last = family.rows.at(-1)
    if (last?.generation === row.generation && last.rotatedAt === row.rotatedAt) return
    family.rows.push(row)
    family.since.set(`${row.generation} ${row.rotatedAt}`, passed)
  }

  /** The outcome of a refresh. Stores purge at different times, and then report less about expired sessions. */
  function told (browser: Browser, { outcome, issued }: Answer): string {
    const last = familyOf(browser)?.rows.at(-1)
    const purged = last !== undefined && Math.min(last.idleExpiresAt, last.expiresAt) < purgedBefore
    return purged && issued === null ? 'FST_AUTH_ over' : outcome
  }

  function pick (index: number): Reply | undefined {
    return replies.splice(index % replies.length, 1)[0]
  }

  function desk (index: number): Desk {
    return desks[index] ?? assert.fail()
  }

  function read (cookie: string | null | undefined): RefreshClaims | null {
    return c.tokens.verifyRefresh(cookie ?? '')?.claims ?? null
  }

  function claimsOf (browser: Browser): RefreshClaims | null {
    return read(browser.cookie)
  }

  function sidOf (browser: Browser): string | undefined {
    return claimsOf(browser)?.sid
  }

  function familyOf (browser: Browser): Family | undefined {
    return families.get(sidOf(browser) ?? '')
  }
}
