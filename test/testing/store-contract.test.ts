import { runInNewContext } from 'node:vm'
import t from 'tap'
import { type Session } from '../../lib/sessions/session.js'
import { type SessionStore } from '../../lib/sessions/store.js'
import { type Clock } from '../../lib/time.js'
import { memoryStore, type MemoryStoreOptions } from '../../lib/stores/memory.js'
import { statelessStore } from '../../lib/stores/stateless.js'
import { storeContract } from '../../lib/testing/index.js'
import { DOCUMENTATION } from '../support/documentation.js'

type Store = ReturnType<typeof correctStore>

interface Flaw {
  /** The requirement that must fail; others may fail too. */
  readonly breaks: string
  /** The methods that differ from a correct store. */
  readonly by: (correct: Store, clock: Clock) => Partial<SessionStore>
}

/** A correct store with every method. */
function correctStore (options?: MemoryStoreOptions) {
  return { ...memoryStore(options), now: async () => Date.now() / 1000 }
}

const names = storeContract(correctStore()).map(({ name }) => name)
const soon = async (): Promise<void> => await new Promise(resolve => { setImmediate(resolve) })

/** A store for which subjects with the same `key` are one user: the first that was created. */
function withSubjects ({ create, revokeAll, list }: Store, key: (subject: string) => string): Partial<SessionStore> {
  const known = new Map<string, string>()
  const same = (subject: string): string => known.get(key(subject)) ?? subject
  return {
    async create (session) {
      if (!known.has(key(session.subject))) known.set(key(session.subject), session.subject)
      await create(session)
    },
    revokeAll: (subject, ...rest) => revokeAll(same(subject), ...rest),
    list: (subject, part) => list(same(subject), part)
  }
}

