import t, { type Test } from 'tap'
import { GRACE } from '../support/core.js'
import { START } from '../support/server.js'
import { generationOf, SHARED_STORES, startProcess, type AppProcess, type Reply } from './app-process.js'

/** The number of rounds of fifty concurrent refreshes, and of fifty races between a logout and refreshes. */
const ROUNDS = 10
const RACES = 2
/** More rounds for two processes on databases whose locks are the most intricate. */
const MORE_ROUNDS: Readonly<Record<string, number>> = { MariaDB: 200, SQLite: 200 }

for (const [name, newStore] of Object.entries(SHARED_STORES)) {
  t.test(`processes that share ${name}`, async t => {
    const store = await newStore(t)
    if (store === null) return
    const processes = await Promise.all(Array.from({ length: 4 }, () => startProcess(t, store, { revocation: 'immediate' })))
    let now = START
    for (const count of [2, 4]) {
      t.test(`${count} processes`, async t => {
        const rounds = count === 2 ? MORE_ROUNDS[name] ?? ROUNDS : ROUNDS
        await together(t, processes.slice(0, count), rounds, async () => {
          now += GRACE
          await Promise.all(processes.map(process => process.setTime(now)))
        })
      })
    }
  })
}

async function together (t: Test, processes: readonly AppProcess[], rounds: number, wait: () => Promise<void>): Promise<void> {
  const any = (nth: number): AppProcess => processes[nth % processes.length] as AppProcess // there is one

  t.test('race: fifty concurrent refreshes of one cookie all succeed, with one successor', async t => {
    let { cookie } = await any(0).enter('ada')
    for (let round = 0; round < rounds; round++) {
      await wait()
      const replies = await at50(nth => any(nth).refresh(cookie))
      const served = replies.filter(({ status }) => status === 200)
      const successors = new Set(served.map(reply => reply.cookie))
      if (served.length !== 50 || successors.size !== 1 || successors.has(cookie)) t.fail(`round ${round}: ${served.length} served, ${successors.size} successors`)
      cookie = served[0]?.cookie
    }
    t.equal(generationOf(cookie), rounds)
  })

  t.test('race: after a logout no token of its session is accepted, whatever ran beside it', async t => {
    const afterwards = new Map<string, number>()
    let rotated = 0
    for (let round = 0; round < RACES; round++) {
      const entered = await at50(nth => any(nth).enter('bob'))
      await wait()
      const replies = await at50(nth => race(nth + round, entered[nth]?.cookie))
      for (const tokens of replies) {
        rotated += tokens.length > 1 ? 1 : 0
        for (const [nth, token] of tokens.entries()) {
          const { status, code } = await any(nth).refresh(token)
          afterwards.set(`${status} ${code}`, (afterwards.get(`${status} ${code}`) ?? 0) + 1)
        }
      }
    }
    t.same([...afterwards.keys()], ['401 FST_AUTH_SESSION_ENDED'])
    t.ok(rotated > 5 * RACES && rotated < 50 * RACES, `a refresh was first in ${rotated} of ${50 * RACES} races`)
  })

  /** A logout among refreshes, at any position; returns every issued token. Of eight, one logout and one refresh are answered before the rest is sent. */
  async function race (nth: number, cookie: string | undefined): Promise<Array<string | undefined>> {
    const requests = Array.from({ length: 3 }, (_, tab) => () => any(nth + tab).refresh(cookie))
    requests.splice(nth % 4, 0, () => any(nth * 7).logout(cookie))
    const first = nth % 8 < 2 ? requests.splice(0, 1) : []
    const replies = await Promise.all(first.map(request => request()))
    replies.push(...await Promise.all(requests.map(request => request())))
    return [...new Set([cookie, ...replies.map(reply => reply.cookie).filter(given => given !== undefined && given !== '')])]
  }

  t.test('revocation: every process refuses an access token soon after the logout at one of them', async t => {
    for (const here of processes) {
      const { cookie, accessToken } = await here.enter('carol')
      for (const process of processes) t.equal((await process.get('/me', { accessToken })).status, 200)
      t.equal((await here.logout(cookie)).status, 204)
      for (const process of processes) {
        const reply = await untilOther(200, () => process.get('/me', { accessToken }))
        t.match(reply, { status: 401, code: 'FST_AUTH_SESSION_ENDED' })
        t.match(await process.get('/strict', { accessToken }), { status: 401, code: 'FST_AUTH_SESSION_ENDED' })
      }
    }
  })
}

function at50<T> (request: (nth: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: 50 }, (_, nth) => request(nth)))
}

async function untilOther (status: number, request: () => Promise<Reply>): Promise<Reply> {
  const end = performance.now() + 30_000
  let reply = await request()
  while (reply.status === status && performance.now() < end) reply = await request()
  return reply
}
