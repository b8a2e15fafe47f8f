import Fastify from 'fastify'
import { bundle } from '../client/support/bundle.js'
import { exactly } from '../support/exactly.js'
import { inBrowser, inEveryBrowser } from './support/browsers.js'
import { network } from './support/network.js'
import { states, statuses } from './support/pages.js'
import { HOST, REFRESH, site } from './support/site.js'

const ECHO = '/api/echo'

inEveryBrowser('bodies of every kind are sent again after a 401', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  await s.sleep('20m') // by the page's clock the token is good
  const answers = await tab.run(async () => {
    const form = new FormData()
    form.set('title', 'a book')
    form.set('cover', new Blob(['a picture'], { type: 'image/png' }), 'cover.png')
    const bodies = ['a book', new Blob(['a book'], { type: 'text/x' }), form, new URLSearchParams({ title: 'a book' }), new TextEncoder().encode('a book')]
    const requests = bodies.map(body => [ask('/api/echo', { method: 'POST', body }), ask(new Request('/api/echo', { method: 'POST', body }))])
    return await Promise.all(requests.flat())
  })
  const book = { sub: '1', body: 'a book' }
  const expected = [
    { ...book, type: 'text/plain;charset=UTF-8' },
    { ...book, type: 'text/x' },
    { sub: '1', type: /^multipart\/form-data; boundary=/, body: /name="title"\r\n\r\na book\r\n[^]*filename="cover.png"\r\nContent-Type: image\/png\r\n\r\na picture\r\n/ },
    { sub: '1', type: 'application/x-www-form-urlencoded;charset=UTF-8', body: 'title=a+book' },
    { ...book, type: null }
  ]
  t.match(answers, exactly(...expected.flatMap(body => [[200, body], [200, body]])))
  t.equal(s.network.count(ECHO), 20)
  t.strictSame(s.outcomes(), { rotate: 1 })
})

inEveryBrowser('ky works with auth.fetch, with a token that the server refuses', async (t, browser) => {
  const s = await site(t, {}, {
    extend: app => app.get('/ky.js', async (_request, reply) => await reply.type('text/javascript').send(await bundle('export { default } from "ky"')))
  })
  const tab = await s.signedUp(browser)
  await s.sleep('20m')
  const answer = await tab.run(async module => {
    const { default: ky } = await import(module)
    return await ky.create({ fetch: auth.fetch, prefixUrl: location.origin }).post('api/echo', { json: { title: 'a book' } }).json()
  }, '/ky.js')
  t.strictSame(answer, { sub: '1', type: 'application/json', body: '{"title":"a book"}' })
  t.equal(s.network.count(ECHO), 2)
  t.strictSame(s.outcomes(), { rotate: 1 })
})

/** Runs in a page. */
async function sendStream (): Promise<unknown> {
  const body = new Blob(['a book']).stream()
  return await ask('/api/echo', { method: 'POST', body, duplex: 'half' } as RequestInit).catch(({ name }) => name) // the DOM's types do not know duplex
}

inBrowser('Chromium', 'Chromium refuses a stream over HTTP/1.1, and nobody is signed out', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  t.equal(await tab.run(sendStream), 'TypeError')
  t.strictSame(await statuses(tab), ['in'])
})

inBrowser('Firefox', 'Firefox sends a stream as text, and it is not sent again after a 401', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  t.match(await tab.run(sendStream), exactly(200, { body: '[object ReadableStream]' }))
  await s.sleep('20m')
  t.match(await tab.run(sendStream), exactly(401, Object))
  t.equal(s.network.count(ECHO), 2)
})

inEveryBrowser('aborting during a refresh rejects that request at once, and no other', async (t, browser) => {
  const s = await site(t)
  const tab = await s.signedUp(browser)
  await s.sleep('20m', tab)
  const refresh = s.network.hold(REFRESH)
  const patient = tab.run(() => ask('/me'))
  await refresh.arrived
  t.equal(await tab.run(() => {
    const caller = new AbortController()
    const request = ask('/me', { signal: caller.signal }).catch(({ name }) => name)
    caller.abort()
    return request
  }), 'AbortError')
  await refresh.release()
  t.strictSame(await patient, [200, { id: '1' }])
  t.strictSame(s.outcomes(), { rotate: 1 })
  t.equal(s.network.count('/me'), 1)
})

inEveryBrowser('information leak: the token goes to no other origin, not even by a redirect', async (t, browser) => {
  const elsewhere = network()
  const other = Fastify({ serverFactory: elsewhere.serverFactory, forceCloseConnections: true })
  other.all('/*', async (_request, reply) => await reply.headers({ 'access-control-allow-origin': '*', 'access-control-allow-headers': 'authorization' }).send({}))
  const url = await other.listen({ port: 0, host: HOST })
  t.teardown(() => other.close())
  const s = await site(t, {}, { extend: app => app.get('/leave', async (_request, reply) => await reply.redirect(`${url}/taken`)) })
  const tab = await s.signedUp(browser)

  t.match(await tab.run(url => ask(`${url}/me`), url), exactly(200, Object))
  t.match(await tab.run(() => ask('/leave')), exactly(200, Object))
  t.match(s.network.arrivals.at(-1)?.headers.authorization, /^Bearer ./, 'its own origin received it')
  t.strictSame([elsewhere.count('/me'), elsewhere.count('/taken')], [1, 1])
  t.strictSame(elsewhere.arrivals.filter(({ headers }) => headers.authorization !== undefined), [])
})

inEveryBrowser('auth.fetch works for the session list and the password change', async (t, browser) => {
  const s = await site(t)
  const [tab, other] = [await s.signedUp(browser), await browser.another()]
  const phone = await other.open(s.url())
  await phone.run(async person => { await auth.login(person) }, { username: 'ada', password: 'correct horse battery staple' })
  await s.sleep('20m', tab)
  t.match(await tab.run(() => ask('/auth/sessions')), exactly(200, exactly({ current: Boolean }, { current: Boolean })))

  const change = (currentPassword: string): Promise<[number, unknown]> => tab.run(currentPassword => ask('/auth/password', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ currentPassword, newPassword: 'a long and better password' })
  }), currentPassword)
  t.match(await change('wrong'), exactly(401, { code: 'FST_AUTH_CREDENTIALS_INVALID' }))
  t.equal(s.network.count('/auth/password'), 1, 'a wrong password is not retried')
  t.match(await change('correct horse battery staple'), exactly(200, { access_token: String }))
  t.match(await tab.run(() => auth.refresh().then(({ status }) => status)), 'in')
  t.match(await tab.run(() => ask('/auth/sessions')), exactly(200, exactly({ current: true })))

  await s.sleep('20m', phone)
  t.match(await phone.run(() => ask('/me')), exactly(401, Object))
  t.match(await states(phone), exactly({ status: 'out', error: { code: 'FST_AUTH_SESSION_ENDED' } }))
})
