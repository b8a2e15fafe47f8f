import t, { type Test } from 'tap'
import { GRACE } from '../support/core.js'
import { START } from '../support/server.js'
import { generationOf, NO_REPLY, SHARED_STORES, startProcess, type AppProcess, type Reply, type SharedStore } from './app-process.js'

/** A process that stays alive: it prepares the session, and checks the state after another one was killed. */
interface Survivor extends AppProcess {
  readonly now: () => number
  /** Moves the time for all processes to the next step of a session. */
  wait (): Promise<void>
}

interface Situation {
  /** Prepares the session for the request; returns its cookie. */
  prepare (survivor: Survivor, subject: string): Promise<string | undefined>
  request (process: AppProcess, subject: string, cookie: string | undefined): Promise<Reply>
  /** True if its last command comes after the reply. */
  readonly repliesEarly?: true
  /** Expectations after a process was killed during or after the request. */
  afterwards (t: Test, survivor: Survivor, found: Found): Promise<void>
}

interface Found {
  readonly subject: string
  readonly cookie: string | undefined
  readonly reply: Reply
  /** True if every command of the request took effect. */
  readonly done: boolean
}

const enter = async (survivor: Survivor, subject: string): Promise<string | undefined> => (await survivor.enter(subject)).cookie
const refresh = async (process: AppProcess, _subject: string, cookie: string | undefined): Promise<Reply> => await process.refresh(cookie)

/** A refresh whose repetition leaves the session at a generation. */
function refreshTo (generation: number, prepare: Situation['prepare']): Situation {
  return {
    prepare,
    request: refresh,
    async afterwards (t, survivor, { cookie }) {
      const [one, other] = [await survivor.refresh(cookie), await survivor.refresh(cookie)]
      t.same([one.status, other.status], [200, 200], 'the previous cookie is accepted')
      const next = one.cookie ?? cookie
      t.equal(other.cookie ?? cookie, next, 'every tab gets the same cookie')
      t.equal(generationOf(next), generation, 'no rotation was lost or repeated')
      let current = next
      for (let i = 0; i < 2; i++) {
        await survivor.wait()
        current = (await survivor.refresh(current)).cookie
      }
      t.equal(generationOf(current), generation + 2)
      t.match(await survivor.refresh(cookie), { status: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' }, 'and there is no other line')
    }
  }
}

const SITUATIONS: Readonly<Record<string, Situation>> = {
  'a first login': {
    prepare: async () => undefined,
    request: (process, subject) => process.enter(subject),
    async afterwards (t, survivor, { subject }) {
      t.match(await survivor.refresh((await survivor.enter(subject)).cookie), { status: 200 })
    }
  },

  'a login that replaces a session': {
    prepare: enter,
    request: (process, subject, cookie) => process.enter(subject, cookie),
    repliesEarly: true,
    async afterwards (t, survivor, { subject, cookie, reply }) {
      const held = reply.cookie ?? cookie
      t.match(await survivor.refresh(held), { status: 200 }, 'the browser\'s cookie is accepted')
      if (reply.cookie !== undefined) t.match(await survivor.refresh(cookie), { status: 401, code: 'FST_AUTH_SESSION_ENDED' }, 'and its previous one is not')
      t.match(await survivor.refresh((await survivor.enter(subject, held)).cookie), { status: 200 })
      t.match(await survivor.refresh(cookie), { status: 401, code: 'FST_AUTH_SESSION_ENDED' })
    }
  },

  'a refresh that holds': refreshTo(0, enter),

  'a refresh that rotates': refreshTo(1, async (survivor, subject) => {
    const cookie = await enter(survivor, subject)
    await survivor.wait()
    return cookie
  }),

  'a refresh that replays': refreshTo(1, async (survivor, subject) => {
    const cookie = await enter(survivor, subject)
    await survivor.wait()
    await survivor.refresh(cookie)
    return cookie
  }),

  'a refresh that recovers': refreshTo(2, async (survivor, subject) => {
    const cookie = await enter(survivor, subject)
    await survivor.wait()
    await survivor.refresh(cookie)
    await survivor.wait()
    return cookie
  }),

  'a second use': {
    async prepare (survivor, subject) {
      const cookie = await enter(survivor, subject)
      let current = cookie
      for (let i = 0; i < 2; i++) {
        await survivor.wait()
        current = (await survivor.refresh(current)).cookie
      }
      return cookie
    },
    request: refresh,
    async afterwards (t, survivor, { cookie }) {
      for (let i = 0; i < 2; i++) t.match(await survivor.refresh(cookie), { status: 401, code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
    }
  },

  'a logout': {
    prepare: enter,
    request: (process, _subject, cookie) => process.logout(cookie),
    async afterwards (t, survivor, { cookie, done }) {
      t.match(await survivor.refresh(cookie), done ? { status: 401, code: 'FST_AUTH_SESSION_ENDED' } : { status: 200 })
      t.match(await survivor.logout(cookie), { status: 204 })
      t.match(await survivor.refresh(cookie), { status: 401, code: 'FST_AUTH_SESSION_ENDED' })
    }
  }
}

const { ioredis, PostgreSQL, MariaDB } = SHARED_STORES
t.jobs = 2

for (const [name, newStore] of Object.entries({ ioredis, PostgreSQL, MariaDB })) {
  t.test(`a process on ${name} that is killed`, { buffered: true }, async t => {
    const store = await newStore(t)
    if (store === null) return
    const survivor = await startWitness(t, store)
    for (const [which, situation] of Object.entries(SITUATIONS)) {
      const count = await commandsOf(survivor, situation, which)
      t.ok(count > 0)
      for (const [nth, moment] of momentsOf(situation, count)) {
        const title = `${which}, whose process was killed ${moment} command ${nth} of ${count}`
        t.test(title, async t => {
          const victim = await startProcess(t, store)
          const cookie = await situation.prepare(survivor, title)
          await victim.setTime(survivor.now())
          await victim.dieAt(nth, moment)
          const reply = await situation.request(victim, title, cookie)
          t.equal(reply.status, situation.repliesEarly && nth === count ? 200 : NO_REPLY.status)
          t.equal(await victim.ended, 'SIGKILL')
          await situation.afterwards(t, survivor, { subject: title, cookie, reply, done: nth === count && moment === 'after' })
        })
      }
    }
  })
}

async function startWitness (t: Test, store: SharedStore): Promise<Survivor> {
  const process = await startProcess(t, store)
  let now = START
  return {
    ...process,
    now: () => now,
    async wait () {
      now += GRACE
      await process.setTime(now)
    }
  }
}

/** Times to kill: after each command; for an early reply also between the reply and later commands, and before the first command. */
function momentsOf ({ repliesEarly }: Situation, count: number): Array<[nth: number, moment: 'before' | 'after']> {
  const after = Array.from({ length: count }, (_, i): [number, 'after'] => [i + 1, 'after'])
  return repliesEarly ? [[1, 'before'], ...after, [count, 'before']] : after
}

/** The number of commands to the store of a request. */
async function commandsOf (survivor: Survivor, { prepare, request }: Situation, subject: string): Promise<number> {
  for (let i = 0; i < 2; i++) { // at the first time the server may lack the scripts
    const fresh = `${subject} ${i}` // a user without sessions, as in the test of a killed process
    const cookie = await prepare(survivor, fresh)
    await survivor.dieAt(0, 'after')
    await request(survivor, fresh, cookie)
  }
  return await survivor.commands()
}
