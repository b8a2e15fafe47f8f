import { type Test } from 'tap'
import { type RefreshCookieOptions } from '../../lib/index.js'
import { type Tab, inEveryBrowser } from './support/browsers.js'
import { otherSite } from './support/other-site.js'
import { HOST, site, type Site } from './support/site.js'

const LAX: RefreshCookieOptions = { cookie: { sameSite: 'lax' } }

/** A site with a page that a server renders, and a GET that changes something, as none should. */
async function rendered (t: Test, options: RefreshCookieOptions = {}): Promise<Site & { changes: string[], answers: Array<[path: string, status: number]> }> {
  const changes: string[] = []
  const answers: Array<[path: string, status: number]> = []
  const s = await site(t, options, {
    extend (app) {
      app.addHook('onResponse', async ({ url }, { statusCode }) => { answers.push([url, statusCode]) })
      app.get('/view', async ({ auth }, reply) => {
        const user = await auth.identifyOrNull()
        return await reply.type('text/html').send(`<!doctype html><title>A view</title><link rel="icon" href="data:,"><p>${user?.sub ?? 'nobody'}`)
      })
      for (const path of ['/image', '/stream', '/socket']) app.get(path, { onRequest: app.authenticateByCookie }, async (_request, reply) => await reply.type('text/event-stream').send('data: private\n\n'))
      app.get('/change', { onRequest: app.authenticateByCookie }, async ({ auth }) => { changes.push(auth.identity.sub) })
    }
  })
  return { ...s, changes, answers }
}

const seenIn = (tab: Tab): Promise<string | undefined> => tab.run(() => document.querySelector('p')?.textContent)

inEveryBrowser('SameSite=Strict: a typed address and a link on the own site show the user, a link on another site shows nobody', async (t, browser) => {
  const s = await rendered(t)
  const other = await otherSite(t)
  const tab = await s.signedUp(browser)
  await tab.follow(s.url('/view'))
  t.equal(await seenIn(tab), '1', 'a link on the own site')
  t.equal(await seenIn(await browser.open(s.url('/view'))), '1', 'a typed address')
  const visitor = await browser.open(other.url())
  await visitor.follow(s.url('/view'))
  t.equal(await seenIn(visitor), 'nobody', 'a link on another site')
  await visitor.follow(s.url('/view?again'))
  t.equal(await seenIn(visitor), '1', 'the next link')
})

inEveryBrowser('SameSite=Lax: a link on another site shows the user, a frame and an image do not', async (t, browser) => {
  const s = await rendered(t, LAX)
  const other = await otherSite(t)
  await s.signedUp(browser)
  const visitor = await browser.open(other.url())
  await visitor.follow(s.url('/view'))
  t.equal(await seenIn(visitor), '1')

  // Another port is the same site, so the browser sends the cookie with everything: the hook refuses by Sec-Fetch-Dest and Origin.
  const neighbour = await browser.open(other.url('/', HOST))
  s.answers.length = s.events.length = 0
  await neighbour.run(([view, image]) => Promise.all([
    new Promise(resolve => { document.body.append(Object.assign(document.createElement('iframe'), { src: view, onload: resolve })) }),
    new Promise(resolve => { document.body.append(Object.assign(new Image(), { src: image, onerror: resolve })) })
  ]).then(() => {}), [s.url('/view'), s.url('/image')] as const)
  t.strictSame(s.answers.sort(), [['/image', 403], ['/view', 403]])
  t.strictSame(s.events.map(({ type }) => type), ['cross_site_refused', 'cross_site_refused'])
})

inEveryBrowser('cross-site WebSocket hijacking: EventSource and WebSocket are for the own page only', async (t, browser) => {
  const s = await rendered(t, LAX)
  const other = await otherSite(t)
  const tab = await s.signedUp(browser)
  s.answers.length = 0
  const connect = async (from: Tab): Promise<void> => await from.run(([stream, socket]) => Promise.all([
    new Promise(resolve => {
      const source = new EventSource(stream, { withCredentials: true })
      source.onmessage = source.onerror = () => { source.close(); resolve(null) }
    }),
    new Promise(resolve => { new WebSocket(socket).onerror = resolve }) // no server of sockets: its handshake fails in any case
  ]).then(() => {}), [s.url('/stream'), s.url('/socket').replace('http', 'ws')] as const)
  await connect(tab)
  t.strictSame(s.answers.splice(0).sort(), [['/socket', 200], ['/stream', 200]])
  await connect(await browser.open(other.url('/', HOST)))
  t.strictSame(s.answers.sort(), [['/socket', 403], ['/stream', 403]])
})

inEveryBrowser('CSRF: with SameSite=Lax a link on another site performs a GET, so a GET must change nothing', async (t, browser) => {
  for (const [options, changes] of [[{}, []], [LAX, ['1']]] as const) {
    const s = await rendered(t, options)
    const other = await otherSite(t)
    await s.signedUp(browser)
    const visitor = await browser.open(other.url())
    await visitor.follow(s.url('/change'))
    t.strictSame(s.changes, changes, JSON.stringify(options))
  }
})
