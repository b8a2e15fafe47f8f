import { type FastifyRequest } from 'fastify'
import t from 'tap'
import { isTrustedSource, type OriginPolicy, type RequestSource, sourceOf } from '../../lib/http/csrf.js'

const SITES = [undefined, 'same-origin', 'same-site', 'cross-site', 'none', 'SAME-ORIGIN', '', 'same-origin, same-origin', 'nonsense']

const HOSTS = [undefined, '', 'app.example', 'app.example:443', 'app.example:80', 'app.example:8443', 'APP.example', 'localhost:3000', '127.0.0.1', '[::1]:3000', 'app.example/x', 'app.example/', 'app.example#', 'app.example?', 'ada@app.example', 'app.example:', 'app.example:123456', 'app example', ':443']

const ORIGINS = [
  undefined, '', 'null', 'NULL', '*', 'app.example', 'https://',
  'https://app.example', 'http://app.example', 'https://app.example:443', 'https://app.example:80', 'http://app.example:80',
  'https://app.example:8443', 'http://app.example:8443', 'https://APP.example', 'HTTPS://app.example', 'https://app.example.', 'https://app.example/',
  'https://app.example/path', 'https://app.example?q', 'https://ada@app.example', ' https://app.example', 'https://app.example, https://app.example',
  'https://app.example.evil.example', 'https://evilapp.example', 'https://sub.app.example', 'https://app.example@evil.example',
  'http://localhost:3000', 'http://127.0.0.1', 'http://[::1]:3000', 'https://other.example', 'http://other.example', 'https://other.example:444',
  'https://*.app.example', 'https://*', 'file://', 'ftp://app.example', 'ws://app.example', 'chrome-extension://app.example', 'javascript:alert(1)'
]

const POLICIES: OriginPolicy[] = [false, true].flatMap(crossSiteCookie => [
  { crossSiteCookie, trustedOrigins: new Set<string>() },
  { crossSiteCookie, trustedOrigins: new Set(['https://other.example', 'http://localhost:5173']) }
])

const DEFAULT_PORTS: Record<string, string> = { 'http:': '80', 'https:': '443', 'ftp:': '21', 'ws:': '80', 'wss:': '443' }

/** An independent implementation of the CSRF policy: text patterns instead of a URL parser. */
function mayChangeThings ({ site, origin, host, isHttps }: RequestSource, { trustedOrigins, crossSiteCookie }: OriginPolicy): boolean {
  if (site === 'same-origin') return true
  if (origin === undefined) return site === undefined ? !crossSiteCookie : false
  if (trustedOrigins.has(origin)) return true
  if (site === 'cross-site' || site === 'same-site') return false
  const [, scheme = '', name, port] = /^([a-z]+:)\/\/([a-z0-9.-]+|\[[0-9a-f:]+\])(?::(\d+))?$/.exec(origin) ?? []
  const [, ownName, ownPort] = /^([\w.-]+|\[[0-9a-f:]+\])(?::(\d{1,5}))?$/i.exec(host ?? '') ?? []
  if (isHttps && scheme !== 'https:') return false
  const usual = DEFAULT_PORTS[scheme]
  // Browsers omit the default port of the scheme.
  if (usual === undefined || port === usual || name === undefined) return false
  return name === ownName?.toLowerCase() && (port ?? usual) === (ownPort ?? usual)
}

t.test('CSRF policy: every combination agrees with an independent implementation', async t => {
  const unexpected: unknown[] = []
  let trusted = 0
  for (const policy of POLICIES) {
    for (const site of SITES) {
      for (const origin of ORIGINS) {
        for (const host of HOSTS) {
          for (const isHttps of [false, true]) {
            const source = { site, origin, host, isHttps }
            const accepted = isTrustedSource(source, policy)
            if (accepted !== mayChangeThings(source, policy)) unexpected.push({ ...source, crossSiteCookie: policy.crossSiteCookie, accepted })
            trusted += accepted ? 1 : 0
          }
        }
      }
    }
  }
  t.strictSame(unexpected, [])
  t.ok(trusted > 1000, `${trusted} combinations may change something`)
})

const OWN = { site: undefined, host: 'app.example', isHttps: false }

t.test('CSRF policy: requests of the app\'s own pages are accepted', async t => {
  const policy = { trustedOrigins: new Set<string>(), crossSiteCookie: false }
  t.ok(isTrustedSource({ ...OWN, site: 'same-origin', origin: 'https://app.example' }, policy))
  t.ok(isTrustedSource({ ...OWN, origin: 'https://app.example' }, policy), 'a browser without Fetch Metadata')
  t.ok(isTrustedSource({ ...OWN, origin: 'http://app.example' }, policy), 'without TLS')
  t.ok(isTrustedSource({ ...OWN, origin: undefined }, policy), 'not a browser')
})

t.test('CSRF policy: a page of the same host over plain http, which anybody on the network can forge, is refused', async t => {
  const policy = { trustedOrigins: new Set<string>(), crossSiteCookie: false }
  const forged = { ...OWN, origin: 'http://app.example' }
  for (const site of ['cross-site', 'same-site']) t.notOk(isTrustedSource({ ...forged, site }, policy), `${site}: Chromium and Firefox`)
  t.notOk(isTrustedSource({ ...forged, isHttps: true }, policy), 'a browser without Fetch Metadata')
  t.ok(isTrustedSource({ ...OWN, origin: 'https://app.example', isHttps: true }, policy))
})

t.test('CSRF policy: a host that only a URL parser maps to ours is refused', async t => {
  const policy = { trustedOrigins: new Set<string>(), crossSiteCookie: false }
  for (const host of ['\u00aapp.example', 'app\u00ad.example', '\u00a0app.example', 'app.example\u00a0', 'app\u3002example', ' app.example']) {
    t.notOk(isTrustedSource({ ...OWN, host, origin: 'https://app.example' }, policy), JSON.stringify(host))
  }
})

t.test('CSRF policy: requests of other sites are refused', async t => {
  const policy = { trustedOrigins: new Set<string>(), crossSiteCookie: false }
  for (const origin of ['https://evil.example', 'https://app.example.evil.example', 'https://evilapp.example', 'https://app.example:444', 'null']) {
    t.notOk(isTrustedSource({ ...OWN, site: 'cross-site', origin }, policy), origin)
    t.notOk(isTrustedSource({ ...OWN, origin }, policy), `${origin} without Fetch Metadata`)
  }
  t.notOk(isTrustedSource({ ...OWN, site: 'cross-site', origin: undefined }, policy), 'cross-site without Origin')
  t.notOk(isTrustedSource({ ...OWN, site: 'none', origin: undefined }, policy), 'a typed URL')
})

t.test('CSRF policy: with a SameSite=None cookie a request without Origin and Sec-Fetch-Site is refused', async t => {
  const policy = { trustedOrigins: new Set(['https://spa.example']), crossSiteCookie: true }
  t.notOk(isTrustedSource({ ...OWN, origin: undefined }, policy))
  t.ok(isTrustedSource({ ...OWN, site: 'cross-site', origin: 'https://spa.example' }, policy))
})

t.test('a request is over https by the scheme of a page or of a socket, as proxies spell it', t => {
  const isHttps = (protocol: string): boolean => sourceOf({ headers: {}, host: 'app.example', protocol } as FastifyRequest).isHttps
  for (const protocol of ['https', 'wss', 'HTTPS']) t.ok(isHttps(protocol), protocol)
  for (const protocol of ['http', 'ws', '', 'https:']) t.notOk(isHttps(protocol), protocol)
  t.end()
})
