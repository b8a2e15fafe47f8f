import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { randomId } from '../random.js'
import { isRevoked, type RevokeReason, type Session, type SessionChange, type SessionPosition, type SessionStore } from '../sessions/session.js'
import { systemClock, type Clock, type EpochSeconds, type Seconds } from '../time.js'

/** Makes an empty store under test. A store that takes a clock must date revocations by `clock`; another can ignore it. */
export type MakeStore = (options: { readonly clock: Clock }) => SessionStore | Promise<SessionStore>

/** One rule of the store contract. */
export interface ContractCase {
  /** The rule as a sentence: the title of its test. */
  readonly name: string
  /** Makes one store and rejects if it breaks the rule: with an AssertionError, or with an error of the store. */
  readonly run: (makeStore: MakeStore) => Promise<void>
}

/**
 * The contract of a SessionStore, as cases for any test runner. `store` is any instance of the store under test: its
 * optional methods select the cases. A store without `list` is treated as one that stores no sessions.
 *
 * ```ts
 * for (const { name, run } of storeContract(myStore(client))) {
 *   test(name, () => run(({ clock }) => myStore(client, { clock, prefix: randomUUID() })))
 * }
 * ```
 *
 * Each case needs an empty store, hence the prefix; a fresh table or database works as well. A store that takes no clock is
 * tested with that of the machine. Lists in parts and revocations in batches are tested if the store has them. The cases
 * never sleep and have no timeout of their own: that of the runner applies.
 */
export function storeContract (store: SessionStore): readonly ContractCase[] {
  return [
    ...casesOf(everyStore),
    ...(store.list === undefined ? [] : casesOf(storesWithRows)),
    ...(store.purgeExpired === undefined ? [] : casesOf(storesThatPurge)),
    ...(store.subscribe === undefined ? [] : casesOf(storesWithSubscribe)),
    ...(store.now === undefined ? [] : casesOf(storesWithAClock))
  ]
}

type Ability = 'list' | 'purgeExpired' | 'subscribe' | 'now'
type StoreWith<A extends Ability> = SessionStore & Required<Pick<SessionStore, A>>

/** A new store and the clock that it was given. */
interface Bench<A extends Ability> {
  readonly store: StoreWith<A>
  readonly wait: (time: Seconds) => void
  /** Throws unless a time that the store wrote since `begun` is that of its clock: the given one, or that of the machine. */
  readonly assertDated: (time: unknown, begun: EpochSeconds) => void
  /** Registers a clean-up, called when the case passes or fails. */
  readonly after: (stop: () => unknown) => void
}

type Cases<A extends Ability = never> = Readonly<Record<string, (bench: Bench<A>) => Promise<void>>>

function casesOf<A extends Ability> (cases: Cases<A>): ContractCase[] {
  return Object.entries(cases).map(([name, test]) => ({
    name,
    async run (makeStore) {
      let now = NOW
      const store = await makeStore({ clock: () => now })
      const stops: Array<() => unknown> = []
      try {
        await test({
          store: store as StoreWith<A>, // storeContract selects the cases by these methods
          wait: time => { now += time },
          assertDated: (time, begun) => {
            const isOwn = typeof time === 'number' && time >= begun && time <= systemClock()
            if (!isOwn) assert.equal(time, Math.floor(now))
          },
          after: stop => { stops.push(stop) }
        })
      } finally {
        for (const stop of stops) await stop()
      }
    }
  }))
}

/** In the year 2096: signed 32-bit seconds end in 2038. */
const NOW: EpochSeconds = 4_000_000_000
const DAY: Seconds = 86_400

function newSession (over: Partial<Session> = {}): Session {
  return {
    id: randomId(),
    subject: 'ada',
    generation: 0,
    previous: null,
    rotatedAt: NOW,
    createdAt: NOW,
    expiresAt: NOW + 30 * DAY,
    idleExpiresAt: NOW + 7 * DAY,
    authTime: NOW,
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0',
    ip: '2001:db8::7',
    ...over
  }
}

/** The change that a refresh writes a minute later. */
function changeTo (generation: number, over: Partial<SessionChange> = {}): SessionChange {
  return { generation, previous: generation === 0 ? null : generation - 1, rotatedAt: NOW + 60, idleExpiresAt: NOW + 7 * DAY + 60, ...over }
}

