import { readFileSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { type Session, type SessionStore } from '../../lib/sessions/session.js'
import { type Clock } from '../../lib/time.js'
import { memoryStore, type MemoryStoreOptions } from '../../lib/stores/memory.js'
import { statelessStore } from '../../lib/stores/stateless.js'
import { storeContract } from '../../lib/testing/index.js'

type Store = ReturnType<typeof soundStore>

interface Flaw {
  /** The rule that has to find it; others may too. */
  readonly breaks: string
  /** What the flawed store does otherwise than a sound one. */
  readonly by: (sound: Store, clock: Clock) => Partial<SessionStore>
}

/** A store with every ability. */
function soundStore (options?: MemoryStoreOptions) {
  return { ...memoryStore(options), now: async () => Date.now() / 1000 }
}

const names = storeContract(soundStore()).map(({ name }) => name)
const soon = async (): Promise<void> => await new Promise(resolve => { setImmediate(resolve) })

/** A store that takes subjects for the same whose `key` is: it finds what was created first under one. */
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

/** Each is a mistake that a store of somebody's own may well make. */
const flaws: Record<string, Flaw> = {
  'keeps seconds in 32 bits': {
    breaks: 'a created session is found with every field as it was',
    by: ({ create }) => ({ create: session => create({ ...session, expiresAt: session.expiresAt | 0 }) })
  },
  'gives null as an empty text': {
    breaks: 'a created session is found with every field as it was',
    by: ({ create }) => ({ create: session => create({ ...session, userAgent: session.userAgent ?? '' }) })
  },
  'cuts long texts off': {
    breaks: 'a created session is found with every field as it was',
    by: ({ create }) => ({ create: session => create({ ...session, userAgent: session.userAgent?.slice(0, 255) ?? null }) })
  },
  'fails where there is no session': {
    breaks: 'an unknown session is null, and no error',
    by: ({ get }) => ({ get: async id => await get(id) ?? await Promise.reject(new Error('not found')) })
  },
  'builds its commands from ids': {
    breaks: 'an id is data: whatever it looks like, it is just unknown',
    by: ({ get }) => ({ get: async id => id.includes("'") ? await Promise.reject(new SyntaxError('near quote')) : await get(id) })
  },
  'gives an advanced session as it was before': {
    breaks: 'an advance gives the session as it is after it',
    by: ({ advance, get }) => ({
      async advance (id, from, change) {
        const before = await get(id)
        return await advance(id, from, change) && before
      }
    })
  },
  'moves authTime with every rotation': {
    breaks: 'an advance moves authTime only when it is told to',
    by: ({ advance }) => ({ advance: (id, from, change) => advance(id, from, { authTime: change.rotatedAt, ...change }) })
  },
  'insists on a later generation': {
    breaks: 'an advance may stay in its generation',
    by: ({ advance }) => ({ advance: async (id, from, change) => change.generation > from ? await advance(id, from, change) : null })
  },
  'believes what a token claims': {
    breaks: 'what a token claims never stands in for what is stored',
    by: ({ get }) => ({ get: async (id, claimed) => claimed ?? await get(id) })
  },
  'overwrites a session of the same id': {
    breaks: 'a second session with an id is refused, and the first stays as it was',
    by: ({ create }) => ({ create: session => create(session).catch(() => {}) })
  },
  'compares ids without regard to case': {
    breaks: 'ids that differ in case only are different sessions',
    by: ({ create, get, revoke }) => ({
      create: session => create({ ...session, id: session.id.toLowerCase() }),
      get: id => get(id.toLowerCase()),
      revoke: (id, reason) => revoke(id.toLowerCase(), reason)
    })
  },
  'hands out the object that it keeps': {
    breaks: 'a session is not changed through the objects that went in or came out',
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
  'drops the previous generation': {
    breaks: 'an advance writes the fields of its change and no other, in this session and no other',
    by: ({ advance }) => ({ advance: (id, from, change) => advance(id, from, { ...change, previous: null }) })
  },
  'advances from any generation': {
    breaks: 'an advance from a stale generation changes nothing',
    by: ({ advance, get }) => ({
      async advance (id, _from, change) {
        const session = await get(id)
        return session && await advance(id, session.generation, change)
      }
    })
  },
  'advances from any earlier generation': {
    breaks: 'an advance from a generation yet to come changes nothing',
    by: ({ advance, get }) => ({
      async advance (id, from, change) {
        const session = await get(id)
        return session && from >= session.generation ? await advance(id, session.generation, change) : null
      }
    })
  },
  'reads a generation and writes later': {
    breaks: 'of 100 concurrent advances from one generation exactly one wins',
    by: ({ advance, get }) => ({
      async advance (id, from, change) {
        const session = await get(id)
        await soon()
        const current = await get(id)
        return session?.generation === from && current !== null ? await advance(id, current.generation, change) : null
      }
    })
  },
  'forgets why a session ended': {
    breaks: 'an ended session stays, with when and why it ended',
    by: ({ revoke }) => ({ revoke: id => revoke(id, 'revoked') })
  },
  'deletes what ended': {
    breaks: 'an ended session stays, with when and why it ended',
    by: ({ get }) => ({
      async get (id) {
        const session = await get(id)
        return session?.revokedAt === undefined ? session : null
      }
    })
  },
  'dates an end by a clock of its own': {
    breaks: 'an end is dated in whole seconds by the clock of the store',
    by: () => memoryStore({ clock: () => 1000 })
  },
  'dates an end by when it was asked about': {
    breaks: 'an end is dated in whole seconds by the clock of the store',
    by: ({ get }) => ({
      async get (id) {
        const session = await get(id)
        return session?.revokedAt == null ? session : { ...session, revokedAt: Math.floor(Date.now() / 1000) + 1 }
      }
    })
  },
  'keeps the fraction of a second': {
    breaks: 'an end is dated in whole seconds by the clock of the store',
    by: ({ get }, clock) => ({
      async get (id) {
        const session = await get(id)
        return session?.revokedAt === undefined ? session : { ...session, revokedAt: clock() }
      }
    })
  },
  'says each time that it ended a session': {
    breaks: 'a session ends once: its first reason and time stay',
    by: ({ revoke, get }) => ({ revoke: async (id, reason) => await revoke(id, reason) || await get(id) !== null })
  },
  'looks whether a session has ended, and ends it later': {
    breaks: 'of 20 concurrent revocations exactly one ends the session',
    by: ({ revoke, get }) => ({
      async revoke (id, reason) {
        const session = await get(id)
        await soon()
        await revoke(id, reason)
        return session !== null && session.revokedAt === undefined
      }
    })
  },
  'advances an ended session': {
    breaks: 'an ended session never advances',
    by: ({ advance, get }) => ({
      advance: async (id, from, change) => await advance(id, from, change) ?? await get(id)
    })
  },
  'ends sessions a moment after it said so': {
    breaks: 'an advance that races a revocation never leaves the session live',
    by: ({ revoke }) => ({
      async revoke (id, reason) {
        setImmediate(() => { revoke(id, reason) })
        return true
      }
    })
  },
  'counts what had ended before': {
    breaks: 'revokeAll ends what its subject holds and counts what it ended',
    by: ({ revokeAll }) => ({ revokeAll: async (...all) => await revokeAll(...all) + 1 })
  },
  'spares nobody': {
    breaks: 'revokeAll spares the one session that it is told to',
    by: ({ revokeAll }) => ({ revokeAll: (subject, reason) => revokeAll(subject, reason) })
  },
  'compares subjects without regard to case, as MariaDB and MySQL do': {
    breaks: 'subjects that differ in case only are different people',
    by: sound => withSubjects(sound, subject => subject.toLowerCase())
  },
  'compares subjects without the spaces behind them, as MariaDB and MySQL do': {
    breaks: 'subjects that differ in spaces only are different people',
    by: sound => withSubjects(sound, subject => subject.replace(/ +$/, ''))
  },
  'compares ids without the spaces behind them, as MariaDB and MySQL do': {
    breaks: 'an id with a space behind it, or in other letters, is another one',
    by: ({ get, advance, revoke }) => ({
      get: id => get(id.replace(/ +$/, '')),
      advance: (id, ...rest) => advance(id.replace(/ +$/, ''), ...rest),
      revoke: (id, reason) => revoke(id.replace(/ +$/, ''), reason)
    })
  },
  'reads subjects as patterns': {
    breaks: 'subjects are the same only if every character is',
    by: ({ list }) => ({ list: subject => list(subject.replace('%', '\u00eb')) })
  },
  'reads an advanced session back in a second query': {
    breaks: 'an advance gives the session as it wrote it, whatever others write at the same time',
    by: ({ advance, get }) => ({
      async advance (id, from, change) {
        if (await advance(id, from, change) === null) return null
        await soon()
        return await get(id)
      }
    })
  },
  'ends the oldest of all its rows, and takes them for all there are': {
    breaks: 'revokeAll ends at least one with each call, until none is left',
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
  'says of each call that it ended sessions': {
    breaks: 'revokeAll ends at least one with each call, until none is left',
    by: ({ revokeAll }) => ({ revokeAll: async (...all) => Math.max(1, await revokeAll(...all)) })
  },
  'goes on with a list at the next second': {
    breaks: 'a list that comes in parts has each session once, by createdAt and then by id, and ends with a short part',
    by: ({ list }) => ({ list: (subject, part) => list(subject, part?.after === undefined ? part : { ...part, after: { ...part.after, id: '~' } }) })
  },
  'begins a list anew for each part': {
    breaks: 'a list that comes in parts has each session once, by createdAt and then by id, and ends with a short part',
    by: ({ list }) => ({ list: (subject, part) => list(subject, part && { limit: part.limit }) })
  },
  'leaves out expired sessions once a part is full': {
    breaks: 'a part of a list has room for sessions that are live',
    by: ({ list }) => ({
      async list (subject, part) {
        if (part === undefined) return await list(subject)
        const { liveAt = 0, ...rest } = part
        return (await list(subject, rest)).filter(({ idleExpiresAt }) => idleExpiresAt > liveAt)
      }
    })
  },
  'lists the newest first': {
    breaks: 'list gives the sessions of one subject that have not been revoked, oldest first',
    by: ({ list }) => ({ list: async (...wanted) => (await list(...wanted)).reverse() })
  },
  'fails where a subject has no sessions': {
    breaks: 'a subject without sessions has an empty list',
    by: ({ list }) => ({
      async list (...wanted) {
        const sessions = await list(...wanted)
        return sessions.length > 0 ? sessions : await Promise.reject(new Error('not found'))
      }
    })
  },
  'purges a session at its very end': {
    breaks: 'purgeExpired deletes what is past its absolute end, ended or not, and counts it',
    by: ({ purgeExpired }) => ({ purgeExpired: before => purgeExpired(before + 1) })
  },
  'purges a fortnight too early': {
    breaks: 'purgeExpired leaves a session that has just ended, so that its tokens still learn why',
    by: ({ purgeExpired }) => ({ purgeExpired: before => purgeExpired(before + 14 * 86_400) })
  },
  'purges whatever it holds': {
    breaks: 'a session goes on after a purge',
    by: ({ purgeExpired }) => ({ purgeExpired: () => purgeExpired(Infinity) })
  },
  'says that its subscription is down while it is up': {
    breaks: 'a subscription says when it is up',
    by: ({ subscribe }) => ({ subscribe: (listener, onConnection) => subscribe(listener, up => onConnection?.(!up)) })
  },
  'tells of an id that is none': {
    breaks: 'a listener is told whose sessions ended, when, and which one was spared',
    by: ({ subscribe }) => ({ subscribe: (listener, onConnection) => subscribe(revocation => { listener({ id: '', ...revocation }) }, onConnection) })
  },
  'does not tell which session ended': {
    breaks: 'every listener is told of a session that ends',
    by: ({ subscribe }) => ({ subscribe: (listener, onConnection) => subscribe(() => { listener({ id: '' }) }, onConnection) })
  },
  'goes on telling': {
    breaks: 'a listener that stopped is told nothing more',
    by: ({ subscribe }) => ({
      subscribe (...both) {
        subscribe(...both)
        return () => {}
      }
    })
  },
  'tells the time in milliseconds': {
    breaks: 'the time is that of the server, in seconds, and goes on',
    by: ({ now }) => ({ now: async () => 1000 * await now() })
  },
  'tells the time of the clock that it was given': {
    breaks: 'the time is that of the server, in seconds, and goes on',
    by: (_sound, clock) => ({ now: async () => clock() })
  },
  'counts time down': {
    breaks: 'the time is that of the server, in seconds, and goes on',
    by ({ now }) {
      let calls = 0
      return { now: async () => await now() - ++calls }
    }
  }
}

for (const [title, { breaks, by }] of Object.entries(flaws)) {
  t.test(`the contract detects a store that ${title}`, async t => {
    const broken: string[] = []
    for (const { name, run } of storeContract(soundStore())) {
      await run(({ clock }) => {
        const sound = soundStore({ clock })
        return { ...sound, ...by(sound, clock) }
      }).catch(() => broken.push(name))
    }
    t.ok(broken.includes(breaks), broken.join('; '))
  })
}

t.test('every rule detects a flaw', async t => {
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
  for (const { name, run } of storeContract(soundStore())) {
    await t.resolves(run(() => soundStore()), name)
    await t.resolves(run(({ clock }) => {
      const sound = soundStore({ clock })
      return { ...sound, list: async subject => await sound.list(subject) }
    }), name)
  }
})

t.test('the sample of the README passes', async t => {
  const [, sample = ''] = /```ts\n(import \{ test \} from 'node:test'\n[^]*?storeContract[^]*?)```/.exec(readFileSync('README.md', 'utf8')) ?? []
  const results: Array<Promise<void>> = []
  const body = sample.replace(/^import .*\n/gm, '')
  runInNewContext(body, { test: (_name: string, run: () => Promise<void>) => { results.push(run()) }, memoryStore, storeContract })
  t.equal(results.length, storeContract(memoryStore()).length)
  await t.resolves(Promise.all(results))
})

t.test('the rules depend on the methods of the store', async t => {
  const { create, get, advance, revoke, revokeAll, list, purgeExpired } = memoryStore()
  const without = { create, get, advance, revoke, revokeAll }
  const count = (store: SessionStore): number => storeContract(store).length
  t.equal(count(without), count(statelessStore()))
  t.ok(count(without) < count({ ...without, list }))
  t.ok(count({ ...without, list }) < count({ ...without, list, purgeExpired }))
  t.ok(count({ ...without, list, purgeExpired }) < count(memoryStore()))
  t.ok(count(memoryStore()) < count(soundStore()))
})

t.test('each rule has its own name', async t => {
  t.equal(new Set(names).size, names.length)
})

t.test('a store may be created asynchronously', async t => {
  for (const { run } of storeContract(memoryStore()).slice(0, 3)) await t.resolves(run(async ({ clock }) => memoryStore({ clock })))
})
