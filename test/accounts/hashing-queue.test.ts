import { mock } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { HashingQueue, type HashingQueueOptions } from '../../lib/accounts/hashing-queue.js'
import { AuthError } from '../../lib/errors.js'

/** A queue with default limits, and jobs that end when the test ends them, by name. */
function queueOfJobs (options: Pick<HashingQueueOptions, 'concurrency'> & Partial<HashingQueueOptions>) {
  const queue = new HashingQueue({ waiting: 10, maxWait: 5, ...options })
  const started: string[] = []
  const ends = new Map<string, () => void>()

  return {
    started,
    /** Adds a job to the queue; resolves to its name once it has ended. */
    async put (name: string, client = 'somebody'): Promise<string> {
      return await queue.run(client, async () => {
        started.push(name)
        await new Promise<void>(resolve => { ends.set(name, resolve) })
        return name
      })
    },
    /** Ends a running job and waits for the effects. */
    async end (name: string): Promise<void> {
      ends.get(name)?.()
      await setImmediate()
    }
  }
}

t.test('concurrency is limited, and the queue is first in, first out', async t => {
  const { put, end, started } = queueOfJobs({ concurrency: 2 })
  const done = Promise.all(['a', 'b', 'c', 'd', 'e'].map(name => put(name)))

  t.strictSame(started, ['a', 'b'])
  await end('b')
  t.strictSame(started, ['a', 'b', 'c'])
  await end('a')
  await end('c')
  t.strictSame(started, ['a', 'b', 'c', 'd', 'e'])
  await end('d')
  await end('e')
  t.strictSame(await done, ['a', 'b', 'c', 'd', 'e'])
})

t.test('a new job does not overtake a job that is about to start', async t => {
  const { put, end, started } = queueOfJobs({ concurrency: 1 })
  const first = put('first').then(() => put('late'))
  const second = put('second')

  await end('first')
  t.strictSame(started, ['first', 'second'])
  await end('second')
  await end('late')
  t.strictSame(await Promise.all([first, second]), ['late', 'second'])
})

t.test('the queue is bounded, and a job beyond it is rejected at once', async t => {
  const { put, end, started } = queueOfJobs({ concurrency: 2, waiting: 3 })
  const accepted = ['a', 'b', 'c', 'd', 'e'].map(name => put(name))

  const refused: unknown = await put('one too many').catch((error: unknown) => error)
  t.match(refused, { code: 'FST_AUTH_BUSY', statusCode: 503 })
  for (const name of ['a', 'b', 'c', 'd', 'e']) await end(name)
  t.strictSame(await Promise.all(accepted), ['a', 'b', 'c', 'd', 'e'])
  t.strictSame(started, ['a', 'b', 'c', 'd', 'e'])
})

t.test('denial of service: a flood of one client delays others by one of its jobs, not by all', async t => {
  const { put, end, started } = queueOfJobs({ concurrency: 1 })
  const flood = Promise.all(['flood 1', 'flood 2', 'flood 3', 'flood 4'].map(name => put(name, 'flood')))
  const others = Promise.all([put('ada', 'ada'), put('bob', 'bob'), put('ada 2', 'ada')])
  const order = ['flood 1', 'flood 2', 'ada', 'bob', 'flood 3', 'ada 2', 'flood 4']
  for (const name of order) await end(name)
  t.strictSame(started, order)
  await Promise.all([flood, others])
})

t.test('denial of service: a client that begins during a flood does not overtake it with several jobs', async t => {
  const { put, end, started } = queueOfJobs({ concurrency: 1 })
  const flood = Promise.all(['flood 1', 'flood 2', 'flood 3', 'flood 4'].map(name => put(name, 'flood')))
  await end('flood 1')
  await end('flood 2')
  const ada = Promise.all([put('ada 1', 'ada'), put('ada 2', 'ada')])
  const order = ['flood 3', 'ada 1', 'flood 4', 'ada 2']
  for (const name of order) await end(name)
  t.strictSame(started, ['flood 1', 'flood 2', ...order])
  await Promise.all([flood, ada])
})

