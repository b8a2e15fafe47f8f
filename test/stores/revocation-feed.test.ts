import { getEventListeners } from 'node:events'
import t, { type Test } from 'tap'
import { whenAborted, type Pause, messageFor, revocationFeed, type Channel, type RevocationFeed } from '../../lib/stores/revocation-feed.js'
import { type Revocation } from '../../lib/sessions/store.js'
import { notifications } from '../support/notifications.js'

/** A feed whose connections are up at once, and a function that delivers a message on all of them. */
function feedOf (): RevocationFeed & { readonly subscribe: ReturnType<RevocationFeed['subscribeOver']>, readonly deliver: (message: string) => void } {
  const receivers: Array<(message: string) => void> = []
  const deliver = (message: string): void => { for (const receive of receivers) receive(message) }
  const channel: Channel = {
    connect (onMessage) {
      receivers.push(onMessage)
      return async () => async () => {}
    },
    send: async message => deliver(message),
    onUndelivered () {}
  }
  const feed = revocationFeed()
  return { ...feed, subscribe: feed.subscribeOver(channel), deliver }
}

t.test('a revocation reaches the listeners of another process unchanged', async t => {
  const there = feedOf()
  const received: Revocation[] = []
  t.teardown(there.subscribe(revocation => received.push(revocation)))
  const revocations: Revocation[] = [{ id: 'a' }, { subject: 'ada', at: 1 }, { subject: 'Ægir "\\', at: 2, exceptId: 'a' }]
  for (const revocation of revocations) there.deliver(messageFor(revocation))
  t.strictSame(received, revocations)
})

t.test('a store receives its own messages too, since the reply to a revocation may have been lost', async t => {
  const feed = feedOf()
  const received: Revocation[] = []
  t.teardown(feed.subscribe(revocation => received.push(revocation)))
  feed.deliver(messageFor({ id: 'a' }))
  t.strictSame(received, [{ id: 'a' }])
})

t.test('a listener that subscribed twice and stopped once is still notified once', async t => {
  const feed = feedOf()
  const received: Revocation[] = []
  const listener = (revocation: Revocation): void => { received.push(revocation) }
  const stop = feed.subscribe(listener)
  t.teardown(feed.subscribe(listener))
  feed.notify({ id: 'a' })
  stop()
  feed.notify({ id: 'b' })
  feed.deliver(messageFor({ id: 'c' }))
  t.strictSame(received, [{ id: 'a' }, { id: 'a' }, { id: 'b' }, { id: 'c' }])
})

t.test('foreign and malformed messages on the channel are ignored', async t => {
  const feed = feedOf()
  const received: Revocation[] = []
  t.teardown(feed.subscribe(revocation => received.push(revocation)))
  for (const message of ['', 'hello', 'null', '1', '"a"', '[]', '{}', '{"id":1}', '{"subject":"ada"}', '{"subject":1,"at":1}', '{"subject":"ada","at":"1"}', '{"id":']) {
    t.doesNotThrow(() => feed.deliver(message), message)
  }
  t.strictSame(received, [])
  feed.deliver('{"subject":"ada","at":1,"exceptId":1}')
  t.strictSame(received, [{ subject: 'ada', at: 1 }])
})

