import t from 'tap'
import { subscribeWithReconnect, whenAborted, type Connect, type Pause } from '../../lib/stores/revocation-feed.js'
import { notifications } from '../support/notifications.js'

/** A subscription whose pauses the test ends. */
function subscription (connect: Connect) {
  const connections = notifications<boolean>()
  const pauses = notifications<{ ms: number, end: () => void }>()
  const pause: Pause = (ms, signal) => new Promise<void>(resolve => {
    pauses.notify({ ms, end: resolve })
    whenAborted(signal, resolve)
  })
  return { connections, pauses, stop: subscribeWithReconnect(connect, connections.notify, pause) }
}

t.test('failover: a lost connection is opened again', async t => {
  const opened = notifications<AbortController>()
  const { connections, pauses, stop } = subscription(async closing => {
    opened.notify(closing)
    return async () => t.fail('a closed connection is asked')
  })
  const first = await opened.next()
  t.equal(await connections.next(), true)
  await pauses.next() // before the first ping
  first.abort()
  t.equal(await connections.next(), false)
  const { end } = await pauses.next()
  end()
  const second = await opened.next()
  t.equal(await connections.next(), true)
  stop()
  t.equal(second.signal.aborted, true)
})

t.test('a connection that fails is retried with exponential back-off, and reported once', async t => {
  const { connections, pauses, stop } = subscription(async () => { throw new Error('not yet') })
  t.equal(await connections.next(), false)
  for (const longest of [100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
    const { ms, end } = await pauses.next()
    t.ok(ms >= longest / 2 && ms < longest, `${ms} ms`)
    end()
  }
  stop()
})

t.test('the back-off begins anew after a connection that was up', async t => {
  let attempts = 0
  const { connections, pauses, stop } = subscription(async closing => {
    if (++attempts < 4) throw new Error('not yet')
    closing.signal.addEventListener('abort', () => { attempts = 0 })
    return async () => { throw new Error('lost') }
  })
  for (let attempt = 1; attempt < 4; attempt++) (await pauses.next()).end()
  t.equal(await connections.next(), false)
  t.equal(await connections.next(), true)
  const probe = await pauses.next()
  probe.end()
  t.equal(await connections.next(), false)
  t.ok((await pauses.next()).ms < 100)
  stop()
})

t.test('a half-open connection is detected by a periodic ping', async t => {
  const pings = notifications<number>()
  const signals: AbortSignal[] = []
  let asked = 0
  const { connections, pauses, stop } = subscription(async closing => {
    signals.push(closing.signal)
    return async () => {
      pings.notify(++asked)
      if (asked === 3) throw new Error('no answer')
    }
  })
  t.equal(await connections.next(), true)
  for (let ping = 1; ping <= 3; ping++) {
    (await pauses.next()).end()
    t.equal(await pings.next(), ping)
  }
  t.equal(await connections.next(), false)
  t.same(signals.map(({ aborted }) => aborted), [true], 'it is closed')
  stop()
})

t.test('a stopped subscription notifies nobody and does not reconnect', async t => {
  const opened = notifications<AbortController>()
  const opening = notifications<() => void>()
  const { connections, stop } = subscription(async closing => {
    opened.notify(closing)
    await new Promise<void>(resolve => opening.notify(resolve))
    return async () => {}
  })
  const closing = await opened.next()
  const goOn = await opening.next()
  stop()
  t.equal(closing.signal.aborted, true)
  goOn()
  const more: unknown[] = []
  connections.next().then(value => more.push(value), () => {})
  opened.next().then(value => more.push(value), () => {})
  await new Promise(setImmediate)
  t.same(more, [])
})

t.test('the default pause lasts its time, or until the signal is aborted', async t => {
  const alive = setInterval(() => {}, 60_000) // since a pause does not keep the process alive
  t.teardown(() => clearInterval(alive))
  const connections = notifications<boolean>()
  let attempts = 0
  const stop = subscribeWithReconnect(async () => {
    if (++attempts === 1) throw new Error('not yet')
    return async () => {}
  }, connections.notify)
  t.equal(await connections.next(), false)
  t.equal(await connections.next(), true)
  stop()
})

t.test('an aborted signal closes at once', async t => {
  let closed = 0
  whenAborted(AbortSignal.abort(), () => { closed++ })
  t.equal(closed, 1)
})

t.test('a client that throws on close does not end the process', async t => {
  for (const aborted of [true, false]) {
    const closing = new AbortController()
    if (aborted) closing.abort()
    let closed = 0
    whenAborted(closing.signal, () => {
      closed++
      throw new Error('The client is closed')
    })
    closing.abort()
    t.equal(closed, 1)
  }
})

t.test('the back-off grows while each connection is lost before it is up', async t => {
  const { pauses, stop } = subscription(async closing => {
    closing.abort()
    return async () => {}
  })
  for (const longest of [100, 200, 400]) {
    const { ms, end } = await pauses.next()
    t.ok(ms >= longest / 2 && ms < longest, `${ms} ms`)
    end()
  }
  stop()
})

t.test('attempts leave no listener behind', async t => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  let attempts = 0
  await new Promise<void>(resolve => {
    const stop = subscribeWithReconnect(async () => { throw new Error('not yet') }, () => {}, async () => {
      if (++attempts < 20) return
      stop()
      resolve()
    })
  })
  await new Promise(setImmediate)
  t.strictSame(warnings, [])
})

t.test('the default pause keeps no process alive', async t => {
  const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timers()
  const stop = subscribeWithReconnect(async () => async () => {}, () => {})
  await new Promise(setImmediate)
  t.equal(timers(), before)
  stop()
})