/** In a live session `revokedAt` and `reason` may be null or missing. */
function assertSession (actual: Session | null | undefined, expected: Session): void {
  assert.deepEqual({ revokedAt: null, reason: null, ...actual }, { revokedAt: null, reason: null, ...expected })
}

async function created (store: SessionStore, over: Partial<Session> = {}): Promise<Session> {
  const session = newSession(over)
  await store.create(session)
  return session
}

const SESSIONS: readonly Partial<Session>[] = [
  {},
  { userAgent: null, ip: null },
  { userAgent: '', ip: '' },
  { generation: 2 ** 31 - 1, previous: 2 ** 31 - 2, rotatedAt: NOW + 1, authTime: NOW - 1 },
  { createdAt: 0, rotatedAt: 1, authTime: 2, expiresAt: 253_402_300_799 },
  { subject: 'Ægir Þór 李 🦉 \u202e"\'`\\%_;--$1' },
  { subject: 'x'.repeat(255), userAgent: 'é'.repeat(5000) },
  { subject: '0' }
]

const REASONS: Record<RevokeReason, true> = {
  logout: true, revoked: true, reuse: true, user_refused: true, superseded: true, password_changed: true, limit: true
}

const STRANGE_IDS = ['', ' ', '\0', 'null', '__proto__', '*', '%', '$1', "' OR '1'='1", "'; DROP TABLE auth_sessions; --", '"; --', '\\', '../..', '{}', '\ud800', 'x'.repeat(10_000)]

const everyStore: Cases = {
  async 'a created session is found with every field as it was' ({ store }) {
    for (const over of SESSIONS) {
      const session = await created(store, over)
      assertSession(await store.get(session.id, session), session)
    }
  },

  async 'an unknown session is null, and no error' ({ store }) {
    assert.equal(await store.get(randomId()), null)
    assert.equal(await store.advance(randomId(), 0, changeTo(1)), null)
    assert.equal(await store.revoke(randomId(), 'logout'), false)
    assert.equal(await store.revokeAll('nobody', 'logout'), 0)
  },

  async 'an id is data: whatever it looks like, it is just unknown' ({ store }) {
    const session = await created(store)
    for (const id of STRANGE_IDS) {
      assert.equal(await store.get(id), null)
      assert.equal(await store.advance(id, 0, changeTo(1)), null)
      assert.equal(await store.revoke(id, 'logout'), false)
      assert.equal(await store.revokeAll(id, 'logout'), 0)
    }
    assertSession(await store.get(session.id, session), session)
  },

  async 'an advance gives the session as it is after it' ({ store }) {
    const session = await created(store)
    const change = changeTo(1)
    assertSession(await store.advance(session.id, 0, change, session), { ...session, ...change })
  },

  async 'an advance moves authTime only when it is told to' ({ store }) {
    const session = await created(store)
    const rotated = await store.advance(session.id, 0, changeTo(1), session)
    assert.equal(rotated?.authTime, NOW)
    const reauthenticated = await store.advance(session.id, 1, changeTo(2, { authTime: NOW + 60 }), rotated)
    assert.equal(reauthenticated?.authTime, NOW + 60)
  },

  async 'an advance may stay in its generation' ({ store }) {
    const session = await created(store, { generation: 3, previous: 2 })
    const change = changeTo(3, { authTime: NOW + 60 })
    assertSession(await store.advance(session.id, 3, change, session), { ...session, ...change })
  }
}

/** Revokes all sessions, as the plugin does: a store may revoke a batch with each call. Returns the count. */
async function revokeAllOf (store: SessionStore, subject: string, reason: RevokeReason, exceptId?: string): Promise<number> {
  let count = 0
  for (let call = 0; call < 1000; call++) {
    const ended = await store.revokeAll(subject, reason, exceptId)
    count += ended
    if (ended === 0) return count
  }
  return assert.fail('revokeAll says of a thousand calls that they ended sessions')
}