/** A subscription whose pauses the test ends; `outcome` is that of the messages that it sends. */
function probed (t: Test, outcome: 'delivered' | 'lost' | 'not sent' = 'delivered') {
  let receive = (_message: string): void => {}
  let warnings = 0
  const way = { outcome, answers: true, closing: new AbortController() }
  const connections = notifications<boolean>()
  const pauses = new Set<{ readonly ms: number, readonly end: () => void }>()
  const pause: Pause = async (ms, signal) => await new Promise<void>(resolve => {
    const running = { ms, end: resolve }
    pauses.add(running)
    whenAborted(signal, () => {
      pauses.delete(running)
      resolve()
    })
  })
  const subscribe = revocationFeed(pause).subscribeOver({
    connect: onMessage => async closing => {
      receive = onMessage
      way.closing = closing
      return async () => { if (!way.answers) throw new Error('lost') }
    },
    async send (message) {
      if (way.outcome === 'not sent') throw new Error('no connection is free')
      if (way.outcome === 'delivered') receive(message)
    },
    onUndelivered () { warnings++ }
  })
  t.teardown(subscribe(() => {}, connections.notify))
  return {
    way,
    connections,
    warnings: () => warnings,
    pending: () => [...pauses].map(({ ms }) => ms),
    /** Waits for a pause of that length, and ends it. */
    async elapse (from: number, to = from): Promise<void> {
      let running
      while (running === undefined) {
        await turn()
        running = [...pauses].find(({ ms }) => ms >= from && ms <= to)
      }
      pauses.delete(running)
      running.end()
    }
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
const DELIVERY = 5000
const PROBE = 10_000
const BACK_OFF = [1, 4999] as const

t.test('immediate revocation is down when messages are no longer delivered, warns once, and recovers', async t => {
  const { way, connections, elapse, warnings } = probed(t)
  t.equal(await connections.next(), true)
  way.outcome = 'lost'
  await elapse(PROBE)
  await elapse(DELIVERY)
  t.equal(await connections.next(), false)
  for (let attempt = 0; attempt < 2; attempt++) {
    await elapse(...BACK_OFF)
    await elapse(DELIVERY)
  }
  way.outcome = 'delivered'
  await elapse(...BACK_OFF)
  t.equal(await connections.next(), true)
  t.equal(warnings(), 1)
})

t.test('immediate revocation is not up before a message was delivered', async t => {
  const { way, connections, elapse, warnings } = probed(t, 'not sent')
  t.equal(await connections.next(), false)
  way.outcome = 'delivered'
  await elapse(...BACK_OFF)
  t.equal(await connections.next(), true)
  t.equal(warnings(), 0)
})

t.test('a subscription that delivers the probe stays up, and is probed again', async t => {
  const { way, connections, elapse, pending, warnings } = probed(t)
  t.equal(await connections.next(), true)
  way.answers = false // the message alone is enough
  await elapse(PROBE)
  while (!pending().includes(PROBE)) await turn()
  way.outcome = 'lost'
  await elapse(PROBE)
  t.equal(warnings(), 0, 'up until a message is lost')
  await elapse(DELIVERY)
  t.equal(await connections.next(), false)
})

t.test('a half-open connection is no server that delivers nothing', async t => {
  const { way, connections, elapse, warnings } = probed(t)
  t.equal(await connections.next(), true)
  way.outcome = 'lost'
  way.answers = false
  await elapse(PROBE)
  await elapse(DELIVERY)
  t.equal(await connections.next(), false)
  t.equal(warnings(), 0)
})

t.test('an exhausted pool does not end a subscription that answers', async t => {
  const { way, connections, elapse, pending } = probed(t)
  t.equal(await connections.next(), true)
  way.outcome = 'not sent'
  await elapse(PROBE)
  while (!pending().includes(PROBE)) await turn()
  way.answers = false
  await elapse(PROBE)
  t.equal(await connections.next(), false, 'one that does not answer either is lost')
})

t.test('a connection that is lost during a probe does not count as a silent one', async t => {
  const { way, connections, pending, warnings } = probed(t, 'lost')
  while (!pending().includes(DELIVERY)) await turn()
  way.closing.abort()
  t.equal(await connections.next(), false)
  t.equal(warnings(), 0)
})

t.test('probes leave no listener behind on a connection that stays up', async t => {
  const { way, connections, elapse, pending } = probed(t)
  t.equal(await connections.next(), true)
  const counts = []
  for (let nth = 0; nth < 2; nth++) {
    while (!pending().includes(PROBE)) await turn()
    counts.push(getEventListeners(way.closing.signal, 'abort').length)
    await elapse(PROBE)
  }
  t.equal(Number(counts[1]) - Number(counts[0]), 1, 'that of the pause of this test')
})
