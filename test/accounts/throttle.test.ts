import { mock } from 'node:test'
import t from 'tap'
import { MemoryCounter, type AttemptCounter } from '../../lib/accounts/attempt-counters.js'
import { startDeadline } from '../../lib/deadline.js'
import { Throttle, type Attempt, type Caller, type ThrottleLimits } from '../../lib/accounts/throttle.js'
import { normaliseUsername } from '../../lib/accounts/user.js'
import { type SessionRef } from '../../lib/tokens/claims.js'
import { type AuthEvent } from '../../lib/events.js'
import { AuthError, type AuthErrorCode } from '../../lib/errors.js'
import { exactly } from '../support/exactly.js'

const TOO_MANY = { code: 'FST_AUTH_TOO_MANY_ATTEMPTS', statusCode: 429, retryAfter: 60 }
const AWAY = { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503 }
const SESSION: SessionRef = { sub: '1', sid: 's1' }

/** Options that differ from the defaults of this file. */
interface Given {
  readonly limits?: Partial<ThrottleLimits>
  /** Replaces parts of every counter. */
  readonly counter?: (counter: AttemptCounter) => AttemptCounter
  /** False: an app without findByUsername. */
  readonly lookUp?: boolean
  /** True: the session of the caller has ended. */
  readonly ended?: boolean
}

/** The subject of a right password. */
interface Verified {
  readonly subject: string
}

/** Verifies a password: resolves to its user, or throws `Wrong` or another error. `found` notes the user before that. */
type Verify = (found: (subject: string | null) => Promise<void>) => Promise<Verified>

/** A wrong password of this user, or of nobody. */
class Wrong extends Error {
  readonly code = 'FST_AUTH_CREDENTIALS_INVALID'
  readonly subject: string | null

  constructor (subject: string | null) {
    super('wrong')
    this.subject = subject
  }
}

/** Attempts over counters in memory, three a minute for everything, with the events, warnings and calls that follow. */
function attempts ({ limits = {}, counter = counter => counter, lookUp = true, ended = false }: Given = {}) {
  const three = [{ max: 3, per: 60 }]
  const events: AuthEvent[] = []
  const warnings: unknown[] = []
  const lookUps: string[] = []
  const names = new Set<string>()
  const throttle = new Throttle({
    limits: { perAddress: three, perAddressTotal: [], perAccount: three, perSession: three, ...limits },
    counter (limits) {
      for (const { name } of limits) {
        if (names.has(name)) throw new Error(`two limits are called ${name}`)
        names.add(name)
      }
      return counter(new MemoryCounter(limits))
    },
    users: lookUp
      ? { findByUsername: name => { lookUps.push(name); return name === 'ada' ? { id: 1, username: 'ada', passwordHash: null } : null } }
      : {},
    warn: (_message, details) => { warnings.push(details) }
  })
  const from = (ip: string | null, claimedSession: SessionRef | null = null): Caller => ({
    ip,
    userAgent: null,
    claimedSession,
    async hasLiveSession () { lookUps.push('store'); return !ended },
    bounded: startDeadline({ call: 2, request: 3 }),
    emit: event => { events.push(event) }
  })

  /** Consumes, verifies and ends an attempt, as `PasswordVerifier` does. */
  async function run (caller: Caller, consume: (attempt: Attempt) => Promise<void>, verify: Verify): Promise<Verified> {
    const attempt = await throttle.start(caller)
    try {
      await consume(attempt)
      const verified = await verify(subject => throttle.consumeUser(attempt, subject))
      await throttle.succeed(attempt, verified.subject)
      return verified
    } catch (error) {
      if (error instanceof Wrong) await throttle.fail(attempt, error.subject)
      await throttle.refund(attempt)
      throw error
    }
  }

  return {
    events,
    warnings,
    lookUps,
    names,
    from,
    login: async (username: unknown, caller: Caller, verify: Verify) => await run(caller, attempt => throttle.consumeName(attempt, normaliseUsername(username)), verify),
    reauthenticate: async (session: SessionRef, caller: Caller, verify: Verify) => await run(caller, attempt => throttle.consumeSession(attempt, session), verify),
    /** Creates an account. An error of `create` refunds the attempt. */
    async signup (caller: Caller, create: () => Promise<Verified>): Promise<Verified> {
      const attempt = await throttle.start(caller)
      const created = await create().catch(async (error: unknown) => {
        await throttle.refund(attempt)
        throw error
      })
      throttle.keep(attempt)
      return created
    },
    refresh: async (session: SessionRef, context: Caller) => await throttle.refresh(session, context)
  }
}