/** Asserts that a session of one subject belongs to none of the others, before and after they have sessions too. */
async function assertOthers (store: StoreWith<'list'>, subject: string, others: readonly string[]): Promise<void> {
  const session = await created(store, { subject })
  for (const other of others) {
    assert.deepEqual(await store.list(other), [])
    assert.equal(await store.revokeAll(other, 'revoked'), 0)
  }
  assertSession(await store.get(session.id), session)
  for (const other of others.filter(other => other !== '' && !other.includes('\0'))) {
    const theirs = await created(store, { subject: other })
    assertSession((await store.list(other))[0], theirs)
  }
  assert.deepEqual((await store.list(subject)).map(({ id }) => id), [session.id])
}

const storesWithRows: Cases<'list'> = {
  async 'what a token claims never stands in for what is stored' ({ store }) {
    const session = await created(store)
    const claimed = { ...session, subject: 'mallory', generation: 9, expiresAt: NOW + 99 * DAY }
    assertSession(await store.get(session.id, claimed), session)
    assertSession(await store.advance(session.id, 0, changeTo(1), claimed), { ...session, ...changeTo(1) })

    const unknown = newSession()
    assert.equal(await store.get(unknown.id, unknown), null)
    assert.equal(await store.advance(unknown.id, 0, changeTo(1), unknown), null)
  },

  async 'a second session with an id is refused, and the first stays as it was' ({ store }) {
    const session = await created(store)
    await assert.rejects(async () => await store.create({ ...session, subject: 'mallory' }))
    assertSession(await store.get(session.id), session)
    assert.deepEqual(await store.list('mallory'), [])
  },

  async 'ids that differ in case only are different sessions' ({ store }) {
    const lower = await created(store, { id: 'aaaaaaaaaaaaaaaaaaaaaa' })
    const upper = await created(store, { id: 'AAAAAAAAAAAAAAAAAAAAAA' })
    await store.revoke(upper.id, 'logout')
    assertSession(await store.get(lower.id), lower)
  },

  async 'an id with a space behind it, or in other letters, is another one' ({ store }) {
    const session = await created(store, { id: 'aBcDeFgHiJkLmNoPqRsTuV' })
    for (const id of [`${session.id} `, ` ${session.id}`, session.id.toLowerCase(), session.id.toUpperCase()]) {
      assert.equal(await store.get(id), null)
      assert.equal(await store.advance(id, 0, changeTo(1)), null)
      assert.equal(await store.revoke(id, 'logout'), false)
    }
    assert.equal(await store.revokeAll('ada', 'revoked', session.id.toLowerCase()), 1)
  },

  async 'a session is not changed through the objects that went in or came out' ({ store }) {
    const session = newSession()
    const given = { ...session }
    await store.create(given)
    given.subject = 'mallory'
    const change = { ...changeTo(0) }
    const found = [await store.get(session.id), await store.advance(session.id, 0, change), ...await store.list('ada')]
    change.generation = 9
    for (const object of found.filter(object => object !== null)) Reflect.set(object, 'subject', 'mallory') // false if the object is frozen
    assertSession(await store.get(session.id), { ...session, ...changeTo(0) })
  },

  async 'an advance writes the fields of its change and no other, in this session and no other' ({ store }) {
    const session = await created(store)
    const other = await created(store)
    await store.advance(session.id, 0, changeTo(1))
    assertSession(await store.get(session.id), { ...session, ...changeTo(1) })
    await store.advance(session.id, 1, changeTo(2, { previous: null, authTime: NOW + 5 }))
    assertSession(await store.get(session.id), { ...session, ...changeTo(2, { previous: null, authTime: NOW + 5 }) })
    assertSession(await store.get(other.id), other)
  },

  async 'an advance from a stale generation changes nothing' ({ store }) {
    const session = await created(store, { generation: 5, previous: 4 })
    assert.equal(await store.advance(session.id, 4, changeTo(6)), null)
    assertSession(await store.get(session.id), session)
  },

  async 'an advance from a generation yet to come changes nothing' ({ store }) {
    const session = await created(store, { generation: 5, previous: 4 })
    assert.equal(await store.advance(session.id, 6, changeTo(7)), null)
    assertSession(await store.get(session.id), session)
  },

  async 'of 100 concurrent advances from one generation exactly one wins' ({ store }) {
    const session = await created(store)
    const rivals = Array.from({ length: 100 }, (_, n) => changeTo(1, { rotatedAt: NOW + n }))
    const results = await Promise.all(rivals.map(change => store.advance(session.id, 0, change)))
    const winners = results.filter(result => result !== null)
    assert.equal(winners.length, 1)
    assert.deepEqual(await store.get(session.id), winners[0])
  },

  async 'an advance gives the session as it wrote it, whatever others write at the same time' ({ store }) {
    const session = await created(store)
    // Each advance starts from the one before. A store that reads its result in a second query would return a later one.
    const steps = Array.from({ length: 20 }, (_, generation) => changeTo(generation + 1))
    const answers = await Promise.all(steps.map(async change => {
      let answer = null
      for (let attempt = 0; answer === null && attempt < 1000; attempt++) {
        answer = await store.advance(session.id, change.generation - 1, change)
        await new Promise(setImmediate)
      }
      return answer
    }))
    for (const [nth, answer] of answers.entries()) assertSession(answer, { ...session, ...steps[nth] })
  },

  async 'an ended session stays, with when and why it ended' ({ store, wait }) {
    for (const reason of Object.keys(REASONS) as RevokeReason[]) { // Object.keys is typed string[]
      const session = await created(store)
      wait(1.5)
      assert.equal(await store.revoke(session.id, reason), true)
      const ended = await store.get(session.id)
      assert.equal(ended !== null && isRevoked(ended), true)
      assert.equal(ended?.reason, reason)
    }
  },

  async 'an end is dated in whole seconds by the clock of the store' ({ store, wait, assertDated }) {
    const one = await created(store)
    const two = await created(store, { subject: 'bob' })
    wait(90.75)
    const begun = systemClock()
    await store.revoke(one.id, 'logout')
    await store.revokeAll('bob', 'revoked')
    for (const [session, reason] of [[one, 'logout'], [two, 'revoked']] as const) {
      const { revokedAt, ...rest } = Object(await store.get(session.id))
      assertDated(revokedAt, begun)
      assert.ok(Number.isInteger(revokedAt))
      assertSession(rest, { ...session, reason })
    }
  },

  async 'a session ends once: its first reason and time stay' ({ store, wait }) {
    const session = await created(store)
    assert.equal(await store.revoke(session.id, 'reuse'), true)
    const ended = await store.get(session.id)
    wait(60)
    assert.equal(await store.revoke(session.id, 'logout'), false)
    assert.equal(await store.revokeAll('ada', 'password_changed'), 0)
    assert.deepEqual(await store.get(session.id), ended)
  },

  async 'of 20 concurrent revocations exactly one ends the session' ({ store }) {
    const session = await created(store)
    const results = await Promise.all(Array.from({ length: 20 }, () => store.revoke(session.id, 'logout')))
    assert.equal(results.filter(Boolean).length, 1)
  },

  async 'an ended session never advances' ({ store }) {
    const session = await created(store)
    await store.revoke(session.id, 'logout')
    const ended = await store.get(session.id)
    assert.equal(await store.advance(session.id, 0, changeTo(1)), null)
    assert.equal(await store.advance(session.id, 0, changeTo(0)), null)
    assert.deepEqual(await store.get(session.id), ended)
  },

  async 'an advance that races a revocation never leaves the session live' ({ store }) {
    for (let round = 0; round < 50; round++) {
      const session = await created(store)
      const advance = () => store.advance(session.id, 0, changeTo(1))
      const revoke = () => store.revoke(session.id, 'logout')
      const [first, second] = round % 2 === 0 ? [advance, revoke] : [revoke, advance]
      await Promise.all([first(), second()])

      const after = await store.get(session.id)
      assert.equal(after?.reason, 'logout')
      assert.equal(await store.advance(session.id, after.generation, changeTo(2)), null)
    }
  },

  async 'revokeAll ends what its subject holds and counts what it ended' ({ store }) {
    const stolen = await created(store)
    const others = [await created(store), await created(store)]
    const theirs = await created(store, { subject: 'bob' })
    await store.revoke(stolen.id, 'reuse')

    assert.equal(await revokeAllOf(store, 'ada', 'password_changed'), 2)
    for (const { id } of others) assert.equal((await store.get(id))?.reason, 'password_changed')
    assert.equal((await store.get(stolen.id))?.reason, 'reuse')
    assertSession(await store.get(theirs.id), theirs)
  },

  async 'revokeAll ends at least one with each call, until none is left' ({ store }) {
    const spared = await created(store)
    for (let nth = 0; nth < 30; nth++) await created(store, { createdAt: NOW - nth })
    for (let nth = 0; nth < 30; nth++) await store.revoke((await created(store, { createdAt: NOW - DAY })).id, 'logout')
    assert.equal(await revokeAllOf(store, 'ada', 'revoked', spared.id), 30)
    assert.deepEqual((await store.list('ada')).map(({ id }) => id), [spared.id])
  },

  async 'revokeAll spares the one session that it is told to' ({ store }) {
    const current = await created(store)
    const other = await created(store)
    assert.equal(await revokeAllOf(store, 'ada', 'revoked', current.id), 1)
    assertSession(await store.get(current.id), current)
    assert.equal((await store.get(other.id))?.reason, 'revoked')
    assert.equal(await store.revokeAll('ada', 'revoked', randomId()), 1)
  },

  async 'subjects that differ in case only are different people' ({ store }) {
    await assertOthers(store, 'Zo\u00eb', ['zo\u00eb', 'ZO\u00cb', 'Zoe', 'Zoe\u0308'])
  },

  async 'subjects that differ in spaces only are different people' ({ store }) {
    await assertOthers(store, 'ada', ['ada ', ' ada', 'ada\t', 'ada\u00a0'])
  },

  async 'subjects are the same only if every character is' ({ store }) {
    await assertOthers(store, 'Zo\u00eb', ['Zo%', 'Zo_', 'Zo\u00eb\0', ''])
  },

  async 'list gives the sessions of one subject that have not been revoked, oldest first' ({ store }) {
    const second = await created(store, { createdAt: NOW - 20 })
    const third = await created(store, { createdAt: NOW - 10 })
    const first = await created(store, { createdAt: NOW - 30 })
    const ended = await created(store, { createdAt: NOW - 40 })
    await created(store, { subject: 'bob' })
    await store.revoke(ended.id, 'logout')
    await store.advance(second.id, 0, changeTo(1))

    const listed = await store.list('ada')
    assert.equal(listed.length, 3)
    assertSession(listed[0], first)
    assertSession(listed[1], { ...second, ...changeTo(1) })
    assertSession(listed[2], third)
  },

  async 'a list that comes in parts has each session once, by createdAt and then by id, and ends with a short part' ({ store }) {
    const ids = ['b', 'B', 'a', '_', '-', '0', 'c']
    for (const id of ids) await created(store, { id })
    await created(store, { id: 'first', createdAt: NOW - 1 })
    await created(store, { id: 'last', createdAt: NOW + 1 })
    await created(store, { id: 'theirs', subject: 'bob' })
    const all = ['first', '-', '0', 'B', '_', 'a', 'b', 'c', 'last']
    const part = async (limit: number, after?: SessionPosition) => await store.list('ada', { limit, after, liveAt: NOW })
    if ((await part(2)).length > 2) return // a store may return all
    const listed: Session[] = []
    let given
    do {
      given = await part(2, listed.at(-1))
      listed.push(...given)
    } while (given.length === 2 && listed.length <= all.length)
    assert.deepEqual(listed.map(({ id }) => id), all)
    await store.revoke('B', 'logout')
    assert.deepEqual((await part(2, { id: 'B', createdAt: NOW })).map(({ id }) => id), ['_', 'a'], 'behind one that has ended too')
  },

  async 'a part of a list has room for sessions that are live' ({ store }) {
    for (let nth = 0; nth < 5; nth++) await created(store, { createdAt: NOW - 8 * DAY, idleExpiresAt: NOW })
    const live = await created(store)
    const listed: Session[] = []
    let given
    do {
      given = await store.list('ada', { limit: 1, after: listed.at(-1), liveAt: NOW })
      listed.push(...given)
    } while (given.length === 1 && listed.length < 9)
    assertSession(listed.find(({ id }) => id === live.id), live)
  },

  async 'a subject without sessions has an empty list' ({ store }) {
    assert.deepEqual(await store.list('nobody'), [])
    const session = await created(store)
    await store.revoke(session.id, 'logout')
    assert.deepEqual(await store.list('ada'), [])
  }
}

