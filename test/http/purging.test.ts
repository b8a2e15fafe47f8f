import { mock } from 'node:test'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { memoryStore, type RefreshCookieOptions } from '../../lib/index.js'
import { SECRET } from '../support/server.js'
import { settled } from '../support/settled.js'

const HOUR = 3_600_000

const nextTurn = async (): Promise<void> => await new Promise(resolve => setImmediate(resolve))

/** An app whose store counts its purges, under timers of the test. */
async function purging (t: Test, options: RefreshCookieOptions = {}, purge: (signal?: AbortSignal) => Promise<number> = async () => 0) {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  let count = 0
  const warnings: string[] = []
  const store = {
    ...memoryStore(),
    async purgeExpired (_before: number, signal?: AbortSignal) {
      count++
      return await purge(signal)
    }
  }
  const app = Fastify({ logger: { level: 'warn', stream: { write (line) { warnings.push(JSON.parse(line).msg) } } } })
  await app.register(refreshCookie, { secret: SECRET, store, ...options })
  await app.ready()
  const after = async (ms: number): Promise<number> => {
    mock.timers.tick(ms)
    await nextTurn()
    return count
  }
  return { app, warnings, after }
}

t.test('purging: an instance begins within the interval, and goes on until the app closes', async t => {
  const { app, after } = await purging(t)
  t.equal(await after(HOUR), 1)
  t.equal(await after(HOUR), 2)
  await app.close()
  t.equal(await after(HOUR), 2)
})

t.test('purging: a failure is logged, and the next run tries again', async t => {
  const { app, after, warnings } = await purging(t, { sessions: { purgeEvery: '10m' } }, async () => { throw new Error('away') })
  t.equal(await after(600_000), 1)
  t.strictSame(warnings, ['auth: expired sessions could not be deleted: the next attempt deletes them'])
  t.equal(await after(600_000), 2)
  await app.close()
})

t.test('purging: the app waits for the run that is under way when it closes', async t => {
  let finish = (_count: number): void => {}
  const { app, after } = await purging(t, {}, async () => await new Promise(resolve => { finish = resolve }))
  await after(HOUR)
  let isClosed = false
  const closing = app.close().then(() => { isClosed = true })
  await nextTurn()
  t.equal(isClosed, false)
  finish(1)
  await closing
  t.equal(isClosed, true)
})

t.test('purging: the app closes although a run never ends', async t => {
  let signal: AbortSignal | undefined
  const { app, after } = await purging(t, { timeouts: { call: '2s', request: '3s' } }, async given => {
    signal = given
    return await new Promise(() => {})
  })
  await after(HOUR)
  t.equal(signal?.aborted, false)
  await settled(app.close())
  t.equal(signal?.aborted, true)
})

t.test('purging: a run that takes longer than the interval does not overlap the next', async t => {
  let finish = (_count: number): void => {}
  const { app, after } = await purging(t, {}, async () => await new Promise(resolve => { finish = resolve }))
  t.equal(await after(HOUR), 1)
  t.equal(await after(3 * HOUR), 1)
  finish(1)
  t.equal(await after(0), 1)
  t.equal(await after(HOUR), 2, 'which begins an interval after it has ended')
  const closing = app.close()
  await nextTurn()
  finish(1)
  await closing
  t.equal(await after(HOUR), 2)
})

t.test('purging: an app that does it itself has none', async t => {
  const { app, after } = await purging(t, { sessions: { purgeEvery: false } })
  t.equal(await after(HOUR), 0)
  await app.close()
})