/** Likely mistakes of a store author. */
const flaws: Record<string, Flaw> = {
  'stores seconds in 32 bits': {
    breaks: 'get resolves to a created session with every field unchanged',
    by: ({ create }) => ({ create: session => create({ ...session, expiresAt: session.expiresAt | 0 }) })
  },
  'returns null as an empty string': {
    breaks: 'get resolves to a created session with every field unchanged',
    by: ({ create }) => ({ create: session => create({ ...session, userAgent: session.userAgent ?? '' }) })
  },
  'truncates long strings': {
    breaks: 'get resolves to a created session with every field unchanged',
    by: ({ create }) => ({ create: session => create({ ...session, userAgent: session.userAgent?.slice(0, 255) ?? null }) })
  },
  'rejects for an unknown id': {
    breaks: 'unknown ids and subjects give null, false or 0, and no error',
    by: ({ get }) => ({ get: async id => await get(id) ?? await Promise.reject(new Error('not found')) })
  },
  'concatenates ids into its commands (injection)': {
    breaks: 'injection: an id with quotes, wildcards or control characters is an unknown id',
    by: ({ get }) => ({ get: async id => id.includes("'") ? await Promise.reject(new SyntaxError('near quote')) : await get(id) })
  },
  'returns the session as it was before the advance': {
    breaks: 'advance resolves to the changed session',
    by: ({ advance, get }) => ({
      async advance (id, from, change) {
        const before = await get(id)
        return await advance(id, from, change) && before
      }
    })
  },
  'changes authTime with every rotation': {
    breaks: 'advance changes authTime only if its change has one',
    by: ({ advance }) => ({ advance: (id, from, change) => advance(id, from, { authTime: change.rotatedAt, ...change }) })
  },
  'requires a later generation': {
    breaks: 'advance accepts a change with the same generation',
    by: ({ advance }) => ({ advance: async (id, from, change) => change.generation > from ? await advance(id, from, change) : null })
  },
  'trusts the claims of a token': {
    breaks: 'the stored session is used, not the claims of a token',
    by: ({ get }) => ({ get: async (id, claimed) => claimed ?? await get(id) })
  },
  'overwrites a session with the same id': {
    breaks: 'create rejects an id that exists, and leaves that session unchanged',
    by: ({ create }) => ({ create: session => create(session).catch(() => {}) })
  },
  'compares ids without case': {
    breaks: 'ids that differ only in case are different sessions',
    by: ({ create, get, revoke }) => ({
      create: session => create({ ...session, id: session.id.toLowerCase() }),
      get: id => get(id.toLowerCase()),
      revoke: (id, reason) => revoke(id.toLowerCase(), reason)
    })
  },
  'returns the object that it stores': {
    breaks: 'a stored session shares no objects with its callers',
    by: ({ get }) => {
      const kept = new Map<string, Awaited<ReturnType<Store['get']>>>()
      return {
        async get (id) {
          const session = kept.get(id) ?? { ...await get(id) } as Awaited<ReturnType<Store['get']>> // an unfrozen copy
          kept.set(id, session)
          return session
        }
      }
    }
  },
  'loses the previous generation': {
    breaks: 'advance writes only the fields of its change, and only in its session',
    by: ({ advance }) => ({ advance: (id, from, change) => advance(id, from, { ...change, previous: null }) })
  },
  'advances from any generation': {
    breaks: 'reuse detection: advance from an older generation changes nothing',
    by: ({ advance, get }) => ({
      async advance (id, _from, change) {
        const session = await get(id)
        return session && await advance(id, session.generation, change)
      }
    })
  },
  'advances from any earlier generation': {
    breaks: 'advance from a newer generation changes nothing',
    by: ({ advance, get }) => ({
      async advance (id, from, change) {
        const session = await get(id)
        return session && from >= session.generation ? await advance(id, session.generation, change) : null
      }
    })
  },
  'reads the generation and writes later, without compare-and-set': {
    breaks: 'of 100 concurrent advances from one generation exactly one succeeds',
    by: ({ advance, get }) => ({
      async advance (id, from, change) {
        const session = await get(id)
        await soon()
        const current = await get(id)
        return session?.generation === from && current !== null ? await advance(id, current.generation, change) : null
      }
    })
  },
  'loses the reason of a revocation': {
    breaks: 'a revoked session is kept, with its time and reason',
    by: ({ revoke }) => ({ revoke: id => revoke(id, 'revoked') })
  },
  'deletes revoked sessions': {
    breaks: 'a revoked session is kept, with its time and reason',
    by: ({ get }) => ({
      async get (id) {
        const session = await get(id)
        return session?.revokedAt === undefined ? session : null
      }
    })
  },
  'dates revocations by another clock': {
    breaks: 'revocations are dated in whole seconds by the clock of the store',
    by: () => memoryStore({ clock: () => 1000 })
  },
  'dates a revocation when it is read': {
    breaks: 'revocations are dated in whole seconds by the clock of the store',
    by: ({ get }) => ({
      async get (id) {
        const session = await get(id)
        return session?.revokedAt == null ? session : { ...session, revokedAt: Math.floor(Date.now() / 1000) + 1 }
      }
    })
  },
  'dates revocations with fractions of a second': {
    breaks: 'revocations are dated in whole seconds by the clock of the store',
    by: ({ get }, clock) => ({
      async get (id) {
        const session = await get(id)
        return session?.revokedAt === undefined ? session : { ...session, revokedAt: clock() }
      }
    })
  },
  'resolves to true for a session that was revoked before': {
    breaks: 'a revoked session keeps its first reason and time',
    by: ({ revoke, get }) => ({ revoke: async (id, reason) => await revoke(id, reason) || await get(id) !== null })
  },
  'reads whether a session is revoked and writes later': {
    breaks: 'of 20 concurrent revocations exactly one resolves to true',
    by: ({ revoke, get }) => ({
      async revoke (id, reason) {
        const session = await get(id)
        await soon()
        await revoke(id, reason)
        return session !== null && session.revokedAt === undefined
      }
    })
  },
  'returns a revoked session from advance': {
    breaks: 'advance never changes a revoked session',
    by: ({ advance, get }) => ({
      advance: async (id, from, change) => await advance(id, from, change) ?? await get(id)
    })
  },
  'revokes after it has resolved': {
    breaks: 'a session that is revoked during an advance stays revoked',
    by: ({ revoke }) => ({
      async revoke (id, reason) {
        setImmediate(() => { revoke(id, reason) })
        return true
      }
    })
  },
  'counts sessions that were revoked before': {
    breaks: 'revokeAll revokes the sessions of its subject, and resolves to their number',
    by: ({ revokeAll }) => ({ revokeAll: async (...all) => await revokeAll(...all) + 1 })
  },
  'ignores exceptId': {
    breaks: 'revokeAll does not revoke the session exceptId',
    by: ({ revokeAll }) => ({ revokeAll: (subject, reason) => revokeAll(subject, reason) })
  },
  'compares subjects without case, as MariaDB and MySQL do': {
    breaks: 'subjects that differ only in case are different users',
    by: correct => withSubjects(correct, subject => subject.toLowerCase())
  },
  'compares subjects without trailing spaces, as MariaDB and MySQL do': {
    breaks: 'subjects that differ only in spaces are different users',
    by: correct => withSubjects(correct, subject => subject.replace(/ +$/, ''))
  },
  'compares ids without trailing spaces, as MariaDB and MySQL do': {
    breaks: 'an id with extra spaces or in another case is unknown',
    by: ({ get, advance, revoke }) => ({
      get: id => get(id.replace(/ +$/, '')),
      advance: (id, ...rest) => advance(id.replace(/ +$/, ''), ...rest),
      revoke: (id, reason) => revoke(id.replace(/ +$/, ''), reason)
    })
  },
  'treats subjects as patterns': {
    breaks: 'subjects are compared by every character, without wildcards',
    by: ({ list }) => ({ list: subject => list(subject.replace('%', '\u00eb')) })
  },
  'reads an advanced session back in a second query': {
    breaks: 'advance resolves to the session as it wrote it, not as a later call did',
    by: ({ advance, get }) => ({
      async advance (id, from, change) {
        if (await advance(id, from, change) === null) return null
        await soon()
        return await get(id)
      }
    })
  },
  'revokes a batch of its oldest rows, revoked ones included': {
    breaks: 'revokeAll revokes at least one session per call until none is left',
    by ({ create, revoke }) {
      const rows: Session[] = []
      return {
        async create (session) {
          await create(session)
          rows.push(session)
        },
        async revokeAll (subject, reason, exceptId) {
          const oldest = rows.filter(row => row.subject === subject && row.id !== exceptId).sort((one, other) => one.createdAt - other.createdAt).slice(0, 20)
          const ended = await Promise.all(oldest.map(({ id }) => revoke(id, reason)))
          return ended.filter(Boolean).length
        }
      }
    }
  },
  'never resolves to 0 from revokeAll': {
    breaks: 'revokeAll revokes at least one session per call until none is left',
    by: ({ revokeAll }) => ({ revokeAll: async (...all) => Math.max(1, await revokeAll(...all)) })
  },
  'starts the next page at the next second': {
    breaks: 'the pages of a list hold each session once, ordered by createdAt and then by id; the last page is short',
    by: ({ list }) => ({ list: (subject, part) => list(subject, part?.after === undefined ? part : { ...part, after: { ...part.after, id: '~' } }) })
  },
  'returns the first page again': {
    breaks: 'the pages of a list hold each session once, ordered by createdAt and then by id; the last page is short',
    by: ({ list }) => ({ list: (subject, part) => list(subject, part && { limit: part.limit }) })
  },
  'removes expired sessions from a full page': {
    breaks: 'expired sessions do not end a list before its live ones',
    by: ({ list }) => ({
      async list (subject, part) {
        if (part === undefined) return await list(subject)
        const { liveAt = 0, ...rest } = part
        return (await list(subject, rest)).filter(({ idleExpiresAt }) => idleExpiresAt > liveAt)
      }
    })
  },
  'lists the newest first': {
    breaks: 'list resolves to the unrevoked sessions of its subject, oldest first',
    by: ({ list }) => ({ list: async (...wanted) => (await list(...wanted)).reverse() })
  },
  'rejects for a subject without sessions': {
    breaks: 'the list of a subject without unrevoked sessions is empty',
    by: ({ list }) => ({
      async list (...wanted) {
        const sessions = await list(...wanted)
        return sessions.length > 0 ? sessions : await Promise.reject(new Error('not found'))
      }
    })
  },
  'purges a session at the second of its expiry': {
    breaks: 'purgeExpired deletes sessions past their absolute expiry, revoked or not, and resolves to their number',
    by: ({ purgeExpired }) => ({ purgeExpired: before => purgeExpired(before + 1) })
  },
  'purges a fortnight too early': {
    breaks: 'purgeExpired keeps revoked sessions until they expire: their tokens are refused with the reason',
    by: ({ purgeExpired }) => ({ purgeExpired: before => purgeExpired(before + 14 * 86_400) })
  },
  'purges live sessions': {
    breaks: 'purgeExpired does not affect a concurrent advance',
    by: ({ purgeExpired }) => ({ purgeExpired: () => purgeExpired(Infinity) })
  },
  'reports its connection as down while it is up': {
    breaks: 'subscribe calls onConnection with true once it receives revocations',
    by: ({ subscribe }) => ({ subscribe: (listener, onConnection) => subscribe(listener, up => onConnection?.(!up)) })
  },
  'adds an id to the message of revokeAll': {
    breaks: 'a listener receives the subject, the time and exceptId of revokeAll',
    by: ({ subscribe }) => ({ subscribe: (listener, onConnection) => subscribe(revocation => { listener({ id: '', ...revocation }) }, onConnection) })
  },
  'notifies without the id of the session': {
    breaks: 'every listener receives the id of a revoked session',
    by: ({ subscribe }) => ({ subscribe: (listener, onConnection) => subscribe(() => { listener({ id: '' }) }, onConnection) })
  },
  'notifies after unsubscribing': {
    breaks: 'a listener receives nothing after it unsubscribed',
    by: ({ subscribe }) => ({
      subscribe (...both) {
        subscribe(...both)
        return () => {}
      }
    })
  },
  'returns the time in milliseconds': {
    breaks: 'now resolves to the time of the server in seconds, and never decreases',
    by: ({ now }) => ({ now: async () => 1000 * await now() })
  },
  'returns the time of the option clock from now': {
    breaks: 'now resolves to the time of the server in seconds, and never decreases',
    by: (_correct, clock) => ({ now: async () => clock() })
  },
  'has a clock that runs backwards': {
    breaks: 'now resolves to the time of the server in seconds, and never decreases',
    by ({ now }) {
      let calls = 0
      return { now: async () => await now() - ++calls }
    }
  }
}