t.test('denial of service: in a full queue the client with the most waiting jobs loses one', async t => {
  const { put, end, started } = queueOfJobs({ concurrency: 1, waiting: 3 })
  const flood = Promise.allSettled(['flood 1', 'flood 2', 'flood 3', 'flood 4'].map(name => put(name, 'flood')))
  const others = Promise.all([put('ada', 'ada'), put('bob', 'bob')])
  await t.rejects(put('cyd', 'cyd'), { code: 'FST_AUTH_BUSY' }, 'but a client with one job keeps it')
  await t.rejects(put('ada 2', 'ada'), { code: 'FST_AUTH_BUSY' })
  const order = ['flood 1', 'flood 2', 'ada', 'bob']
  for (const name of order) await end(name)
  t.strictSame(started, order)
  t.strictSame((await flood).map(({ status }) => status), ['fulfilled', 'fulfilled', 'rejected', 'rejected'])
  t.strictSame(await others, ['ada', 'bob'])
})

t.test('a rejected job has a Retry-After of 1 to 5 seconds', async t => {
  const { put, end } = queueOfJobs({ concurrency: 1, waiting: 0 })
  const running = put('running')

  for (let attempt = 0; attempt < 50; attempt++) {
    const error: unknown = await put('refused').catch((error: unknown) => error)
    const retryAfter = error instanceof AuthError ? error.retryAfter ?? 0 : 0
    t.ok(Number.isInteger(retryAfter) && retryAfter >= 1 && retryAfter <= 5)
  }
  await end('running')
  await running
})

t.test('a failed job frees its slot', async t => {
  const queue = new HashingQueue({ concurrency: 1, waiting: 1, maxWait: 5 })
  const rejected = queue.run('somebody', async () => { throw new Error('rejected') })
  const thrown = queue.run('somebody', () => { throw new Error('thrown') })

  await t.rejects(rejected, { message: 'rejected' })
  await t.rejects(thrown, { message: 'thrown' })
  t.equal(await queue.run('somebody', () => 'fine'), 'fine')
})

t.test('a job that waits too long', async t => {
  t.beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  t.afterEach(() => mock.timers.reset())

  t.test('is rejected and never runs', async t => {
    const { put, end, started } = queueOfJobs({ concurrency: 1, maxWait: 5 })
    const running = put('running')
    const waiting = put('waiting')

    mock.timers.tick(4999)
    mock.timers.tick(1)
    await t.rejects(waiting, { code: 'FST_AUTH_BUSY', statusCode: 503 })
    await end('running')
    await running
    t.strictSame(started, ['running'])
  })

  t.test('frees its place in the queue', async t => {
    const { put, end } = queueOfJobs({ concurrency: 1, waiting: 1, maxWait: 2 })
    const running = put('running')
    const late = put('late')
    mock.timers.tick(2000)
    await t.rejects(late, { code: 'FST_AUTH_BUSY' })

    const next = put('next')
    await end('running')
    await end('next')
    t.strictSame(await Promise.all([running, next]), ['running', 'next'])
  })

  t.test('a running job has no time limit', async t => {
    const { put, end } = queueOfJobs({ concurrency: 1, maxWait: 5 })
    const first = put('first')
    const second = put('second')
    mock.timers.tick(4999)
    await end('first')

    mock.timers.tick(60_000)
    await end('second')
    t.strictSame(await Promise.all([first, second]), ['first', 'second'])
  })
})

t.test('waiting jobs do not keep the process alive', async t => {
  const { put, end } = queueOfJobs({ concurrency: 1 })
  const timers = () => process.getActiveResourcesInfo().filter(resource => resource === 'Timeout').length
  const before = timers()
  const jobs = [put('running'), put('waiting')]

  t.equal(timers(), before)
  await end('running')
  await end('waiting')
  await Promise.all(jobs)
})

t.test('a started job leaves no timer behind', async t => {
  const set = mock.method(globalThis, 'setTimeout')
  const cleared = mock.method(globalThis, 'clearTimeout')
  t.teardown(() => mock.restoreAll())
  const { put, end } = queueOfJobs({ concurrency: 1 })
  const jobs = [put('running'), put('waiting')]
  const timer = set.mock.calls.at(-1)?.result

  await end('running')
  t.ok(cleared.mock.calls.some(call => call.arguments[0] === timer))
  await end('waiting')
  await Promise.all(jobs)
})
