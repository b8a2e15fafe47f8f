import fc from 'fast-check'
import t from 'tap'
import { CookieJar as ToughJar } from 'tough-cookie'
import { siteOf } from '../../lib/browser-rules.js'
import { CookieJar, type Initiator } from '../../lib/testing/cookie-jar.js'

const SITE = 'https://app.example.com/auth/login'
const NOW = 1_767_225_600

const page = (origin: string, opensPage = false): Initiator => ({ origin, tab: siteOf(new URL(origin)), navigates: opensPage, opensPage })
const own = page('https://app.example.com')

function jarAfter (lines: string | string[], url = SITE, initiator = own, now = () => NOW): CookieJar {
  const jar = new CookieJar(now)
  jar.store([lines].flat(), new URL(url), initiator)
  return jar
}

const sent = (jar: CookieJar, url = SITE, initiator = own): string | undefined => jar.header(new URL(url), initiator)

t.test('which cookies a browser stores', async t => {
  const cases: ReadonlyArray<readonly [line: string, sent: string | undefined, url?: string]> = [
    ['a=1', 'a=1'],
    [' a = 1 ; Path = /auth ; HttpOnly', 'a=1'],
    ['a=1=2', 'a=1=2'],
    ['plain', 'plain'],
    ['=plain', 'plain'],
    ['', undefined],
    ['a=\u0000', undefined],
    [`a=${'x'.repeat(4096)}`, undefined],
    ['a=1; Secure', 'a=1'],
    ['a=1; Secure', undefined, 'http://app.example.com/auth/login'],
    ['a=1; Secure', 'a=1', 'http://localhost:3000/auth/login'],
    ['a=1; Secure', 'a=1', 'http://127.0.0.1:3000/auth/login'],
    ['a=1; Secure', 'a=1', 'http://app.localhost:3000/auth/login'],
    ['a=1; Secure', 'a=1', 'http://[::1]:3000/auth/login'],
    ['a=1; SameSite=None', undefined],
    ['a=1; SameSite=None; Secure', 'a=1'],
    ['a=1; Partitioned', undefined],
    ['a=1; Partitioned; Secure', 'a=1'],
    ['a=1; Domain=example.com', 'a=1'],
    ['a=1; Domain=.Example.com', 'a=1'],
    ['a=1; Domain=example.org', undefined],
    ['a=1; Domain=com', undefined],
    ['a=1; Path=/other', undefined],
    ['a=1; Path=relative', 'a=1'],
    [`a=1; Path=/${'x'.repeat(1023)}`, undefined],
    [`a=1; Path=/${'x'.repeat(1024)}`, 'a=1'],
    ['a=1; Max-Age=1', 'a=1'],
    ['a=1; Max-Age=0', undefined],
    ['a=1; Max-Age=-1', undefined],
    ['a=1; Max-Age=soon', 'a=1'],
    ['a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT', undefined],
    ['a=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT', 'a=1'],
    ['a=1; Expires=Thu, 01 Jan 2032 00:00:00 GMT', 'a=1'],
    ['__Secure-a=1; Secure', '__Secure-a=1'],
    ['__Secure-a=1', undefined],
    ['__Host-a=1; Secure; Path=/', '__Host-a=1'],
    ['__host-a=1; Secure', undefined],
    ['__Host-a=1; Secure; Path=/; Domain=app.example.com', undefined],
    ['__Http-a=1; Secure; HttpOnly', '__Http-a=1'],
    ['__Http-a=1; Secure', undefined],
    ['__Host-Http-a=1; Secure; Path=/; HttpOnly', '__Host-Http-a=1'],
    ['__Host-Http-a=1; Secure; Path=/', undefined],
    ['=__Host-a=1', undefined]
  ]
  for (const [line, expected, url = SITE] of cases) t.equal(sent(jarAfter(line, url, page(new URL(url).origin)), url, page(new URL(url).origin)), expected, line)
})

t.test('which requests have a cookie: host, path, transport', async t => {
  const hostOnly = jarAfter('a=1; Secure')
  t.equal(sent(hostOnly, 'https://www.app.example.com/auth/x', page('https://www.app.example.com')), undefined)
  t.equal(sent(hostOnly, 'http://app.example.com/auth/x', page('http://app.example.com')), undefined)
  t.equal(sent(hostOnly, 'https://app.example.com/authors'), undefined)
  t.equal(sent(hostOnly, 'https://app.example.com/auth'), 'a=1')
  const ofDomain = jarAfter('a=1; Domain=example.com; Path=/')
  t.equal(sent(ofDomain, 'https://www.example.com/'), 'a=1')
  t.equal(sent(ofDomain, 'https://badexample.com/', page('https://badexample.com')), undefined)
})