for (const [title, { breaks, by }] of Object.entries(flaws)) {
  t.test(`the contract detects a store that ${title}`, async t => {
    const broken: string[] = []
    for (const { name, run } of storeContract(correctStore())) {
      await run(({ clock }) => {
        const correct = correctStore({ clock })
        return { ...correct, ...by(correct, clock) }
      }).catch(() => broken.push(name))
    }
    t.ok(broken.includes(breaks), broken.join('; '))
  })
}

t.test('every requirement detects a flaw', async t => {
  const found = new Set(Object.values(flaws).map(({ breaks }) => breaks))
  t.same(names.filter(name => !found.has(name)), [])
  t.same([...found].filter(name => !names.includes(name)), [])
})

t.test('a store that notifies its listeners late passes', async t => {
  for (const { name, run } of storeContract(memoryStore())) {
    await t.resolves(run(({ clock }) => {
      const store = memoryStore({ clock })
      return { ...store, subscribe: (listener, onConnection) => store.subscribe(revocation => { setImmediate(listener, revocation) }, onConnection) }
    }), name)
  }
})

t.test('a store without a clock, without pages or without batches passes', async t => {
  for (const { name, run } of storeContract(correctStore())) {
    await t.resolves(run(() => correctStore()), name)
    await t.resolves(run(({ clock }) => {
      const correct = correctStore({ clock })
      return { ...correct, list: async subject => await correct.list(subject) }
    }), name)
  }
})

