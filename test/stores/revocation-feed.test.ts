import t from 'tap'
import { type OpenLink } from '../../lib/stores/link.js'
import { revocationFeed, type Revocation, type RevocationFeed } from '../../lib/stores/revocation-feed.js'

/** A feed whose connections are up at once, and what delivers a message on all of them. */
function feedOf (): RevocationFeed & { readonly subscribe: ReturnType<RevocationFeed['over']>, readonly deliver: (message: string) => void } {
  const receivers: Array<(message: string) => void> = []
  const open = (onMessage: (message: string) => void): OpenLink => {
    receivers.push(onMessage)
    return async () => async () => {}
  }
  const feed = revocationFeed()
  return { ...feed, subscribe: feed.over(open), deliver: message => { for (const receive of receivers) receive(message) } }
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