const storesThatPurge: Cases<'purgeExpired'> = {
  async 'purgeExpired deletes what is past its absolute end, ended or not, and counts it' ({ store }) {
    const live = await created(store)
    const atItsEnd = await created(store, { expiresAt: NOW, idleExpiresAt: NOW })
    const past = await created(store, { expiresAt: NOW - 1, idleExpiresAt: NOW - 1 })
    const ended = await created(store, { expiresAt: NOW - DAY, idleExpiresAt: NOW - DAY })
    await store.revoke(ended.id, 'logout')

    assert.equal(await store.purgeExpired(NOW), 2)
    assert.equal(await store.get(past.id), null)
    assert.equal(await store.get(ended.id), null)
    assertSession(await store.get(atItsEnd.id), atItsEnd)
    assertSession(await store.get(live.id), live)
    assert.equal(await store.purgeExpired(NOW), 0)
  },

  async 'purgeExpired leaves a session that has just ended, so that its tokens still learn why' ({ store }) {
    const session = await created(store)
    await store.revoke(session.id, 'reuse')
    assert.equal(await store.purgeExpired(NOW), 0)
    assert.equal((await store.get(session.id))?.reason, 'reuse')
  },

  async 'a session goes on after a purge' ({ store }) {
    const session = await created(store)
    await created(store, { expiresAt: NOW - 1, idleExpiresAt: NOW - 1 })
    await Promise.all([store.purgeExpired(NOW), store.advance(session.id, 0, changeTo(1))])
    assertSession(await store.get(session.id), { ...session, ...changeTo(1) })
  }
}

