import { type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import { createRefreshCookie, type CookieSettings, type RefreshCookie } from '../../lib/http/cookie.js'
import { exactly } from '../support/exactly.js'

const SETTINGS: CookieSettings = { name: '__Host-Http-refresh', path: '/', domain: undefined, sameSite: 'strict', secure: true, partitioned: false, former: [] }

const AT = 1_900_000_000
const CLEARED = { maxAge: 0, expires: new Date(0) }

/** A cookie with a serialiser that shows its arguments. */
function refreshCookie (settings: Partial<CookieSettings> = {}): RefreshCookie {
  return createRefreshCookie({ ...SETTINGS, ...settings }, (name, value, attributes) => `${name}=${value} ${JSON.stringify(attributes)}`)
}

/** A reply with headers only. */
function reply (headers: Record<string, unknown> = {}): { headers: Record<string, unknown>, reply: FastifyReply } {
  const reply = {
    getHeader: (name: string) => headers[name],
    removeHeader: (name: string) => { delete headers[name] },
    // As in Fastify: a second Set-Cookie is added to the first.
    header: (name: string, value: string[]) => { headers[name] = [...[headers[name] ?? []].flat(), ...value] }
  }
  return { headers, reply: reply as unknown as FastifyReply }
}

t.test('cookie tossing: every distinct value under the exact cookie name is read, anywhere in the header', async t => {
  const N = SETTINGS.name
  const HEADERS: ReadonlyArray<readonly [header: string | undefined, values: string[]]> = [
    [undefined, []], ['', []], [';', []], [';;  ; ', []], ['other=1', []],
    [`${N}=a`, ['a']], [`${N}=a;`, ['a']], [` ${N}=a `, ['a']], [`${N}= a `, ['a']], [`x=1; ${N}=a; y=2`, ['a']], [`x=1;${N}=a;y=2`, ['a']], [`\t${N}=a`, ['a']],
    [`${N}=a=b==`, ['a=b==']], [`${N}="a"`, ['a']], [`${N}= "a" `, ['a']], [`${N}="a"; ${N}=a`, ['a']], [`${N}=""`, []], [`${N}="`, ['"']], [`${N}="a`, ['"a']], [`${N}=a"`, ['a"']],
    [`$Version="1"; ${N}="a";$Path="/";$Domain="app.example"`, ['a']], [`${N}=a%20b`, ['a%20b']], [`${N}=a,b`, ['a,b']],
    [`${N}=a; ${N}=a`, ['a']], [`${N}=a; ${N}=b`, ['a', 'b']], [`${N}=b; x=1; ${N}=a; ${N}=b`, ['b', 'a']], [`${N}=; ${N}=a`, ['a']],
    [`${N}`, []], [`${N}=`, []], [`${N} =a`, []], [`x${N}=a`, []], [`${N}x=a`, []], [`x=${N}=a`, []], [`"${N}=a"`, []],
    // A browser treats this as another name without the rules of the prefix: any sub-domain may set it.
    [`\u00a0${N}=a`, []], [`x=1; \u00a0${N}=a`, []], [`\u00a0 ${N}=a`, []], [`\u0085${N}=a`, []], [`${N}\u00a0=a`, []],
    [`${N}=\u00a0a`, ['\u00a0a']], [`${N}=a\u00a0`, ['a\u00a0']],
    [N.toLowerCase() + '=a', []], [N.toUpperCase() + '=a', []], ['refresh=a', []], ['__Secure-refresh=a', []], ['__Host-refresh=a', []]
  ]
  for (const [cookie, values] of HEADERS) {
    t.strictSame(refreshCookie().read({ headers: { cookie } } as FastifyRequest), values, cookie ?? 'no header')
  }
})

t.test('every cookie attribute is always explicit, so defaults of a host change nothing', async t => {
  const cookie = refreshCookie({ path: '/auth', domain: 'example.com', sameSite: 'none', partitioned: true })
  const where = { path: '/auth', domain: 'example.com', sameSite: 'none', secure: true, partitioned: true, httpOnly: true }
  const { headers, reply: target } = reply()
  cookie.send(target, { value: 'token', maxAge: 60, expiresAt: AT })
  t.strictSame(headers['set-cookie'], [`${SETTINGS.name}=token; Max-Age=60; Expires=Sun, 17 Mar 2030 17:46:40 GMT ${JSON.stringify(where)}`])
  cookie.send(target, { value: 'token', maxAge: null, expiresAt: AT })
  t.strictSame(headers['set-cookie'], [`${SETTINGS.name}=token ${JSON.stringify(where)}`], 'a session cookie of the browser')
  cookie.clear(target)
  t.strictSame(headers['set-cookie'], [`${SETTINGS.name}= ${JSON.stringify({ ...where, ...CLEARED })}`])
})

t.test('former cookies are cleared before the current one is set or cleared, however often', async t => {
  const former = [
    { name: SETTINGS.name, path: '/', domain: undefined, partitioned: true },
    { name: 'refresh', path: '/auth', domain: 'example.com', partitioned: false },
    { name: 'plain', path: '/', domain: undefined, partitioned: true },
    { name: '__Host-old', path: '/', domain: undefined, partitioned: false }
  ]
  for (const secure of [true, false]) {
    const cookie = refreshCookie({ name: 'session', secure, former })
    const { headers, reply: target } = reply({ 'set-cookie': 'refresh=mine; Path=/' })
    const where = { path: '/', sameSite: 'strict', secure, partitioned: false, httpOnly: true }
    const cleared = [
      `${SETTINGS.name}= ${JSON.stringify({ ...where, partitioned: true, secure: true, ...CLEARED })}`,
      `refresh= ${JSON.stringify({ path: '/auth', domain: 'example.com', sameSite: 'strict', secure, partitioned: false, httpOnly: true, ...CLEARED })}`,
      `plain= ${JSON.stringify({ ...where, partitioned: true, secure: true, ...CLEARED })}`,
      `__Host-old= ${JSON.stringify({ ...where, secure: true, ...CLEARED })}`
    ]
    const sameText = (line: unknown): unknown => JSON.stringify(Object.entries(JSON.parse(String(line).replace(/^[^ ]* /, ''))).sort())
    cookie.send(target, { value: 'token', maxAge: 60, expiresAt: AT })
    cookie.clear(target)
    const [mine, ...lines] = [headers['set-cookie']].flat()
    t.equal(mine, 'refresh=mine; Path=/', 'a cookie of the app')
    t.strictSame(lines.map(line => String(line).split('=', 1)[0]), [SETTINGS.name, 'refresh', 'plain', '__Host-old', 'session'])
    t.strictSame(lines.slice(0, 4).map(sameText), cleared.map(sameText))
  }
})

t.test('XSS: the cookie is always HttpOnly', async t => {
  for (const secure of [true, false]) {
    const { headers, reply: target } = reply()
    refreshCookie({ name: 'refresh', secure }).send(target, { value: 'token', maxAge: 60, expiresAt: AT })
    t.match(headers['set-cookie'], exactly(/"httpOnly":true/))
  }
})

t.test('one reply keeps the last refresh cookie and all cookies of the host', async t => {
  for (const before of ['mine=1; Path=/', ['mine=1; Path=/'], ['mine=1; Path=/', `${SETTINGS.name}=old`, `${SETTINGS.name}-2=other`]]) {
    const { headers, reply: target } = reply({ 'set-cookie': before })
    const others = [before].flat().filter(line => !line.startsWith(`${SETTINGS.name}=`))
    refreshCookie().send(target, { value: 'first', maxAge: 60, expiresAt: AT })
    refreshCookie().clear(target)
    t.equal([headers['set-cookie']].flat().length, others.length + 1)
    t.match(headers['set-cookie'], exactly(...others, new RegExp(`^${SETTINGS.name}= `)))
  }
})
