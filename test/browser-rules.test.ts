import t from 'tap'
import { coversHost, INSECURE_ORIGIN, isOrigin, isTrustworthy, matchesPath, relationOf, type SiteRelation } from '../lib/browser-rules.js'

t.test('CSRF policy: an origin must be spelled as browsers spell it', async t => {
  for (const text of ['https://app.example', 'http://localhost:3000', 'https://[::1]:8443', 'https://xn--caf-dma.example', 'http://127.0.0.1:1']) {
    t.ok(isOrigin(text), text)
  }
  for (const text of ['', 'null', '*', 'app.example', 'https://app.example/', 'https://app.example:443', 'http://app.example:80', 'https://App.example', 'https://café.example', 'https://*.example', 'https://ada@app.example', 'file:///etc', 'data:,', ' https://app.example']) {
    t.notOk(isOrigin(text), text)
  }
})

t.test('the relation of a page to the server of its request', async t => {
  const PAGES: ReadonlyArray<readonly [page: string, own: string, site: SiteRelation]> = [
    ['https://app.example', 'https://app.example', 'same-origin'],
    ['https://app.example:8443', 'https://app.example', 'same-site'],
    ['https://www.app.example', 'https://api.app.example', 'same-site'],
    ['http://app.example', 'https://app.example', 'cross-site'],
    ['https://shop.example', 'https://app.example', 'cross-site'],
    ['http://localhost:5173', 'http://localhost:3000', 'same-site'],
    ['http://127.0.0.1:5173', 'http://localhost:3000', 'cross-site'],
    ['http://127.0.0.1:5173', 'http://127.0.0.2:3000', 'cross-site'],
    ['http://[::1]:5173', 'http://localhost:3000', 'cross-site'],
    ['http://app.localhost:5173', 'http://api.localhost:3000', 'cross-site'],
    ['http://app.localhost:5173', 'http://localhost:3000', 'cross-site'],
    ['http://www.app.localhost:5173', 'http://app.localhost:3000', 'same-site']
  ]
  for (const [page, own, site] of PAGES) t.equal(relationOf(page, own), site, `${page} ${own}`)
})

t.test('the hosts that the Domain of a cookie covers', async t => {
  const COVERED = ['app.example', 'www.app.example', 'a.b.app.example', 'APP.example']
  const OTHERS = ['example', 'shop.example', 'badapp.example', 'app.example.evil.example', '']
  for (const domain of ['app.example', '.app.example', 'App.Example']) {
    for (const host of COVERED) t.ok(coversHost(domain, host), `${domain} ${host}`)
    for (const host of OTHERS) t.notOk(coversHost(domain, host), `${domain} ${host}`)
  }
  for (const host of [...COVERED, ...OTHERS]) t.ok(coversHost(undefined, host), host)
  t.notOk(coversHost('', 'app.example'))
})

t.test('the requests that the Path of a cookie matches', async t => {
  const PATHS: ReadonlyArray<readonly [path: string, matched: readonly string[], others: readonly string[]]> = [
    ['/', ['/', '/auth', '/auth/refresh'], []],
    ['/auth', ['/auth', '/auth/', '/auth/refresh'], ['/', '/author', '/Auth', '/api/auth']],
    ['/auth/', ['/auth/', '/auth/refresh'], ['/auth', '/author/']]
  ]
  for (const [path, matched, others] of PATHS) {
    for (const requested of matched) t.ok(matchesPath(requested, path), `${path} ${requested}`)
    for (const requested of others) t.notOk(matchesPath(requested, path), `${path} ${requested}`)
  }
})

t.test('the URLs that have cookies with Secure: https, and this machine', async t => {
  const OWN = ['localhost', 'localhost:3000', 'app.localhost:3000', 'a.b.localhost', '127.0.0.1', '127.1.2.3:3000', '[::1]:3000']
  const OTHERS = ['app.example', 'localhost.app.example', 'badlocalhost', '128.0.0.1', '192.168.1.7:3000', '[::2]']
  const trustworthy = [...OWN.map(host => `http://${host}`), ...[...OWN, ...OTHERS].map(host => `https://${host}`)]
  for (const origin of trustworthy) {
    t.ok(isTrustworthy(new URL(origin)), origin)
    t.notMatch(origin, INSECURE_ORIGIN)
  }
  for (const host of OTHERS) {
    t.notOk(isTrustworthy(new URL(`http://${host}`)), host)
    t.match(`http://${host}`, INSECURE_ORIGIN)
  }
})