/** Subscribes. The returned function resolves to the next revocation, even if it arrives after `revoke` resolved. */
function listen ({ store, after }: Bench<'subscribe'>): () => Promise<unknown> {
  const notified = new PassThrough({ objectMode: true })
  after(store.subscribe(revocation => { notified.write(revocation) }))
  const revocations = notified[Symbol.asyncIterator]()
  return async () => (await revocations.next()).value
}

const storesWithSubscribe: Cases<'subscribe'> = {
  async 'a subscription says when it is up' ({ store, after }) {
    const first = await new Promise(resolve => after(store.subscribe(() => {}, resolve)))
    assert.equal(first, true)
  },

  async 'every listener is told of a session that ends' (bench) {
    const session = await created(bench.store)
    const listeners = [listen(bench), listen(bench)]
    await bench.store.revoke(session.id, 'logout')
    for (const next of listeners) assert.deepEqual(await next(), { id: session.id })
  },

  async 'a listener is told whose sessions ended, when, and which one was spared' (bench) {
    const { store, wait, assertDated } = bench
    const session = await created(store)
    await created(store)
    const next = listen(bench)
    wait(60)
    for (const spared of [{ exceptId: session.id }, {}]) {
      const begun = systemClock()
      await store.revokeAll('ada', 'revoked', spared.exceptId)
      const { at, ...revocation } = Object(await next())
      assert.deepEqual(revocation, { subject: 'ada', ...spared })
      assertDated(at, begun)
    }
  },

  async 'a listener that stopped is told nothing more' (bench) {
    const { store } = bench
    const [one, two] = [await created(store), await created(store)]
    const received: unknown[] = []
    const stop = store.subscribe(revocation => { received.push(revocation) })
    const next = listen(bench)
    await store.revoke(one.id, 'logout')
    await next()
    await stop()
    await store.revoke(two.id, 'logout')
    await next()
    assert.deepEqual(received, [{ id: one.id }])
  }
}

const storesWithAClock: Cases<'now'> = {
  async 'the time is that of the server, in seconds, and goes on' ({ store }) {
    const times = [await store.now(), await store.now()] as const
    for (const time of times) assert.ok(time > 1e9 && time < NOW, `${time} is no time of this century`)
    assert.ok(times[0] <= times[1])
  }
}
