import t, { type Test } from 'tap'
import { whenAborted, type Pause } from '../../lib/stores/reconnecting-subscription.js'
import { revocationFeed, type Channel, type Revocation, type RevocationFeed } from '../../lib/stores/revocation-feed.js'
import { told } from '../support/told.js'

/** A feed whose connections are up at once, and what delivers a message on all of them. */
function feedOf (): RevocationFeed & { readonly subscribe: ReturnType<RevocationFeed['over']>, readonly deliver: (message: string) => void } {
  const receivers: Array<(message: string) => void> = []
  const deliver = (message: string): void => { for (const receive of receivers) receive(message) }
  const channel: Channel = {
    open (onMessage) {
      receivers.push(onMessage)
      return async () => async () => {}
    },
    send: async message => deliver(message),
    onSilence () {}
  }
  const feed = revocationFeed()
  return { ...feed, subscribe: feed.over(channel), deliver }
}

t.test('what one store tells reaches the listeners of another, as it was told', async t => {
  const [here, there] = [feedOf(), feedOf()]
  const heard: Revocation[] = []
  t.teardown(there.subscribe(revocation => heard.push(revocation)))
  const revocations: Revocation[] = [{ id: 'a' }, { subject: 'ada', at: 1 }, { subject: 'Ægir "\\', at: 2, exceptId: 'a' }]
  for (const revocation of revocations) there.deliver(here.messageOf(revocation))
  t.strictSame(heard, revocations)
})

t.test('a store tells its own listeners once', async t => {
  const feed = feedOf()
  const heard: Revocation[] = []
  t.teardown(feed.subscribe(revocation => heard.push(revocation)))
  feed.tell({ id: 'a' })
  feed.deliver(feed.messageOf({ id: 'a' }))
  t.strictSame(heard, [{ id: 'a' }])
})

t.test('one listener may subscribe twice and stop once', async t => {
  const feed = feedOf()
  const heard: Revocation[] = []
  const listener = (revocation: Revocation): void => { heard.push(revocation) }
  const stop = feed.subscribe(listener)
  t.teardown(feed.subscribe(listener))
  feed.tell({ id: 'a' })
  stop()
  feed.tell({ id: 'b' })
  feed.deliver(feedOf().messageOf({ id: 'c' }))
  t.strictSame(heard, [{ id: 'a' }, { id: 'a' }, { id: 'b' }, { id: 'c' }])
})

t.test('whatever else is on the channel is ignored', async t => {
  const feed = feedOf()
  const heard: Revocation[] = []
  t.teardown(feed.subscribe(revocation => heard.push(revocation)))
  for (const message of ['', 'hello', 'null', '1', '"a"', '[]', '{}', '{"id":1}', '{"subject":"ada"}', '{"subject":1,"at":1}', '{"subject":"ada","at":"1"}', '{"from":']) {
    t.doesNotThrow(() => feed.deliver(message), message)
  }
  t.strictSame(heard, [])
  feed.deliver('{"subject":"ada","at":1,"exceptId":1}')
  t.strictSame(heard, [{ subject: 'ada', at: 1 }])
})

/** A subscription whose pauses end when the test says so; `fate` is what happens to the messages that it sends. */
function probed (t: Test, fate: 'arrives' | 'is lost' | 'cannot be sent' = 'arrives') {
  let receive = (_message: string): void => {}
  let warnings = 0
  const way = { fate, answers: true, over: new AbortController() }
  const connections = told<boolean>()
  const pauses = new Set<{ readonly ms: number, readonly end: () => void }>()
  const pause: Pause = async (ms, signal) => await new Promise<void>(resolve => {
    const running = { ms, end: resolve }
    pauses.add(running)
    whenAborted(signal, () => {
      pauses.delete(running)
      resolve()
    })
  })
  const subscribe = revocationFeed(pause).over({
    open: onMessage => async over => {
      receive = onMessage
      way.over = over
      return async () => { if (!way.answers) throw new Error('lost') }
    },
    async send (message) {
      if (way.fate === 'cannot be sent') throw new Error('no connection is free')
      if (way.fate === 'arrives') receive(message)
    },
    onSilence () { warnings++ }
  })
  t.teardown(subscribe(() => {}, connections.tell))
  return {
    way,
    connections,
    warnings: () => warnings,
    pending: () => [...pauses].map(({ ms }) => ms),
    /** Lets a pause of that length end, once there is one. */
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
const ARRIVAL = 5000
const PROBE = 10_000
const BACK_OFF = [1, 4999] as const

t.test('immediate revocation is down once messages stop to arrive, is warned of once, and comes back', async t => {
  const { way, connections, elapse, warnings } = probed(t)
  t.equal(await connections.next(), true)
  way.fate = 'is lost'
  await elapse(PROBE)
  await elapse(ARRIVAL)
  t.equal(await connections.next(), false)
  for (let attempt = 0; attempt < 2; attempt++) {
    await elapse(...BACK_OFF)
    await elapse(ARRIVAL)
  }
  way.fate = 'arrives'
  await elapse(...BACK_OFF)
  t.equal(await connections.next(), true)
  t.equal(warnings(), 1)
})

t.test('immediate revocation is not up before a message could be sent', async t => {
  const { way, connections, elapse, warnings } = probed(t, 'cannot be sent')
  t.equal(await connections.next(), false)
  way.fate = 'arrives'
  await elapse(...BACK_OFF)
  t.equal(await connections.next(), true)
  t.equal(warnings(), 0)
})

t.test('a subscription whose message arrives stays up and is probed again', async t => {
  const { way, connections, elapse, pending, warnings } = probed(t)
  t.equal(await connections.next(), true)
  way.answers = false // the message alone is enough
  await elapse(PROBE)
  while (!pending().includes(PROBE)) await turn()
  way.fate = 'is lost'
  await elapse(PROBE)
  t.equal(warnings(), 0, 'up until a message is lost')
  await elapse(ARRIVAL)
  t.equal(await connections.next(), false)
})

t.test('a pool that is exhausted does not end a subscription that answers', async t => {
  const { way, connections, elapse, pending } = probed(t)
  t.equal(await connections.next(), true)
  way.fate = 'cannot be sent'
  await elapse(PROBE)
  while (!pending().includes(PROBE)) await turn()
  way.answers = false
  await elapse(PROBE)
  t.equal(await connections.next(), false, 'one that does not answer either is lost')
})

t.test('a subscription whose connection is lost while it is probed is not called silent', async t => {
  const { way, connections, pending, warnings } = probed(t, 'is lost')
  while (!pending().includes(ARRIVAL)) await turn()
  way.over.abort()
  t.equal(await connections.next(), false)
  t.equal(warnings(), 0)
})
