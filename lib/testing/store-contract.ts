import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { randomId } from '../random.js'
import { isRevoked, type RevokeReason, type Session, type SessionChange, type SessionPosition } from '../sessions/session.js'
import { type SessionStore } from '../sessions/store.js'
import { systemClock, type Clock, type EpochSeconds, type Seconds } from '../time.js'

/** Makes an empty store under test. A store that takes a clock must date revocations by `clock`; another can ignore it. */
export type MakeStore = (options: { readonly clock: Clock }) => SessionStore | Promise<SessionStore>

/** One requirement of the store contract. */
export interface ContractCase {
  /** The requirement as a sentence: the title of its test. */
  readonly name: string
  /** Makes one store and tests it. Rejects with an AssertionError, or with an error of the store. */
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
interface Setup<A extends Ability> {
  readonly store: StoreWith<A>
  readonly wait: (time: Seconds) => void
  /** Throws unless a time that the store wrote since `begun` is that of its clock: the given one, or that of the machine. */
  readonly assertDated: (time: unknown, begun: EpochSeconds) => void
  /** Registers a clean-up, called when the case passes or fails. */
  readonly after: (stop: () => unknown) => void
}

type Cases<A extends Ability = never> = Readonly<Record<string, (setup: Setup<A>) => Promise<void>>>

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

async function createIn (store: SessionStore, over: Partial<Session> = {}): Promise<Session> {
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

const HOSTILE_IDS = ['', ' ', '\0', 'null', '__proto__', '*', '%', '$1', "' OR '1'='1", "'; DROP TABLE auth_sessions; --", '"; --', '\\', '../..', '{}', '\ud800', 'x'.repeat(10_000)]

const everyStore: Cases = {
  async 'get resolves to a created session with every field unchanged' ({ store }) {
    for (const over of SESSIONS) {
      const session = await createIn(store, over)
      assertSession(await store.get(session.id, session), session)
    }
  },

  async 'unknown ids and subjects give null, false or 0, and no error' ({ store }) {
    assert.equal(await store.get(randomId()), null)
    assert.equal(await store.advance(randomId(), 0, changeTo(1)), null)
    assert.equal(await store.revoke(randomId(), 'logout'), false)
    assert.equal(await store.revokeAll('nobody', 'logout'), 0)
  },

  async 'injection: an id with quotes, wildcards or control characters is an unknown id' ({ store }) {
    const session = await createIn(store)
    for (const id of HOSTILE_IDS) {
      assert.equal(await store.get(id), null)
      assert.equal(await store.advance(id, 0, changeTo(1)), null)
      assert.equal(await store.revoke(id, 'logout'), false)
      assert.equal(await store.revokeAll(id, 'logout'), 0)
    }
    assertSession(await store.get(session.id, session), session)
  },

  async 'advance resolves to the changed session' ({ store }) {
    const session = await createIn(store)
    const change = changeTo(1)
    assertSession(await store.advance(session.id, 0, change, session), { ...session, ...change })
  },

  async 'advance changes authTime only if its change has one' ({ store }) {
    const session = await createIn(store)
    const rotated = await store.advance(session.id, 0, changeTo(1), session)
    assert.equal(rotated?.authTime, NOW)
    const reauthenticated = await store.advance(session.id, 1, changeTo(2, { authTime: NOW + 60 }), rotated)
    assert.equal(reauthenticated?.authTime, NOW + 60)
  },

  async 'advance accepts a change with the same generation' ({ store }) {
    const session = await createIn(store, { generation: 3, previous: 2 })
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
  return assert.fail('revokeAll resolved to more than 0 a thousand times')
}

/** Asserts that no other subject lists or revokes a session of `subject`, without and with sessions of its own. */
async function assertDistinctSubjects (store: StoreWith<'list'>, subject: string, others: readonly string[]): Promise<void> {
  const session = await createIn(store, { subject })
  for (const other of others) {
    assert.deepEqual(await store.list(other), [])
    assert.equal(await store.revokeAll(other, 'revoked'), 0)
  }
  assertSession(await store.get(session.id), session)
  for (const other of others.filter(other => other !== '' && !other.includes('\0'))) {
    const theirs = await createIn(store, { subject: other })
    assertSession((await store.list(other))[0], theirs)
  }
  assert.deepEqual((await store.list(subject)).map(({ id }) => id), [session.id])
}

const storesWithRows: Cases<'list'> = {
  async 'the stored session is used, not the claims of a token' ({ store }) {
    const session = await createIn(store)
    const claimed = { ...session, subject: 'mallory', generation: 9, expiresAt: NOW + 99 * DAY }
    assertSession(await store.get(session.id, claimed), session)
    assertSession(await store.advance(session.id, 0, changeTo(1), claimed), { ...session, ...changeTo(1) })

    const unknown = newSession()
    assert.equal(await store.get(unknown.id, unknown), null)
    assert.equal(await store.advance(unknown.id, 0, changeTo(1), unknown), null)
  },

  async 'create rejects an id that exists, and leaves that session unchanged' ({ store }) {
    const session = await createIn(store)
    await assert.rejects(async () => await store.create({ ...session, subject: 'mallory' }))
    assertSession(await store.get(session.id), session)
    assert.deepEqual(await store.list('mallory'), [])
  },

  async 'ids that differ only in case are different sessions' ({ store }) {
    const lower = await createIn(store, { id: 'aaaaaaaaaaaaaaaaaaaaaa' })
    const upper = await createIn(store, { id: 'AAAAAAAAAAAAAAAAAAAAAA' })
    await store.revoke(upper.id, 'logout')
    assertSession(await store.get(lower.id), lower)
  },

  async 'an id with extra spaces or in another case is unknown' ({ store }) {
    const session = await createIn(store, { id: 'aBcDeFgHiJkLmNoPqRsTuV' })
    for (const id of [`${session.id} `, ` ${session.id}`, session.id.toLowerCase(), session.id.toUpperCase()]) {
      assert.equal(await store.get(id), null)
      assert.equal(await store.advance(id, 0, changeTo(1)), null)
      assert.equal(await store.revoke(id, 'logout'), false)
    }
    assert.equal(await store.revokeAll('ada', 'revoked', session.id.toLowerCase()), 1)
  },

  async 'a stored session shares no objects with its callers' ({ store }) {
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

  async 'advance writes only the fields of its change, and only in its session' ({ store }) {
    const session = await createIn(store)
    const other = await createIn(store)
    await store.advance(session.id, 0, changeTo(1))
    assertSession(await store.get(session.id), { ...session, ...changeTo(1) })
    await store.advance(session.id, 1, changeTo(2, { previous: null, authTime: NOW + 5 }))
    assertSession(await store.get(session.id), { ...session, ...changeTo(2, { previous: null, authTime: NOW + 5 }) })
    assertSession(await store.get(other.id), other)
  },

  async 'reuse detection: advance from an older generation changes nothing' ({ store }) {
    const session = await createIn(store, { generation: 5, previous: 4 })
    assert.equal(await store.advance(session.id, 4, changeTo(6)), null)
    assertSession(await store.get(session.id), session)
  },

  async 'advance from a newer generation changes nothing' ({ store }) {
    const session = await createIn(store, { generation: 5, previous: 4 })
    assert.equal(await store.advance(session.id, 6, changeTo(7)), null)
    assertSession(await store.get(session.id), session)
  },

  async 'of 100 concurrent advances from one generation exactly one succeeds' ({ store }) {
    const session = await createIn(store)
    const changes = Array.from({ length: 100 }, (_, n) => changeTo(1, { rotatedAt: NOW + n }))
    const results = await Promise.all(changes.map(change => store.advance(session.id, 0, change)))
    const succeeded = results.filter(result => result !== null)
    assert.equal(succeeded.length, 1)
    assert.deepEqual(await store.get(session.id), succeeded[0])
  },

  async 'advance resolves to the session as it wrote it, not as a later call did' ({ store }) {
    const session = await createIn(store)
    // Each advance starts from the one before. A store that reads its result in a second query would return a later one.
    const steps = Array.from({ length: 20 }, (_, generation) => changeTo(generation + 1))
    const results = await Promise.all(steps.map(async change => {
      let result = null
      for (let attempt = 0; result === null && attempt < 1000; attempt++) {
        result = await store.advance(session.id, change.generation - 1, change)
        await new Promise(setImmediate)
      }
      return result
    }))
    for (const [nth, result] of results.entries()) assertSession(result, { ...session, ...steps[nth] })
  },

  async 'a revoked session is kept, with its time and reason' ({ store, wait }) {
    for (const reason of Object.keys(REASONS) as RevokeReason[]) { // Object.keys is typed string[]
      const session = await createIn(store)
      wait(1.5)
      assert.equal(await store.revoke(session.id, reason), true)
      const ended = await store.get(session.id)
      assert.equal(ended !== null && isRevoked(ended), true)
      assert.equal(ended?.reason, reason)
    }
  },

  async 'revocations are dated in whole seconds by the clock of the store' ({ store, wait, assertDated }) {
    const one = await createIn(store)
    const two = await createIn(store, { subject: 'bob' })
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

  async 'a revoked session keeps its first reason and time' ({ store, wait }) {
    const session = await createIn(store)
    assert.equal(await store.revoke(session.id, 'reuse'), true)
    const ended = await store.get(session.id)
    wait(60)
    assert.equal(await store.revoke(session.id, 'logout'), false)
    assert.equal(await store.revokeAll('ada', 'password_changed'), 0)
    assert.deepEqual(await store.get(session.id), ended)
  },

  async 'of 20 concurrent revocations exactly one resolves to true' ({ store }) {
    const session = await createIn(store)
    const results = await Promise.all(Array.from({ length: 20 }, () => store.revoke(session.id, 'logout')))
    assert.equal(results.filter(Boolean).length, 1)
  },

  async 'advance never changes a revoked session' ({ store }) {
    const session = await createIn(store)
    await store.revoke(session.id, 'logout')
    const ended = await store.get(session.id)
    assert.equal(await store.advance(session.id, 0, changeTo(1)), null)
    assert.equal(await store.advance(session.id, 0, changeTo(0)), null)
    assert.deepEqual(await store.get(session.id), ended)
  },

  async 'a session that is revoked during an advance stays revoked' ({ store }) {
    for (let round = 0; round < 50; round++) {
      const session = await createIn(store)
      const advance = () => store.advance(session.id, 0, changeTo(1))
      const revoke = () => store.revoke(session.id, 'logout')
      const [first, second] = round % 2 === 0 ? [advance, revoke] : [revoke, advance]
      await Promise.all([first(), second()])

      const after = await store.get(session.id)
      assert.equal(after?.reason, 'logout')
      assert.equal(await store.advance(session.id, after.generation, changeTo(2)), null)
    }
  },

  async 'revokeAll revokes the sessions of its subject, and resolves to their number' ({ store }) {
    const stolen = await createIn(store)
    const others = [await createIn(store), await createIn(store)]
    const theirs = await createIn(store, { subject: 'bob' })
    await store.revoke(stolen.id, 'reuse')

    assert.equal(await revokeAllOf(store, 'ada', 'password_changed'), 2)
    for (const { id } of others) assert.equal((await store.get(id))?.reason, 'password_changed')
    assert.equal((await store.get(stolen.id))?.reason, 'reuse')
    assertSession(await store.get(theirs.id), theirs)
  },

  async 'revokeAll revokes at least one session per call until none is left' ({ store }) {
    const excepted = await createIn(store)
    for (let nth = 0; nth < 30; nth++) await createIn(store, { createdAt: NOW - nth })
    for (let nth = 0; nth < 30; nth++) await store.revoke((await createIn(store, { createdAt: NOW - DAY })).id, 'logout')
    assert.equal(await revokeAllOf(store, 'ada', 'revoked', excepted.id), 30)
    assert.deepEqual((await store.list('ada')).map(({ id }) => id), [excepted.id])
  },

  async 'revokeAll does not revoke the session exceptId' ({ store }) {
    const current = await createIn(store)
    const other = await createIn(store)
    assert.equal(await revokeAllOf(store, 'ada', 'revoked', current.id), 1)
    assertSession(await store.get(current.id), current)
    assert.equal((await store.get(other.id))?.reason, 'revoked')
    assert.equal(await store.revokeAll('ada', 'revoked', randomId()), 1)
  },

  async 'subjects that differ only in case are different users' ({ store }) {
    await assertDistinctSubjects(store, 'Zo\u00eb', ['zo\u00eb', 'ZO\u00cb', 'Zoe', 'Zoe\u0308'])
  },

  async 'subjects that differ only in spaces are different users' ({ store }) {
    await assertDistinctSubjects(store, 'ada', ['ada ', ' ada', 'ada\t', 'ada\u00a0'])
  },

  async 'subjects are compared by every character, without wildcards' ({ store }) {
    await assertDistinctSubjects(store, 'Zo\u00eb', ['Zo%', 'Zo_', 'Zo\u00eb\0', ''])
  },

  async 'list resolves to the unrevoked sessions of its subject, oldest first' ({ store }) {
    const second = await createIn(store, { createdAt: NOW - 20 })
    const third = await createIn(store, { createdAt: NOW - 10 })
    const first = await createIn(store, { createdAt: NOW - 30 })
    const revoked = await createIn(store, { createdAt: NOW - 40 })
    await createIn(store, { subject: 'bob' })
    await store.revoke(revoked.id, 'logout')
    await store.advance(second.id, 0, changeTo(1))

    const listed = await store.list('ada')
    assert.equal(listed.length, 3)
    assertSession(listed[0], first)
    assertSession(listed[1], { ...second, ...changeTo(1) })
    assertSession(listed[2], third)
  },

  async 'the pages of a list hold each session once, ordered by createdAt and then by id; the last page is short' ({ store }) {
    const ids = ['b', 'B', 'a', '_', '-', '0', 'c']
    for (const id of ids) await createIn(store, { id })
    await createIn(store, { id: 'first', createdAt: NOW - 1 })
    await createIn(store, { id: 'last', createdAt: NOW + 1 })
    await createIn(store, { id: 'theirs', subject: 'bob' })
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
    assert.deepEqual((await part(2, { id: 'B', createdAt: NOW })).map(({ id }) => id), ['_', 'a'], 'after a session that was revoked meanwhile')
  },

  async 'expired sessions do not end a list before its live ones' ({ store }) {
    for (let nth = 0; nth < 5; nth++) await createIn(store, { createdAt: NOW - 8 * DAY, idleExpiresAt: NOW })
    const live = await createIn(store)
    const listed: Session[] = []
    let given
    do {
      given = await store.list('ada', { limit: 1, after: listed.at(-1), liveAt: NOW })
      listed.push(...given)
    } while (given.length === 1 && listed.length < 9)
    assertSession(listed.find(({ id }) => id === live.id), live)
  },

  async 'the list of a subject without unrevoked sessions is empty' ({ store }) {
    assert.deepEqual(await store.list('nobody'), [])
    const session = await createIn(store)
    await store.revoke(session.id, 'logout')
    assert.deepEqual(await store.list('ada'), [])
  }
}

const storesThatPurge: Cases<'purgeExpired'> = {
  async 'purgeExpired deletes sessions past their absolute expiry, revoked or not, and resolves to their number' ({ store }) {
    const live = await createIn(store)
    const atItsEnd = await createIn(store, { expiresAt: NOW, idleExpiresAt: NOW })
    const past = await createIn(store, { expiresAt: NOW - 1, idleExpiresAt: NOW - 1 })
    const revoked = await createIn(store, { expiresAt: NOW - DAY, idleExpiresAt: NOW - DAY })
    await store.revoke(revoked.id, 'logout')

    assert.equal(await store.purgeExpired(NOW), 2)
    assert.equal(await store.get(past.id), null)
    assert.equal(await store.get(revoked.id), null)
    assertSession(await store.get(atItsEnd.id), atItsEnd)
    assertSession(await store.get(live.id), live)
    assert.equal(await store.purgeExpired(NOW), 0)
  },

  async 'purgeExpired keeps revoked sessions until they expire: their tokens are refused with the reason' ({ store }) {
    const session = await createIn(store)
    await store.revoke(session.id, 'reuse')
    assert.equal(await store.purgeExpired(NOW), 0)
    assert.equal((await store.get(session.id))?.reason, 'reuse')
  },

  async 'purgeExpired does not affect a concurrent advance' ({ store }) {
    const session = await createIn(store)
    await createIn(store, { expiresAt: NOW - 1, idleExpiresAt: NOW - 1 })
    await Promise.all([store.purgeExpired(NOW), store.advance(session.id, 0, changeTo(1))])
    assertSession(await store.get(session.id), { ...session, ...changeTo(1) })
  }
}

/** Subscribes. The returned function resolves to the next revocation, which may arrive after `revoke` resolved, without repeats. */
function listen ({ store, after }: Setup<'subscribe'>): () => Promise<unknown> {
  const notified = new PassThrough({ objectMode: true })
  const seen = new Set<string>()
  after(store.subscribe(revocation => {
    const text = JSON.stringify(revocation)
    if (!seen.has(text)) notified.write(revocation)
    seen.add(text)
  }))
  const revocations = notified[Symbol.asyncIterator]()
  return async () => (await revocations.next()).value
}

const storesWithSubscribe: Cases<'subscribe'> = {
  async 'subscribe calls onConnection with true once it receives revocations' ({ store, after }) {
    const first = await new Promise(resolve => after(store.subscribe(() => {}, resolve)))
    assert.equal(first, true)
  },

  async 'every listener receives the id of a revoked session' (setup) {
    const session = await createIn(setup.store)
    const listeners = [listen(setup), listen(setup)]
    await setup.store.revoke(session.id, 'logout')
    for (const next of listeners) assert.deepEqual(await next(), { id: session.id })
  },

  async 'a listener receives the subject, the time and exceptId of revokeAll' (setup) {
    const { store, wait, assertDated } = setup
    const session = await createIn(store)
    await createIn(store)
    const next = listen(setup)
    wait(60)
    for (const except of [{ exceptId: session.id }, {}]) {
      const begun = systemClock()
      await store.revokeAll('ada', 'revoked', except.exceptId)
      const { at, ...revocation } = Object(await next())
      assert.deepEqual(revocation, { subject: 'ada', ...except })
      assertDated(at, begun)
    }
  },

  async 'a listener receives nothing after it unsubscribed' (setup) {
    const { store } = setup
    const [one, two] = [await createIn(store), await createIn(store)]
    const received: unknown[] = []
    const stop = store.subscribe(revocation => { received.push(revocation) })
    const next = listen(setup)
    await store.revoke(one.id, 'logout')
    assert.deepEqual(await next(), { id: one.id })
    await stop()
    await store.revoke(two.id, 'logout')
    assert.deepEqual(await next(), { id: two.id })
    for (const revocation of received) assert.deepEqual(revocation, { id: one.id })
  }
}

const storesWithAClock: Cases<'now'> = {
  async 'now resolves to the time of the server in seconds, and never decreases' ({ store }) {
    const times = [await store.now(), await store.now()] as const
    for (const time of times) assert.ok(time > 1e9 && time < NOW, `${time} is not the time in seconds`)
    assert.ok(times[0] <= times[1])
  }
}