/** A counter whose calls pass through `call`. */
function around (inner: AttemptCounter, call: <R>(act: () => Promise<R>, name: 'consume' | 'end') => Promise<R>): AttemptCounter {
  return {
    consume: key => call(async () => await inner.consume(key), 'consume'),
    refund: counted => call(async () => await inner.refund(counted), 'end'),
    fail: (counted, owner) => call(async () => await inner.fail(counted, owner), 'end'),
    succeed: (counted, owner) => call(async () => await inner.succeed(counted, owner), 'end')
  }
}

const ADA: Verified = { subject: '1' }
const right = async () => ADA
const refusedWith = (code: AuthErrorCode) => async (): Promise<never> => { throw new AuthError(code) }
const wrongOf = (subject: string | null) => async (): Promise<never> => { throw new Wrong(subject) }
const wrong = wrongOf('1')

/** A wrong password of the user whom the app finds by this spelling of the name. */
const finding = (subject: string | null): Verify => async found => { await found(subject); throw new Wrong(subject) }

/** A unique address. */
const elsewhere = (nth: number): string => `198.51.100.${nth}`

t.test('results and errors of the limited call are passed on', async t => {
  const { login, reauthenticate, signup, from } = attempts()
  t.equal(await login('ada', from('192.0.2.1'), right), ADA)
  t.equal(await reauthenticate(SESSION, from('192.0.2.1'), right), ADA)
  t.equal(await signup(from('192.0.2.1'), right), ADA)
  for (const act of [login('ada', from('192.0.2.1'), wrong), reauthenticate(SESSION, from('192.0.2.1'), wrong)]) await t.rejects(act, { code: 'FST_AUTH_CREDENTIALS_INVALID' })
})

