import t from 'tap'
import { GRACE } from '../support/core.js'
import { START } from '../support/server.js'
import { tcpProxy } from '../support/tcp-proxy.js'
import { generationOf, SHARED_SERVERS, startProcess } from './app-process.js'

const COUNT = 50

for (const [name, newStore] of Object.entries(SHARED_SERVERS)) {
  t.test(`graceful shutdown: a process on ${name} finishes running requests, starts nothing and leaves nothing open`, async t => {
    const store = await newStore(t)
    if (store === null) return
    const proxy = await tcpProxy(t, store.server)
    const options = { revocation: 'immediate', pollEveryMs: 60_000 } // a poll for revocations on MariaDB would count as a command
    const [leaving, staying] = await Promise.all([startProcess(t, store.by(proxy.port), options), startProcess(t, store, options)])
    const many = <T>(request: (nth: number) => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: COUNT }, (_, nth) => request(nth)))
    const entered = await many(nth => leaving.enter(`person ${nth}`))
    for (const process of [leaving, staying]) await process.setTime(START + GRACE)

    await leaving.dieAt(0, 'after')
    await proxy.hold()
    const running = many(nth => leaving.refresh(entered[nth]?.cookie))
    while (await leaving.commands() < COUNT);
    leaving.terminate()
    // New requests during the shutdown get a 503 or no connection.
    const late = await many(async nth => {
      let reply = await leaving.refresh(undefined)
      while (reply.status === 401) reply = await leaving.refresh(undefined) // the signal has not arrived yet
      return [reply.status, (await leaving.refresh(entered[nth]?.cookie)).status]
    })
    t.strictSame(late.flat().filter(status => status !== 0 && status !== 503), [])
    t.equal(await leaving.commands(), COUNT, 'no new rotation has started')

    await proxy.pass()
    const finished = await running
    t.strictSame(finished.filter(({ status, cookie }) => status !== 200 || generationOf(cookie) !== 1), [])
    t.equal(await leaving.ended, 0, 'it exited by itself')

    const before = await many(nth => staying.refresh(entered[nth]?.cookie))
    t.strictSame(before.map(({ cookie }) => cookie), finished.map(({ cookie }) => cookie), 'each rotation happened once')
    t.strictSame((await many(nth => staying.refresh(finished[nth]?.cookie))).filter(({ status }) => status !== 200), [])
  })
}