t.test('the sample of the documentation passes', async t => {
  const [, sample = ''] = /```ts\n(import \{ test \} from 'node:test'\n[^]*?storeContract[^]*?)```/.exec(DOCUMENTATION) ?? []
  const results: Array<Promise<void>> = []
  const body = sample.replace(/^import .*\n/gm, '')
  runInNewContext(body, { test: (_name: string, run: () => Promise<void>) => { results.push(run()) }, memoryStore, storeContract })
  t.equal(results.length, storeContract(memoryStore()).length)
  await t.resolves(Promise.all(results))
})

t.test('the requirements depend on the methods of the store', async t => {
  const { create, get, advance, revoke, revokeAll, list, purgeExpired } = memoryStore()
  const without = { create, get, advance, revoke, revokeAll }
  const count = (store: SessionStore): number => storeContract(store).length
  t.equal(count(without), count(statelessStore()))
  t.ok(count(without) < count({ ...without, list }))
  t.ok(count({ ...without, list }) < count({ ...without, list, purgeExpired }))
  t.ok(count({ ...without, list, purgeExpired }) < count(memoryStore()))
  t.ok(count(memoryStore()) < count(correctStore()))
})

t.test('each requirement has its own name', async t => {
  t.equal(new Set(names).size, names.length)
})

t.test('a store may be created asynchronously', async t => {
  for (const { run } of storeContract(memoryStore()).slice(0, 3)) await t.resolves(run(async ({ clock }) => memoryStore({ clock })))
})
