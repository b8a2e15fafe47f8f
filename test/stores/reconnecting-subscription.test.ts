import t from 'tap'
import { keepLink, whenAborted, type OpenLink, type Pause } from '../../lib/stores/reconnecting-subscription.js'
import { told } from '../support/told.js'

/** A link whose pauses end when the test says so, and which notes what it is told. */
function link (open: OpenLink) {
  const connections = told<boolean>()
  const pauses = told<{ ms: number, end: () => void }>()
  const pause: Pause = (ms, signal) => new Promise<void>(resolve => {
    pauses.tell({ ms, end: resolve })
    whenAborted(signal, resolve)
  })
  return { connections, pauses, stop: keepLink(open, connections.tell, pause) }
}

t.test('a link that is lost is opened again', async t => {
  const opened = told<AbortController>()
  const { connections, pauses, stop } = link(async over => {
    opened.tell(over)
    return async () => {}
  })
  const first = await opened.next()
  t.equal(await connections.next(), true)
  await pauses.next() // before its first question
  first.abort()
  t.equal(await connections.next(), false)
  const { end } = await pauses.next()
  end()
  const second = await opened.next()
  t.equal(await connections.next(), true)
  stop()
  t.equal(second.signal.aborted, true)
})

t.test('a link that cannot be opened is tried again, later each time, and told of once', async t => {
  const { connections, pauses, stop } = link(async () => { throw new Error('not yet') })
  t.equal(await connections.next(), false)
  for (const longest of [100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
    const { ms, end } = await pauses.next()
    t.ok(ms >= longest / 2 && ms < longest, `${ms} ms`)
    end()
  }
  stop()
})

t.test('after a link that was up the first try comes soon again', async t => {
  let attempts = 0
  const { connections, pauses, stop } = link(async over => {
    if (++attempts < 4) throw new Error('not yet')
    over.signal.addEventListener('abort', () => { attempts = 0 })
    return async () => { throw new Error('lost') }
  })
  for (let attempt = 1; attempt < 4; attempt++) (await pauses.next()).end()
  t.equal(await connections.next(), false)
  t.equal(await connections.next(), true)
  const question = await pauses.next()
  question.end()
  t.equal(await connections.next(), false)
  t.ok((await pauses.next()).ms < 100)
  stop()
})

t.test('a link is asked from time to time, and lost when it does not answer', async t => {
  const questions = told<number>()
  const signals: AbortSignal[] = []
  let asked = 0
  const { connections, pauses, stop } = link(async over => {
    signals.push(over.signal)
    return async () => {
      questions.tell(++asked)
      if (asked === 3) throw new Error('no answer')
    }
  })
  t.equal(await connections.next(), true)
  for (let question = 1; question <= 3; question++) {
    (await pauses.next()).end()
    t.equal(await questions.next(), question)
  }
  t.equal(await connections.next(), false)
  t.same(signals.map(({ aborted }) => aborted), [true], 'it is closed')
  stop()
})

t.test('a link that was stopped tells nothing more and is not opened again', async t => {
  const opened = told<AbortController>()
  const opening = told<() => void>()
  const { connections, stop } = link(async over => {
    opened.tell(over)
    await new Promise<void>(resolve => opening.tell(resolve))
    return async () => {}
  })
  const over = await opened.next()
  const goOn = await opening.next()
  stop()
  t.equal(over.signal.aborted, true)
  goOn()
  const more: unknown[] = []
  connections.next().then(told => more.push(told), () => {})
  opened.next().then(told => more.push(told), () => {})
  await new Promise(setImmediate)
  t.same(more, [])
})

t.test('by default pauses last as long as they say, or until they need not', async t => {
  const alive = setInterval(() => {}, 60_000) // which a pause does not keep the process
  t.teardown(() => clearInterval(alive))
  const connections = told<boolean>()
  let attempts = 0
  const stop = keepLink(async () => {
    if (++attempts === 1) throw new Error('not yet')
    return async () => {}
  }, connections.tell)
  t.equal(await connections.next(), false)
  t.equal(await connections.next(), true)
  stop()
})

t.test('what is aborted already is closed at once', async t => {
  let closed = 0
  whenAborted(AbortSignal.abort(), () => { closed++ })
  t.equal(closed, 1)
})

t.test('a client that throws when it is closed, having closed by itself, ends no process', async t => {
  for (const aborted of [true, false]) {
    const over = new AbortController()
    if (aborted) over.abort()
    let closed = 0
    whenAborted(over.signal, () => {
      closed++
      throw new Error('The client is closed')
    })
    over.abort()
    t.equal(closed, 1)
  }
})