t.test('SameSite and Partitioned: which pages send a cookie, and may set it', async t => {
  const other = page('https://evil.example')
  const link = page('https://evil.example', true)
  const frame: Initiator = { origin: 'https://app.example.com', tab: 'https://evil.example', navigates: false, opensPage: false }
  const of = (attributes: string): Array<string | undefined> => {
    const jar = jarAfter(`a=1; Secure; ${attributes}`)
    return [own, page('https://blog.example.com'), other, link, frame].map(initiator => sent(jar, SITE, initiator))
  }
  t.strictSame(of('SameSite=Strict'), ['a=1', 'a=1', undefined, undefined, undefined])
  t.strictSame(of('SameSite=Lax'), ['a=1', 'a=1', undefined, 'a=1', undefined])
  t.strictSame(of(''), ['a=1', 'a=1', undefined, 'a=1', undefined])
  t.strictSame(of('SameSite=None'), ['a=1', 'a=1', 'a=1', 'a=1', 'a=1'])
  t.strictSame(of('SameSite=None; Partitioned'), ['a=1', 'a=1', undefined, undefined, undefined])
  t.strictSame(jarAfter('a=1; Secure; SameSite=Lax', SITE, other).cookies, [])
  t.equal(jarAfter('a=1; Secure; SameSite=None', SITE, other).cookies.length, 1)
  t.equal(jarAfter('a=1; Secure; SameSite=Strict', SITE, link).cookies.length, 1)
  const form = { ...other, navigates: true }
  t.equal(jarAfter('a=1; Secure; SameSite=Strict', SITE, form).cookies.length, 1, 'login CSRF: the reply to a form of another site too')
  t.equal(sent(jarAfter('a=1; Secure; SameSite=Lax'), SITE, form), undefined, 'which sends none')
})

t.test('a cookie is replaced where name, domain, path and partition are equal, and keeps its place', async t => {
  const jar = jarAfter(['a=1; Path=/', 'b=1; Path=/', 'a=2; Path=/', 'c=1', 'a=3; Domain=app.example.com; Path=/'])
  t.equal(sent(jar), 'c=1; a=2; b=1; a=3')
  jar.store(['a=; Path=/; Max-Age=0'], new URL(SITE), own)
  t.equal(sent(jar), 'c=1; b=1; a=3')
  jar.store(['a=4; Path=/'], new URL(SITE), own)
  t.equal(sent(jar), 'c=1; b=1; a=3; a=4', 'a deleted cookie that is set again is a new one')
})

t.test('plain http does not replace a secure cookie (cookie tossing)', async t => {
  const http = 'http://app.example.com/auth/login'
  const jar = jarAfter(['a=1; Secure; Path=/', 'b=1; Secure; Path=/x'])
  jar.store(['a=2; Path=/', 'a=2; Domain=example.com; Path=/auth', 'b=2; Path=/'], new URL(http), page('http://app.example.com'))
  t.strictSame(jar.cookies.map(({ name, value }) => name + value).sort(), ['a1', 'b1', 'b2'])
})

t.test('cookies expire by the clock, after 400 days at the latest, and a copy is a jar of its own', async t => {
  let now = NOW
  const jar = jarAfter(['a=1; Max-Age=60', 'b=1; Max-Age=99999999', 'c=1; Expires=Thu, 01 Jan 2099 00:00:00 GMT', 'd=1'], SITE, own, () => now)
  const copy = jar.copy()
  copy.store(['d=2'], new URL(SITE), own)
  t.equal(sent(jar), 'a=1; b=1; c=1; d=1')
  now += 60
  t.equal(sent(jar), 'b=1; c=1; d=1')
  t.equal(sent(copy), 'b=1; c=1; d=2')
  now += 400 * 86_400
  t.equal(sent(jar), 'd=1')
})

// tough-cookie takes a cookie with the host as its Domain and one without for the same (RFC 6265), browsers do not.
t.test('it agrees with tough-cookie about host, path, Secure and expiry', async t => {
  const name = fc.constantFrom('a', 'b', '__Secure-a', '__Host-a')
  const attribute = fc.constantFrom('Secure', 'HttpOnly', 'Path=/', 'Path=/auth', 'Path=/auth/', 'Domain=example.com', 'Domain=other.example.com', 'Max-Age=0', 'Max-Age=60')
  const line = fc.tuple(name, fc.nat(9), fc.uniqueArray(attribute, { maxLength: 4, selector: text => text.split('=')[0] ?? '' })).map(([name, value, attributes]) => [`${name}=${value}`, ...attributes].join('; '))
  const url = fc.constantFrom('https://app.example.com/', 'https://app.example.com/auth', 'https://app.example.com/auth/login', 'https://www.example.com/auth/x')
  fc.assert(fc.property(fc.array(fc.tuple(line, url), { maxLength: 6 }), url, (stores, asked) => {
    const ours = new CookieJar(() => Date.now() / 1000)
    const tough = new ToughJar(undefined, { prefixSecurity: 'strict', rejectPublicSuffixes: false })
    for (const [line, url] of stores) {
      ours.store([line], new URL(url), page(new URL(url).origin))
      try { tough.setCookieSync(line, url) } catch { /* refused */ }
    }
    const sorted = (header: string | undefined): string[] => (header ?? '').split('; ').sort()
    t.strictSame(sorted(sent(ours, asked, page(new URL(asked).origin))), sorted(tough.getCookieStringSync(asked)))
  }), { numRuns: 300, seed: 7 })
})