t.test('brute force: an account allows its number of wrong passwords, from any address', async t => {
  const { login, from, events } = attempts()
  for (let nth = 1; nth <= 3; nth++) await t.rejects(login('ada', from(elsewhere(nth)), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  await t.rejects(login('ada', from(elsewhere(4)), async (): Promise<never> => { throw new Error('was tried') }), TOO_MANY)
  t.strictSame(events, [{ type: 'throttled', what: 'account', subject: null }])
  t.equal(await login('bob', from(elsewhere(5)), right), ADA, 'another account')
})

t.test('brute force: concurrent attempts of one or many addresses do not exceed the limit', async t => {
  const tried = async (act: (nth: number) => Promise<unknown>): Promise<unknown[]> => {
    const answers = await Promise.allSettled(Array.from({ length: 9 }, (_, nth) => act(nth)))
    return answers.map(answer => answer.status === 'rejected' && answer.reason.code).filter(code => code !== TOO_MANY.code && code !== 'FST_AUTH_BUSY')
  }
  const { login, reauthenticate, signup, from } = attempts()
  const refused = 'FST_AUTH_CREDENTIALS_INVALID'
  t.strictSame(await tried(nth => login('ada', from(elsewhere(nth)), wrong)), Array(3).fill(refused))
  t.strictSame(await tried(nth => login(`person ${nth}`, from('192.0.2.1'), wrong)), Array(3).fill(refused))
  t.strictSame(await tried(nth => login(`spelling ${nth}`, from(elsewhere(40 + nth)), finding('2'))), Array(3).fill(refused), 'of one user, in other spellings')
  t.strictSame(await tried(nth => reauthenticate(SESSION, from(elsewhere(20 + nth)), wrong)), Array(3).fill(refused))
  t.strictSame(await tried(() => signup(from('192.0.2.2'), right)), Array(3).fill(false))
})

t.test('attempts beyond those in progress are busy with a short Retry-After, and the next ones are admitted', async t => {
  const { login, reauthenticate, signup, from, events } = attempts()
  const BUSY = { code: 'FST_AUTH_BUSY', statusCode: 503 }
  const bug = new Error('a bug')
  const ACTS: ReadonlyArray<(prove: () => Promise<typeof ADA>) => Promise<unknown>> = [
    prove => login('ada', from(elsewhere(1)), prove),
    prove => reauthenticate(SESSION, from(elsewhere(2)), prove),
    // A successful signup counts too, so this one fails.
    prove => signup(from(elsewhere(3)), async () => { await prove(); throw bug }).catch(error => { if (error !== bug) throw error })
  ]
  for (const act of ACTS) {
    let decide = (): void => {}
    const decision = new Promise<typeof ADA>(resolve => { decide = () => resolve(ADA) })
    const first = Promise.allSettled([act(() => decision), act(() => decision), act(() => decision)])
    await t.rejects(act(right), BUSY)
    decide()
    await first
    await t.resolves(act(right))
  }
  t.strictSame(events, [], 'which is no outage')
})

t.test('as long as a pending attempt may be refunded, a refusal is busy and no alarm', async t => {
  const { login, from, events } = attempts()
  const decisions: Array<() => void> = []
  const undecided = async (): Promise<never> => {
    await new Promise<void>(resolve => { decisions.push(resolve) })
    return await wrong()
  }
  const all = [1, 2, 3].map(nth => login('ada', from(elsewhere(nth)), undecided).catch(() => {}))
  await new Promise(resolve => setImmediate(resolve))
  for (const [nth, decide] of decisions.entries()) {
    await t.rejects(login('ada', from(elsewhere(10 + nth)), right), { code: 'FST_AUTH_BUSY' })
    decide()
    await new Promise(resolve => setImmediate(resolve))
  }
  await Promise.all(all)
  t.strictSame(events, [])
  await t.rejects(login('ada', from(elsewhere(20)), right), TOO_MANY)
})

t.test('lockout: an address at its limit locks no account', async t => {
  const { login, from } = attempts()
  for (let nth = 1; nth <= 9; nth++) await t.rejects(login(nth <= 3 ? `person ${nth}` : 'ada', from('192.0.2.1'), wrong))
  t.equal(await login('ada', from('192.0.2.2'), right), ADA)
})

t.test('user enumeration: all spellings of a name count together, whether it exists or not', async t => {
  for (const names of [['ada', ' ADA', 'Ａｄａ', 'aDa '], ['Straße', 'STRASSE', 'strasse', 'straße'], ['großstraße', 'GROSSSTRASSE', 'groẞstraße', 'GROẞSTRAẞE'], ['alice', 'àlice', 'ÁLICE', 'a\u0301lice'], ['admin.i', 'admın.i', 'ADMIN.I', 'admin.i'], [undefined, 7, '', 'a\0'], ['nobody', 'Nobody', 'NOBODY', 'nobody']]) {
    const { login, from } = attempts()
    for (const [nth, name] of names.slice(1).entries()) await t.rejects(login(name, from(elsewhere(nth)), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    await t.rejects(login(names[0], from(elsewhere(9)), right), TOO_MANY, String(names[0]))
  }
})

t.test('lockout: names that differ in more than case and accents are counted separately', async t => {
  for (const [name, other] of [['कल', 'कला'], ['が山', 'か山'], ['ขา', 'ข่า'], ['שָׁלוֹם', 'שלום']] as const) {
    const { login, from } = attempts()
    for (let nth = 1; nth <= 3; nth++) await t.rejects(login(name, from(elsewhere(nth)), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    await t.rejects(login(name, from(elsewhere(9)), right), TOO_MANY, name)
    t.equal(await login(other, from(elsewhere(9)), right), ADA, other)
  }
})

t.test('brute force: all spellings that the app maps to a user count together, at the same cost as for an unknown name', async t => {
  const calls: string[] = []
  const counter = (inner: AttemptCounter): AttemptCounter => around(inner, (act, name) => {
    calls.push(name)
    return act()
  })
  const { login, from, events } = attempts({ counter })
  const costs: string[][] = []
  for (const subject of ['1', null]) {
    for (let nth = 1; nth <= 3; nth++) await t.rejects(login(`${subject} ${nth}`, from(elsewhere(nth)), finding(subject)), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    costs.push(calls.splice(0))
  }
  t.strictSame(costs[0], costs[1])
  t.strictSame(costs[0]?.slice(0, 5), ['consume', 'consume', 'consume', 'end', 'end'])

  await t.rejects(login('1 4', from(elsewhere(4)), finding('1')), TOO_MANY)
  t.strictSame(events, [{ type: 'throttled', what: 'account', subject: '1' }])
  await t.rejects(login('1 4', from(elsewhere(4)), finding('2')), { code: 'FST_AUTH_CREDENTIALS_INVALID' }, 'which no other limit counts')
  await t.rejects(login('nobody', from(elsewhere(5)), finding(null)), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
})

t.test('an attempt at an unknown name is refunded to the counter of users, so that made-up names evict nobody', async t => {
  const ends: string[] = []
  let nth = 0
  const { login, from } = attempts({
    counter: inner => ++nth !== 3
      ? inner
      : {
          ...around(inner, act => act()),
          async refund (counted) { ends.push('refund'); await inner.refund(counted) },
          async fail (counted, owner) { ends.push('fail'); await inner.fail(counted, owner) }
        }
  })
  for (const subject of [null, '1']) {
    await t.rejects(login('ada', from('192.0.2.1'), async found => { await found(subject); throw new Wrong(subject) }))
  }
  t.strictSame(ends, ['refund', 'fail'])
})

t.test('a correct password costs nothing and resets the account', async t => {
  const { login, from } = attempts()
  for (let round = 1; round <= 3; round++) {
    for (let nth = 1; nth <= 2; nth++) await t.rejects(login('ada', from(elsewhere(10 * round + nth)), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    t.equal(await login('ada', from('192.0.2.1'), right), ADA)
  }
  for (let nth = 1; nth <= 9; nth++) t.equal(await login('ada', from('192.0.2.1'), right), ADA)
})

t.test('brute force: a success at another account of the same folded name refunds nothing', async t => {
  const { login, from } = attempts()
  const mallory = async () => ({ subject: '2' })
  for (let nth = 1; nth <= 2; nth++) await t.rejects(login('strasser', from(elsewhere(nth)), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  t.strictSame(await login('straßer', from(elsewhere(3)), mallory), { subject: '2' })
  await t.rejects(login('strasser', from(elsewhere(4)), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  await t.rejects(login('strasser', from(elsewhere(5)), wrong), TOO_MANY)
})

t.test('brute force: 9 guesses and one correct login of the attacker\'s own, repeated', async t => {
  const { login, from } = attempts({ limits: { perAccount: [{ max: 10, per: 60 }, { max: 100, per: 3600 }] } })
  let guesses = 0
  for (let round = 0; round < 15; round++) {
    for (let nth = 0; nth < 9; nth++) await login('ada', from(elsewhere(10 * round + nth)), async () => { guesses++; return await wrong() }).catch(() => {})
    await login('ADA', from('192.0.2.9'), async () => ({ subject: '2' })).catch(() => {})
  }
  t.equal(guesses, 10)
})

t.test('brute force: failures at an unknown name are never refunded', async t => {
  const { login, from } = attempts()
  for (let nth = 1; nth <= 3; nth++) await t.rejects(login('ada', from(elsewhere(nth)), wrongOf(null)), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  await t.rejects(login('ada', from(elsewhere(4)), right), TOO_MANY)
})

t.test('denial of service: correct passwords of one address are limited too, and other addresses are not affected', async t => {
  const { login, reauthenticate, signup, from, events } = attempts({ limits: { perAddressTotal: [{ max: 4, per: 60 }] } })
  await signup(from('192.0.2.1'), right)
  await reauthenticate(SESSION, from('192.0.2.1'), right)
  for (let nth = 1; nth <= 2; nth++) await login('ada', from('192.0.2.1'), right)
  await t.rejects(login('ada', from('192.0.2.1'), right), TOO_MANY)
  t.strictSame(events, [{ type: 'throttled', what: 'address', subject: null }])
  t.equal(await login('ada', from('192.0.2.2'), right), ADA)
})

t.test('brute force: an address allows its number of wrong passwords, for any accounts', async t => {
  const { login, reauthenticate, signup, from, events } = attempts()
  for (const name of ['ada', 'bob', 'cyd']) await t.rejects(login(name, from('2001:db8:1:2::1'), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  const neighbour = from('2001:db8:1:2:ffff::9', SESSION)
  await t.rejects(login('dan', neighbour, right), TOO_MANY)
  await t.rejects(reauthenticate(SESSION, neighbour, right), TOO_MANY)
  await t.rejects(signup(neighbour, right), TOO_MANY)
  t.strictSame(events, Array(3).fill({ type: 'throttled', what: 'address', subject: null }))
  t.equal(await login('dan', from('2001:db8:1:3::1'), right), ADA, 'another network')
})

t.test('requests without an address count as one address', async t => {
  const { login, from } = attempts()
  for (const name of ['ada', 'bob', 'cyd']) await t.rejects(login(name, from(null), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  await t.rejects(login('dan', from(null), right), TOO_MANY)
})

t.test('a request without information on its caller is not counted', async t => {
  const { login, signup, from } = attempts()
  for (const code of ['FST_AUTH_BUSY', 'FST_AUTH_STORE_UNAVAILABLE'] as const) {
    for (let nth = 1; nth <= 5; nth++) {
      await t.rejects(login('ada', from('192.0.2.1'), refusedWith(code)), { code })
      await t.rejects(signup(from('192.0.2.1'), refusedWith(code)), { code })
    }
  }
  const bug = new Error('a bug')
  await t.rejects(login('ada', from('192.0.2.1'), async () => { throw bug }), bug)
  t.equal(await login('ada', from('192.0.2.1'), right), ADA)
})

t.test('signups count against the address', async t => {
  const { login, signup, from } = attempts()
  for (let nth = 1; nth <= 3; nth++) await signup(from('192.0.2.1'), right)
  await t.rejects(signup(from('192.0.2.1'), right), TOO_MANY)
  await t.rejects(login('ada', from('192.0.2.1'), right), TOO_MANY)
})

t.test('lockout: the holder of a live session', async t => {
  /** An account whose limit strangers have exhausted. */
  async function besieged (given?: Given) {
    const all = attempts(given)
    for (let nth = 1; nth <= 3; nth++) await t.rejects(all.login('ada', all.from(elsewhere(nth)), wrong))
    return all
  }

  t.test('is not affected by strangers', async t => {
    const { login, from } = await besieged()
    t.equal(await login('ada', from('192.0.2.1', SESSION), right), ADA)
    await t.rejects(login('ada', from('192.0.2.1'), right), TOO_MANY)
  })

  t.test('token theft: is limited too', async t => {
    const { login, from, events } = await besieged()
    for (let nth = 11; nth <= 13; nth++) await t.rejects(login('ada', from(elsewhere(nth), SESSION), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    await t.rejects(login('ada', from(elsewhere(14), SESSION), right), TOO_MANY)
    t.strictSame(events, [{ type: 'throttled', what: 'account', subject: '1' }])
    t.equal(await login('ada', from(elsewhere(15), { sub: '1', sid: 's2' }), right), ADA, 'another of her sessions')
  })

  t.test('brute force: gives strangers no extra attempts', async t => {
    const { login, from, lookUps } = await besieged()
    for (const [name, holder] of [['ada', { sub: '2', sid: 's1' }], ['ada', { sub: 'undefined', sid: 's1' }], ['ada', null]] as const) {
      await t.rejects(login(name, from('192.0.2.1', holder), right), TOO_MANY)
    }
    t.strictSame(lookUps, ['ada', 'ada'], 'and users are looked up by name only for clients with a session')
  })

  t.test('token theft: is a stranger after the session has ended', async t => {
    const { login, from, lookUps } = await besieged({ ended: true })
    await t.rejects(login('ada', from('192.0.2.1', SESSION), right), TOO_MANY)
    t.strictSame(lookUps, ['ada', 'store'])
  })

  t.test('of a deleted account is a stranger', async t => {
    const { login, from } = attempts()
    for (const name of ['nobody', '\0']) {
      for (let nth = 1; nth <= 3; nth++) await t.rejects(login(name, from(elsewhere(nth)), wrong))
      await t.rejects(login(name, from(elsewhere(9), { sub: 'undefined', sid: 's1' }), right), TOO_MANY)
      await t.rejects(login(name, from(elsewhere(9), { sub: 'null', sid: 's1' }), right), TOO_MANY)
    }
  })

  t.test('is not recognised if the app finds no user by name', async t => {
    const { login, from } = await besieged({ lookUp: false })
    await t.rejects(login('ada', from('192.0.2.1', SESSION), right), TOO_MANY)
  })
})

t.test('a reauthentication counts against its session only', async t => {
  const { login, reauthenticate, from, events } = attempts()
  for (let nth = 1; nth <= 3; nth++) await t.rejects(reauthenticate(SESSION, from(elsewhere(nth)), wrong))
  await t.rejects(reauthenticate(SESSION, from(elsewhere(4)), right), TOO_MANY)
  t.strictSame(events, [{ type: 'throttled', what: 'account', subject: '1' }])
  t.equal(await login('ada', from(elsewhere(5)), right), ADA)
  t.equal(await reauthenticate({ sub: '1', sid: 's2' }, from(elsewhere(6)), right), ADA)
})

t.test('refreshes of a session are limited', async t => {
  const { refresh, from, events } = attempts()
  for (let nth = 1; nth <= 3; nth++) await t.resolves(refresh(SESSION, from('192.0.2.1')))
  await t.rejects(refresh(SESSION, from('192.0.2.1')), TOO_MANY)
  t.strictSame(events, [{ type: 'throttled', what: 'session', subject: '1' }])
  await t.resolves(refresh({ sub: '1', sid: 's2' }, from('192.0.2.1')))
})

t.test('of several limits all apply, each once, and Retry-After is the longest', async t => {
  const { login, from, names } = attempts({ limits: { perAccount: [{ max: 1, per: 60 }, { max: 2, per: 3600 }, { max: 2, per: 60 }, { max: 2, per: 60 }] } })
  mock.timers.enable({ apis: ['Date', 'setTimeout'] })
  t.teardown(() => mock.timers.reset())
  await t.rejects(login('ada', from(elsewhere(1)), wrong))
  await t.rejects(login('ada', from(elsewhere(2)), right), TOO_MANY)
  mock.timers.tick(60_000)
  await t.rejects(login('ada', from(elsewhere(3)), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  await t.rejects(login('ada', from(elsewhere(4)), right), { ...TOO_MANY, retryAfter: 3540 })
  t.equal(names.size, 8)
})

t.test('without limits nothing is limited', async t => {
  const { login, reauthenticate, signup, refresh, from } = attempts({ limits: { perAddress: [], perAccount: [], perSession: [] } })
  for (let nth = 1; nth <= 200; nth++) {
    await t.rejects(login('ada', from('192.0.2.1'), wrong), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    await signup(from('192.0.2.1'), right)
    await refresh(SESSION, from('192.0.2.1'))
  }
  t.equal(await reauthenticate(SESSION, from('192.0.2.1'), right), ADA)
})

t.test('counter outage', async t => {
  const cause = new Error('no Redis')
  const away = { now: false }
  const counter = (inner: AttemptCounter): AttemptCounter => around(inner, async act => {
    if (away.now) throw cause
    return await act()
  })
  t.beforeEach(() => { away.now = true })

  t.test('fail closed: logins and signups are refused, and nothing is verified', async t => {
    const { login, reauthenticate, signup, from } = attempts({ counter })
    for (const act of [login('ada', from('192.0.2.1'), right), reauthenticate(SESSION, from('192.0.2.1'), right), signup(from('192.0.2.1'), right)]) {
      await t.rejects(act, { ...AWAY, cause })
    }
    await t.rejects(login('ada', from('192.0.2.1'), async (): Promise<never> => { throw new Error('was tried') }), AWAY)
  })

  t.test('a timed-out consume that succeeded is refunded when it settles', async t => {
    for (const lost of ['address', 'account']) {
      away.now = false
      mock.timers.enable({ apis: ['setTimeout'] })
      let answer = async (): Promise<void> => {}
      const late = (inner: AttemptCounter): AttemptCounter => ({
        ...around(inner, act => act()),
        consume: key => new Promise(resolve => { answer = async () => resolve(await inner.consume(key)) })
      })
      let nth = 0
      const { login, from } = attempts({ limits: { perSession: [] }, counter: inner => ++nth === (lost === 'address' ? 1 : 2) ? late(inner) : inner })
      for (let attempt = 1; attempt <= 5; attempt++) {
        const login1 = login('ada', from('192.0.2.1'), right)
        const refused = t.rejects(login1, AWAY)
        await new Promise(resolve => setImmediate(resolve))
        mock.timers.tick(2000)
        await refused
        await answer()
      }
      const next = login('ada', from('192.0.2.1'), right)
      await new Promise(resolve => setImmediate(resolve))
      await answer()
      t.equal(await next, ADA, lost)
      mock.timers.reset()
    }
  })

  t.test('a late refusal refunds nothing', async t => {
    away.now = false
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const refunds: unknown[] = []
    let answer = (): void => {}
    const { refresh, from } = attempts({
      counter: inner => ({
        ...around(inner, act => act()),
        consume: () => new Promise(resolve => { answer = () => resolve(60) }),
        async refund (counted) { refunds.push(counted) }
      })
    })
    const refreshed = refresh(SESSION, from('192.0.2.1'))
    mock.timers.tick(2000)
    await refreshed
    answer()
    await new Promise(resolve => setImmediate(resolve))
    t.strictSame(refunds, [])
  })

  t.test('attempts in progress finish and stay counted', async t => {
    const { login, signup, from } = attempts({ counter })
    const meanwhile = <T>(act: () => Promise<T>) => async (): Promise<T> => { away.now = true; return await act() }
    away.now = false
    t.equal(await login('ada', from('192.0.2.1'), meanwhile(right)), ADA)
    away.now = false
    await t.rejects(login('ada', from('192.0.2.1'), meanwhile(wrong)), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
    away.now = false
    t.equal(await signup(from('192.0.2.1'), meanwhile(right)), ADA)
    away.now = false
    await t.rejects(login('bob', from('192.0.2.1'), right), TOO_MANY)
  })

  t.test('lockout: a refund after the deadline of the request still happens, without an outage warning', async t => {
    away.now = false
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const clock = mock.method(performance, 'now', () => now)
    t.teardown(() => clock.mock.restore())
    let now = 0
    const { login, signup, from, warnings } = attempts({ counter })
    const slowly = (caller: Caller) => async (): Promise<never> => {
      for (const ms of [2000, 1000]) {
        const call = caller.bounded(() => new Promise<never>(() => {}))
        now += ms
        mock.timers.tick(ms)
        await call.catch(() => {})
      }
      throw new AuthError('FST_AUTH_STORE_UNAVAILABLE')
    }
    for (let nth = 1; nth <= 5; nth++) {
      const [one, other] = [from('192.0.2.1'), from('192.0.2.1')]
      await t.rejects(login('ada', one, slowly(one)), AWAY)
      await t.rejects(signup(other, slowly(other)), AWAY)
    }
    t.equal(await login('ada', from('192.0.2.1'), right), ADA)
    t.strictSame(warnings, [])
  })

  t.test('fail open: refreshes go on', async t => {
    const { refresh, from } = attempts({ counter })
    for (let nth = 1; nth <= 9; nth++) await t.resolves(refresh(SESSION, from('192.0.2.1')))
  })

  t.test('each outage is logged once', async t => {
    const { refresh, login, from, warnings } = attempts({ counter })
    for (let nth = 1; nth <= 3; nth++) await refresh(SESSION, from('192.0.2.1'))
    t.match(warnings, exactly({ err: { code: 'FST_AUTH_STORE_UNAVAILABLE', cause } }))
    away.now = false
    await login('ada', from('192.0.2.1'), right)
    away.now = true
    await refresh(SESSION, from('192.0.2.1'))
    t.equal(warnings.length, 2)
  })

  t.test('only the first refresh waits for the counters', async t => {
    away.now = false
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const { refresh, from, warnings } = attempts({ counter: inner => around(inner, () => new Promise(() => {})) })
    const first = refresh(SESSION, from('192.0.2.1'))
    mock.timers.tick(2000)
    await t.resolves(first)
    await t.resolves(refresh(SESSION, from('192.0.2.1')), 'while the clock stands still')
    t.equal(warnings.length, 1)
  })

  t.test('limits apply again afterwards', async t => {
    const { refresh, from } = attempts({ counter })
    await refresh(SESSION, from('192.0.2.1'))
    away.now = false
    for (let nth = 1; nth <= 3; nth++) await t.resolves(refresh(SESSION, from('192.0.2.1')))
    await t.rejects(refresh(SESSION, from('192.0.2.1')), TOO_MANY)
  })
})

t.test('information leak: no counter key contains input or an address', async t => {
  const keys: string[] = []
  const { login, refresh, from } = attempts({
    counter: inner => ({ ...around(inner, act => act()), async consume (key) { keys.push(key); return await inner.consume(key) } })
  })
  await t.rejects(login('ada@example.com', from('192.0.2.1'), wrong))
  await refresh(SESSION, from('192.0.2.1'))
  t.match(keys, exactly(/^[\w-]{22}$/, /^[\w-]{22}$/, SESSION.sid))
})
