import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { AuthError } from '../lib/errors.js'
import { startDeadline, unavailable } from '../lib/deadline.js'

const timeouts = { call: 2, request: 3 }
const forever = (): Promise<never> => new Promise(() => {})

/** Stops timers and the monotonic clock; the returned function moves them. */
function fakeTime (t: Test): (ms: number) => void {
  let now = 5000
  t.intercept(performance, 'now', { value: () => now })
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  return ms => {
    now += ms
    mock.timers.tick(ms)
  }
}

/** Watches a call without waiting for it. */
function watch (call: Promise<unknown>): { state: 'waiting' | 'done' | 'refused', error: unknown } {
  const seen = { state: 'waiting' as 'waiting' | 'done' | 'refused', error: undefined as unknown }
  call.then(() => { seen.state = 'done' }, (error: unknown) => { seen.state = 'refused'; seen.error = error })
  return seen
}

/** Waits until the handlers of all settled promises have run. */
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

t.test('a result is returned, from a promise or a value', async t => {
  const bounded = startDeadline(timeouts)
  t.equal(await bounded(async () => 'promised'), 'promised')
  t.equal(await bounded(() => 'at once'), 'at once')
  t.equal(await bounded(() => null), null, 'undefined is a result, not a failure')
})

t.test('fail closed: a failure is a 503 with its cause, never a result', async t => {
  const cause = new Error('password=hunter2 host=db1')
  for (const call of [async () => { throw cause }, () => { throw cause }]) {
    const error = await startDeadline(timeouts)(call).catch((error: unknown) => error)
    t.match(error, { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503, cause })
    t.notMatch(String(error), /hunter2|db1/)
  }
})

t.test('a refusal of the package from an app callback is a failure like any other', async t => {
  await t.rejects(startDeadline(timeouts)(() => { throw new AuthError('FST_AUTH_USER_REFUSED') }), { code: 'FST_AUTH_STORE_UNAVAILABLE' })
})

t.test('a call that hangs is a 503 after its timeout', async t => {
  const pass = fakeTime(t)
  const call = watch(startDeadline(timeouts)(forever))
  pass(1999)
  await turn()
  t.equal(call.state, 'waiting')
  pass(1)
  await turn()
  t.match(call, { state: 'refused', error: { code: 'FST_AUTH_STORE_UNAVAILABLE', cause: { message: 'no answer within 2000 ms' } } })
})

t.test('parallel calls use the deadline of their request once', async t => {
  const pass = fakeTime(t)
  const bounded = startDeadline(timeouts)
  let answer = (): void => {}
  const slow = async (): Promise<void> => await new Promise<void>(resolve => { const before = answer; answer = () => { before(); resolve() } })
  const both = watch(Promise.all([bounded(slow), bounded(slow)]))
  pass(1600)
  answer()
  await turn()
  t.equal(both.state, 'done')
  const call = watch(bounded(forever))
  pass(1399)
  await turn()
  t.equal(call.state, 'waiting')
  pass(1)
  await turn()
  t.match(call, { state: 'refused', error: { cause: { message: 'no answer within 1400 ms' } } })
})

t.test('a call that begins beside another one has the rest of the deadline', async t => {
  const pass = fakeTime(t)
  const bounded = startDeadline(timeouts)
  await bounded(() => pass(500))
  watch(bounded(forever))
  pass(1900)
  const call = watch(bounded(forever))
  pass(600)
  await turn()
  t.match(call, { state: 'refused', error: { cause: { message: 'no answer within 600 ms' } } })
  t.match(watch(bounded(forever)), { state: 'waiting' })
  await t.rejects(bounded(forever), { cause: { message: 'the deadline of the request has passed' } })
})

t.test('all calls of a request share its deadline', async t => {
  const pass = fakeTime(t)
  const bounded = startDeadline(timeouts)
  await bounded(() => pass(1500))
  const call = watch(bounded(forever))
  pass(1499)
  await turn()
  t.equal(call.state, 'waiting')
  pass(1)
  await turn()
  t.equal(call.state, 'refused')
})

t.test('no call starts after the deadline of its request', async t => {
  const pass = fakeTime(t)
  const bounded = startDeadline(timeouts)
  for (let nth = 0; nth < 2; nth++) await bounded(() => pass(1500))
  await t.rejects(bounded(() => t.fail('it began')), { code: 'FST_AUTH_STORE_UNAVAILABLE', cause: { message: 'the deadline of the request has passed' } })
})

t.test('time between calls does not count', async t => {
  const pass = fakeTime(t)
  const bounded = startDeadline(timeouts)
  await bounded(() => pass(1500))
  pass(10_000)
  t.equal(await bounded(() => 'in time'), 'in time')
})

t.test('a finished call leaves no timer behind', async t => {
  const pass = fakeTime(t)
  const running = new Set<NodeJS.Timeout>()
  const { setTimeout: set, clearTimeout: clear } = globalThis
  t.intercept(globalThis, 'setTimeout', { value (done: () => void, ms: number) { const timer = set(done, ms); running.add(timer); return timer } })
  t.intercept(globalThis, 'clearTimeout', { value: (timer: NodeJS.Timeout) => { running.delete(timer); clear(timer) } })
  t.equal(await startDeadline(timeouts)(() => 'in time'), 'in time')
  await t.rejects(startDeadline(timeouts)(async () => { throw new Error('gone') }))
  await t.rejects(startDeadline(timeouts)(() => { throw new Error('gone at once') }))
  t.equal(running.size, 0)
  pass(10_000)
})

t.test('a late result is dropped, even a failure', async t => {
  const pass = fakeTime(t)
  let fail: (error: Error) => void = () => {}
  const call = watch(startDeadline(timeouts)(() => new Promise((_resolve, reject) => { fail = reject })))
  pass(2000)
  await turn()
  t.equal(call.state, 'refused')
  fail(new Error('too late'))
  await turn()
  t.match(call.error, { cause: { message: 'no answer within 2000 ms' } })
})

t.test('thundering herd: Retry-After is spread over several seconds', async t => {
  const waits = new Set(Array.from({ length: 500 }, () => unavailable(null).retryAfter))
  t.strictSame([...waits].sort(), [2, 3, 4, 5])
})

t.test('work that must finish has its own deadline', async t => {
  const pass = fakeTime(t)
  const bounded = startDeadline(timeouts)
  const spent = watch(bounded(forever))
  pass(2000)
  await turn()
  const late = watch(bounded(forever))
  pass(1000)
  await turn()
  t.strictSame([spent.state, late.state], ['refused', 'refused'])
  await t.rejects(bounded(() => 'never asked'), { code: 'FST_AUTH_STORE_UNAVAILABLE' })
  t.equal(await bounded.withNewDeadline()(() => 'done'), 'done')

  const fresh = watch(bounded.withNewDeadline()(forever))
  pass(1999)
  await turn()
  t.equal(fresh.state, 'waiting', 'with the full timeout of a call')
  pass(1)
  await turn()
  t.match(fresh, { state: 'refused', error: { cause: { message: 'no answer within 2000 ms' } } }, 'but not more')
})

t.test('a late result gives the next calls neither more nor less time', async t => {
  const pass = fakeTime(t)
  const bounded = startDeadline(timeouts)
  let answer = (): void => {}
  const late = watch(bounded(() => new Promise<void>(resolve => { answer = resolve })))
  pass(2000)
  await turn()
  t.equal(late.state, 'refused')
  answer()
  await turn()
  pass(10_000)
  t.equal(await bounded(() => 'in time'), 'in time')
})
