import { exactly } from '../support/exactly.js'
import { inEveryBrowser } from './support/browsers.js'
import { portOfBoth, selfSigned } from './support/network.js'
import { otherSite } from './support/other-site.js'
import { states, statuses } from './support/pages.js'
import { ADA, HOST, LOGOUT, REFRESH, site, type Site } from './support/site.js'

const OK = [200, { id: '1' }]
const REFUSED = [{ type: 'cross_site_refused' }]

/** The origin information in a request. */
function sentTo (s: Site, path: string) {
  return s.network.arrivals.filter(arrival => arrival.path === path).map(({ headers }) => ({
    cookie: headers.cookie !== undefined, site: headers['sec-fetch-site'], origin: headers.origin
  }))
}

for (const path of [LOGOUT, REFRESH, '/auth/login']) {
  inEveryBrowser(`CSRF: a form of another site to ${path} sends no cookie and changes nothing`, async (t, browser) => {
    const s = await site(t)
    const evil = await otherSite(t)
    const tab = await s.signedUp(browser)
    const page = await browser.open(evil.url())
    await page.run(action => {
      const form = document.body.appendChild(document.createElement('form'))
      Object.assign(form, { method: 'POST', action, enctype: 'text/plain' })
      form.submit()
    }, s.url(path))
    await s.network.answered(path)
    t.strictSame(sentTo(s, path), [{ cookie: false, site: 'cross-site', origin: new URL(evil.url()).origin }])
    t.match(s.events, REFUSED)
    t.strictSame(await tab.run(() => ask('/me')), OK)
  })
}

inEveryBrowser('CSRF: a page of the same host over http, which somebody on the network has forged, changes nothing', async (t, browser) => {
  const certificate = await selfSigned(t)
  if (certificate === undefined) return
  const s = await site(t, {}, { certificate })
  const forged = await otherSite(t)
  const port = await portOfBoth(t, { https: Number(new URL(s.url()).port), http: Number(new URL(forged.url()).port) })
  const host = `app.localhost:${port}`
  const tab = await s.signedUp(browser, `https://${host}/page`)
  const page = await browser.open(`http://${host}/`)
  for (const path of [LOGOUT, REFRESH, '/auth/login']) {
    await page.run(action => {
      const form = document.body.appendChild(document.createElement('form'))
      Object.assign(form, { method: 'POST', action, enctype: 'text/plain', target: '_blank' })
      form.submit()
    }, `https://${host}${path}`)
    await s.network.answered(path)
    t.match(sentTo(s, path), exactly({ site: browser.engine === 'Firefox' ? 'same-site' : 'cross-site', origin: `http://${host}` }))
  }
  t.match(s.events, exactly(...REFUSED, ...REFUSED, ...REFUSED))
  t.strictSame(await tab.run(() => ask('/me')), OK)
})

inEveryBrowser('CSRF: scripts of another site send no cookie and change nothing', async (t, browser) => {
  const s = await site(t)
  const evil = await otherSite(t)
  const tab = await s.signedUp(browser)
  const page = await browser.open(evil.url())
  for (const mode of ['cors', 'no-cors'] as const) {
    t.equal(await page.run(([url, mode]) => fetch(url, { method: 'POST', credentials: 'include', mode }).then(({ type }) => type, ({ name }) => name),
      [s.url(LOGOUT), mode] as const), mode === 'cors' ? 'TypeError' : 'opaque')
  }
  t.strictSame(sentTo(s, LOGOUT), Array(2).fill({ cookie: false, site: 'cross-site', origin: new URL(evil.url()).origin }))
  t.strictSame(await tab.run(() => ask('/me')), OK)
})

inEveryBrowser('CSRF: another port is the same site, so the cookie is sent, and the request is refused by its origin', async (t, browser) => {
  const s = await site(t)
  const neighbour = await otherSite(t)
  const tab = await s.signedUp(browser)
  const page = await browser.open(neighbour.url('/', HOST))
  for (const path of [LOGOUT, REFRESH]) {
    await page.run(url => fetch(url, { method: 'POST', credentials: 'include', mode: 'no-cors' }).then(() => {}), s.url(path))
    t.strictSame(sentTo(s, path), [{ cookie: true, site: 'same-site', origin: new URL(neighbour.url('/', HOST)).origin }])
  }
  t.match(s.events, exactly(...REFUSED, ...REFUSED))
  t.strictSame(await tab.run(() => ask('/me')), OK)
})

inEveryBrowser('CSRF: a form without a referrer has the origin null and is refused', async (t, browser) => {
  const s = await site(t)
  const neighbour = await otherSite(t)
  const tab = await s.signedUp(browser)
  const page = await browser.open(neighbour.url('/', HOST))
  await page.run(action => {
    document.head.insertAdjacentHTML('beforeend', '<meta name="referrer" content="no-referrer">')
    const form = document.body.appendChild(document.createElement('form'))
    Object.assign(form, { method: 'POST', action })
    form.submit()
  }, s.url(LOGOUT))
  await s.network.answered(LOGOUT)
  t.strictSame(sentTo(s, LOGOUT), [{ cookie: true, site: 'same-site', origin: 'null' }])
  t.match(s.events, REFUSED)
  t.strictSame(await tab.run(() => ask('/me')), OK)
})

inEveryBrowser('a link on another site opens a signed-in page', async (t, browser) => {
  const s = await site(t)
  const other = await otherSite(t)
  await s.signedUp(browser)
  const page = await browser.open(other.url())
  await page.follow(s.url())
  t.strictSame(await statuses(page), ['in'])
  t.strictSame(sentTo(s, '/page').at(-1), { cookie: false, site: 'cross-site', origin: undefined }, 'the navigation sends no strict cookie')
  t.strictSame(sentTo(s, REFRESH).at(-1), { cookie: true, site: 'same-origin', origin: new URL(s.url()).origin }, 'the page\'s own request sends it')
})

inEveryBrowser('clickjacking: a page in a frame of another site is signed out, and signs no tab out', async (t, browser) => {
  const s = await site(t)
  const other = await otherSite(t)
  const tab = await s.signedUp(browser)
  const page = await browser.open(other.url())
  t.equal(await page.run(src => new Promise(resolve => {
    addEventListener('message', ({ data }) => resolve(data))
    document.body.append(Object.assign(document.createElement('iframe'), { src }))
  }), s.url()), 'out')
  t.strictSame(sentTo(s, REFRESH), [{ cookie: false, site: 'same-origin', origin: new URL(s.url()).origin }])
  t.strictSame(await tab.run(() => ask('/me')), OK)
  await tab.reload()
  t.match(await states(tab), exactly({ status: 'in', claims: { sub: '1' } }))
})

inEveryBrowser('login CSRF: another site cannot log anybody in', async (t, browser) => {
  const s = await site(t)
  const evil = await otherSite(t)
  await (await s.signedUp(browser)).run(async () => { await auth.logout() })
  const page = await browser.open(evil.url())
  await page.run(([url, body]) => fetch(url, { method: 'POST', credentials: 'include', mode: 'no-cors', body }).then(() => {}),
    [s.url('/auth/login'), JSON.stringify(ADA)] as const)
  t.match(s.events.at(-1), { type: 'cross_site_refused' })
  const tab = await browser.open(s.url())
  t.strictSame(await statuses(tab), ['out'])
})
