import { createHmac, createSign, generateKeyPairSync, sign } from 'node:crypto'
import t, { type Test } from 'tap'
import { type TokenKind } from '../../lib/keys/ring.js'
import { type RefreshCookieOptions } from '../../lib/index.js'
import { COOKIE, HOST, joseHeaderOf, loggedIn, payloadOf, SECRET, server, sessionOf, setCookies, START, type TestServer } from '../support/server.js'
import { newSession } from '../support/session.js'
import { generateKey } from '../support/keys.js'
import { claimsOf, forged, headerOf, jws, keyOf, respelled } from './forge.js'

const OLD = SECRET
const NEW = 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x'

/** A server, and the entry points of a token. Each returns 'ok' or the code of the refusal. */
interface EntryPoints extends TestServer {
  readonly entryPoints: Record<TokenKind, (token: string) => Promise<string>>
}

async function entryPoints (t: Test, options: RefreshCookieOptions = {}): Promise<EntryPoints> {
  const s = await server(t, options)
  await s.users.create({ username: 'ada', passwordHash: 'x' })

  async function send (kind: TokenKind, token: string): Promise<string> {
    const answer = kind === 'access'
      ? await s.app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })
      : await s.app.inject({ method: 'POST', url: '/auth/refresh', headers: { host: HOST, cookie: `${COOKIE}=${token}` } })
    if (answer.statusCode === 200) return 'ok'
    const { code, statusCode } = answer.json()
    // RFC 6750 section 3.1: for access tokens, and for ended sessions, whose token may be of either type.
    const challenged = String(answer.headers['www-authenticate']).includes('invalid_token')
    return statusCode === 401 && challenged === (kind === 'access' || code === 'FST_AUTH_SESSION_ENDED') ? code : `${statusCode} ${code}`
  }
  return { ...s, entryPoints: { access: token => send('access', token), refresh: token => send('refresh', token) } }
}

/** With the session of the forged tokens. */
async function entryPointsWithSession (t: Test, options?: RefreshCookieOptions): Promise<EntryPoints> {
  const s = await entryPoints(t, options)
  await s.store.create(newSession({ id: 'session-1', subject: '1' }))
  return s
}

/** The fault of a token that is otherwise valid and correctly signed. */
type Hostile = ReadonlyArray<readonly [wrong: string, token: string]>

const KINDS: readonly TokenKind[] = ['access', 'refresh']
const INVALID: Record<TokenKind, string> = { access: 'FST_AUTH_ACCESS_TOKEN_INVALID', refresh: 'FST_AUTH_REFRESH_TOKEN_INVALID' }
const other = (kind: TokenKind): TokenKind => kind === 'access' ? 'refresh' : 'access'

function testHostile (what: string, tokensOf: (kind: TokenKind) => Hostile): void {
  for (const kind of KINDS) {
    t.test(`${kind === 'access' ? 'an' : 'a'} ${kind} token ${what} is refused as invalid`, async t => {
      // The session exists, so that only the fault can be the reason.
      const { entryPoints: { [kind]: send }, store } = await entryPointsWithSession(t)
      t.equal(await send(forged(kind)), 'ok', 'the valid one is accepted')
      store.calls.length = 0
      for (const [wrong, token] of tokensOf(kind)) t.equal(await send(token), INVALID[kind], wrong)
      t.strictSame(store.calls, [], 'and the store is not asked')
    })
  }
}

testHostile('of another algorithm', kind => {
  const { secret, kid } = keyOf(kind)
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const signedWithRsa = `${jws({ ...headerOf(kind), alg: 'RS256' }, claimsOf(kind), '').split('.', 2).join('.')}`
  return [
    ...['none', 'None', 'NoNe', 'NONE', 'hs256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA', 'HS256 ', '', null, 1, true, ['HS256'], { HS256: 1 }, undefined]
      .map(alg => [`alg ${JSON.stringify(alg)}`, forged(kind, { header: { alg } })] as const),
    ...['none', 'NoNe', 'HS256'].map(alg => [`alg ${alg} and no signature`, forged(kind, { header: { alg } }).replace(/[^.]*$/, '')] as const),
    ...(['HS384', 'HS512'] as const).flatMap(algorithm => [
      [`${algorithm} by our own key`, jws({ ...headerOf(kind), alg: algorithm }, claimsOf(kind), secret, algorithm)] as const,
      [`${algorithm} by the key that we would derive for it`, jws({ ...headerOf(kind), alg: algorithm }, claimsOf(kind), keyOf(kind, SECRET, algorithm).secret, algorithm)] as const,
      [`${algorithm} named by that key's kid`, jws(headerOf(kind, keyOf(kind, SECRET, algorithm)), claimsOf(kind), keyOf(kind, SECRET, algorithm).secret, algorithm)] as const
    ]),
    ['HS512 where the header says HS256', jws(headerOf(kind), claimsOf(kind), secret, 'HS512')],
    ['RS256 by a key of the sender', `${signedWithRsa}.${createSign('sha256').update(signedWithRsa).sign(rsa.privateKey, 'base64url')}`],
    ...['\n', '\r\n'].flatMap(newline => {
      const pem = String(rsa.publicKey.export({ type: 'spki', format: 'pem' })).replaceAll('\n', newline)
      return [pem, ` ${pem}`].map(key => ['HMAC with a public key as the secret', jws({ alg: 'HS256', typ: headerOf(kind)['typ'], kid }, claimsOf(kind), key)] as const)
    })
  ]
})

testHostile('signed with another key', kind => [
  ['the option itself', jws(headerOf(kind), claimsOf(kind), SECRET)],
  ['the option in base64', jws(headerOf(kind), claimsOf(kind), Buffer.from(SECRET).toString('base64'))],
  ['our key as text', jws(headerOf(kind), claimsOf(kind), keyOf(kind).secret.toString('base64url'))],
  ['the key of the other kind', jws(headerOf(kind), claimsOf(kind), keyOf(other(kind)).secret)],
  ['the key of the other kind, named by its kid', jws({ ...headerOf(kind), kid: keyOf(other(kind)).kid }, claimsOf(kind), keyOf(other(kind)).secret)],
  ['the key of another secret', jws(headerOf(kind), claimsOf(kind), keyOf(kind, NEW).secret)],
  ['the key of another secret, named by its kid', jws(headerOf(kind, keyOf(kind, NEW)), claimsOf(kind), keyOf(kind, NEW).secret)],
  ['no key', jws(headerOf(kind), claimsOf(kind), '')],
  ['zeros', jws(headerOf(kind), claimsOf(kind), Buffer.alloc(32))],
  ['the name of our key', jws(headerOf(kind), claimsOf(kind), keyOf(kind).kid)]
])

testHostile('of another kind', kind => [
  ['the other token itself', forged(other(kind))],
  ['the other token\'s typ', forged(kind, { header: { typ: headerOf(other(kind))['typ'] } })],
  ...['JWT', 'jwt', '', 'at', `${headerOf(kind)['typ']} `, ` ${headerOf(kind)['typ']}`, `application/application/${headerOf(kind)['typ']}`, `text/${headerOf(kind)['typ']}`, null, 1, true, [headerOf(kind)['typ']], undefined]
    .map(typ => [`typ ${JSON.stringify(typ)}`, forged(kind, { header: { typ } })] as const)
])

testHostile('that names no key of ours', kind => {
  const { kid } = keyOf(kind)
  return [undefined, null, '', 0, 1, true, [kid], { kid }, 'x', '__proto__', 'constructor', 'toString', '../../dev/null', "' OR 1=1 --", `${kid} `, kid.toUpperCase(), kid.slice(1), `${kid}\0`, 'k'.repeat(10_240), keyOf(other(kind)).kid, keyOf(kind, NEW).kid]
    .map(wrong => [`kid ${String(JSON.stringify(wrong)).slice(0, 40)}`, forged(kind, { header: { kid: wrong } })] as const)
})

testHostile('with critical extensions', kind => [
  ...[['exp'], ['b64'], ['x', 'y'], [], '', 'exp', null, true, {}].map(crit => [`crit ${JSON.stringify(crit)}`, forged(kind, { header: { crit } })] as const),
  ['an unencoded payload', forged(kind, { header: { crit: ['b64'], b64: false } })]
])

testHostile('that brings its own key', kind => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const mine = 'a secret of the sender that is long enough'
  const jwk = { kty: 'oct', k: Buffer.from(mine).toString('base64url') }
  const signed = jws({ ...headerOf(kind), alg: 'ES256', jwk: publicKey.export({ format: 'jwk' }) }, claimsOf(kind), '').split('.', 2).join('.')
  return [
    ...Object.entries({ jwk, jku: 'https://evil.example/jwks', x5u: 'https://evil.example/cert', x5c: ['MIIB'], x5t: 'x', key: mine })
      .map(([name, value]) => [name, jws({ ...headerOf(kind), [name]: value }, claimsOf(kind), mine)] as const),
    ['an ES256 jwk', `${signed}.${sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`]
  ]
})

testHostile('that is spelled another way', kind => {
  const good = forged(kind)
  const [header = '', payload = '', signature = ''] = good.split('.')
  const resigned = (head: string, body: string) => `${head}.${body}.${createHmac('sha256', keyOf(kind).secret).update(`${head}.${body}`).digest('base64url')}`
  return [
    ...respelled(good).map(token => ['unused bits of the signature', token] as const),
    ...['=', '==', '.', '..', ' x', '\0', '%20', '+', '/'].map(end => [`${JSON.stringify(end)} at its end`, good + end] as const),
    ...['.', '\0', '=', 'e'].map(start => [`${JSON.stringify(start)} at its start`, start + good] as const),
    ...['\0', ' ', '\t', '=', '.'].flatMap(junk => [header.length, 3, good.length - 3].map(at => [`${JSON.stringify(junk)} inside`, good.slice(0, at) + junk + good.slice(at)] as const)),
    ['one part', header], ['two parts', `${header}.${payload}`], ['no signature', `${header}.${payload}.`], ['no payload', `${header}..${signature}`], ['no header', `.${payload}.${signature}`],
    ['four parts', `${good}.${signature}`], ['five parts, as encrypted tokens have', `${header}.${payload}.${signature}.${payload}.${signature}`], ['dots', '..'],
    ['a shorter signature', good.slice(0, -1)], ['half of one', good.slice(0, -20)], ['a longer one', `${good}A`], ['another order', `${payload}.${header}.${signature}`],
    ['padding that is signed', resigned(`${header}=`, payload)], ['white space that is signed', resigned(header, `${payload.slice(0, 8)} ${payload.slice(8)}`)],
    ['the other base64 alphabet, signed', resigned(header, Buffer.from('{"sub":"??>>~~"}').toString('base64'))]
  ]
})

testHostile('that differs from a good one in a single character', kind => {
  const good = forged(kind)
  return Array.from(good, (letter, i) => [`character ${i}`, good.slice(0, i) + (letter === 'A' ? 'B' : 'A') + good.slice(i + 1)] as const)
})

testHostile('whose header is no object', kind => [
  ...['', 'x', '{', '[]', 'null', '1', '"HS256"', '{"alg":"HS256"', '\uFEFF{}', '{}{}', JSON.stringify([headerOf(kind)])]
    .map(header => [`header ${header}`, jws(header, claimsOf(kind), keyOf(kind).secret)] as const),
  ['bytes that are no text', `${Buffer.from([0xff, 0xfe, 0x00]).toString('base64url')}.${forged(kind).split('.').slice(1).join('.')}`]
])

testHostile('whose payload is no object', kind => [
  ...['', 'x', '{', '[]', 'null', 'true', '1', '"text"', '\uFEFF{}', '{}{}', '{"sub":', '{}', '9'.repeat(400), '['.repeat(2000)]
    .map(payload => [`payload ${payload.slice(0, 20)}`, forged(kind, { payload })] as const),
  ['an array of good claims', forged(kind, { payload: [claimsOf(kind)] })]
])

testHostile('that is too long', kind => [
  ['one character', padded(kind, 8193)],
  ['64 KiB', padded(kind, 65_536)],
  ['1 MB of claims', forged(kind, { claims: { pad: 'x'.repeat(1e6) } })],
  ['1 MB of header', forged(kind, { header: { pad: 'x'.repeat(1e6) } })],
  ['1 MB of nothing', 'x'.repeat(1e6)],
  ['1 MB of dots', '.'.repeat(1e6)]
])

/** A valid token of exactly this length; base64url needs 4 characters for 3 bytes, so a signed header fills the rest. */
function padded (kind: TokenKind, length: number): string {
  for (let pad = 0; pad < 4; pad++) {
    const rest = length - forged(kind, { header: { pad: '' }, claims: { pad: 'x'.repeat(pad) } }).length
    for (let more = Math.floor(rest * 3 / 4) - 2; more <= rest; more++) {
      const token = forged(kind, { header: { pad: 'x'.repeat(more) }, claims: { pad: 'x'.repeat(pad) } })
      if (token.length === length) return token
      if (token.length > length) break
    }
  }
  throw new Error(`no token has ${length} characters`)
}

t.test('a token of exactly the maximum size is accepted', async t => {
  const { entryPoints } = await entryPointsWithSession(t)
  for (const kind of KINDS) t.equal(await entryPoints[kind](padded(kind, 8192)), 'ok', kind)
})

t.test('a token with the largest claims, issuer, audience and subject is accepted', async t => {
  const claims = { name: 'a'.repeat(4096 - '{"name":""}'.length) }
  const [issuer, audience] = ['i'.repeat(100), 'b'.repeat(900 - 100 - '["",""]'.length)]
  for (const keys of [{}, { keys: [generateKey('RS256', 'a').signs] }]) {
    const users = { findById: (id: string) => ({ id, username: 'ada', passwordHash: null }) }
    const s = await server(t, { users, issuer, audience, ...keys }, {}, () => {}, app => {
      app.post('/enter', async ({ auth }) => await auth.login('s'.repeat(255), { claims }))
    })
    const { access_token: token } = (await s.app.inject({ method: 'POST', url: '/enter' })).json()
    t.equal((await s.app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })).statusCode, 200)
  }
  await t.rejects(server(t, { issuer, audience: `${audience}b` }), { name: 'TypeError', message: /"issuer" and "audience" may have 900 bytes/ })
})

t.test('a token with additional claims is accepted', async t => {
  const { entryPoints } = await entryPointsWithSession(t)
  for (const kind of KINDS) {
    const typ = String(headerOf(kind)['typ'])
    for (const header of [{ typ: typ.toUpperCase() }, { typ: `application/${typ}` }, { typ: `Application/${typ.toUpperCase()}` }, { cty: 'x', jku: 'https://evil.example', jwk: {}, x5c: [] }]) {
      t.equal(await entryPoints[kind](forged(kind, { header })), 'ok', JSON.stringify(header))
    }
    t.equal(await entryPoints[kind](forged(kind, { claims: { role: 'admin', nested: { a: [1, null] } } })), 'ok', 'claims of the app')
  }
})

/** JSON values in place of a claim; the text is in the payload unchanged. */
const WRONG_TIMES = ['null', 'true', '""', `"${START}"`, '[]', `[${START}]`, '{}', '-1', `${START}.5`, '1e400', '-1e300', '1e300', '9007199254740992']
const WRONG_NAMES = ['null', 'true', '1', '0', '""', '[]', '["1"]', '{}', '"\\u0000"', '"1\\u0000"', '"\\ud800"']
const CLAIMS: Record<TokenKind, Readonly<Record<string, readonly string[]>>> = {
  access: { sub: [...WRONG_NAMES, `"${'a'.repeat(256)}"`], sid: [...WRONG_NAMES.slice(0, 8), `"${'a'.repeat(65)}"`], jti: [...WRONG_NAMES.slice(0, 8), `"${'a'.repeat(65)}"`], iat: WRONG_TIMES, exp: WRONG_TIMES, auth_time: WRONG_TIMES },
  refresh: { sub: [...WRONG_NAMES, `"${'a'.repeat(256)}"`], sid: [...WRONG_NAMES.slice(0, 8), `"${'a'.repeat(65)}"`], gen: [...WRONG_TIMES, '2147483647'], iat: WRONG_TIMES, exp: WRONG_TIMES, end: WRONG_TIMES, auth_time: WRONG_TIMES }
}

testHostile('in which a claim is missing or of a wrong type', kind => Object.entries(CLAIMS[kind]).flatMap(([name, wrongs]) => {
  const { [name]: _, ...others } = claimsOf(kind)
  const rest = JSON.stringify(others).slice(0, -1)
  return [
    [`no ${name}`, forged(kind, { payload: others })] as const,
    ...wrongs.map(wrong => [`${name} ${wrong.slice(0, 20)}`, forged(kind, { payload: `${rest},"${name}":${wrong}}` })] as const)
  ]
}))

t.test('an access token with an invalid nbf is refused', async t => {
  const { entryPoints: { access } } = await entryPoints(t)
  const rest = JSON.stringify(claimsOf('access')).slice(0, -1)
  for (const wrong of WRONG_TIMES) t.equal(await access(forged('access', { payload: `${rest},"nbf":${wrong}}` })), INVALID.access, wrong)
})

t.test('an access token may be issued in the future by the leeway', async t => {
  const { entryPoints: { access } } = await entryPoints(t)
  for (const [ahead, verdict] of [[0, 'ok'], [5, 'ok'], [6, INVALID.access], [3600, INVALID.access]] as const) {
    t.equal(await access(forged('access', { claims: { nbf: START + ahead } })), verdict, `nbf +${ahead}`)
    t.equal(await access(forged('access', { claims: { iat: START + ahead, exp: START + ahead + 600 } })), verdict, `iat +${ahead}`)
  }
  const { entryPoints: exact } = await entryPoints(t, { accessToken: { leeway: 0 } })
  t.equal(await exact.access(forged('access', { claims: { nbf: START + 1 } })), INVALID.access)
})

t.test('an access token expires exactly at its exp, without leeway', async t => {
  const { entryPoints: { access }, wait } = await entryPoints(t, { accessToken: { leeway: '60s' } })
  const token = forged('access')
  wait(599)
  t.equal(await access(token), 'ok')
  wait(1)
  t.equal(await access(token), 'FST_AUTH_ACCESS_TOKEN_EXPIRED')
})

t.test('times are checked against the clock option only', async t => {
  for (const now of [1_000_000_000, 4_102_444_800]) {
    const { entryPoints: { access, refresh } } = await entryPoints(t, { clock: () => now })
    const claims = { iat: now, nbf: now, exp: now + 600, auth_time: now, end: now + 700 }
    t.equal(await access(forged('access', { claims })), 'ok', String(now))
    t.equal(await refresh(forged('refresh', { claims })), 'FST_AUTH_SESSION_ENDED', 'the session does not exist')
    t.equal(await access(forged('access', { claims: { ...claims, nbf: now + 6 } })), INVALID.access)
  }
})

t.test('a refresh token expires exactly at its exp', async t => {
  const { entryPoints: { refresh }, store, wait } = await entryPoints(t)
  const token = forged('refresh', { claims: { exp: START + 10 } })
  wait(9)
  t.equal(await refresh(token), 'FST_AUTH_SESSION_ENDED', 'the session does not exist')
  wait(1)
  store.calls.length = 0
  t.equal(await refresh(token), 'FST_AUTH_REFRESH_TOKEN_EXPIRED')
  t.strictSame(store.calls, [])
})

t.test('an access token with a lifetime beyond the configured one is refused', async t => {
  const { entryPoints: { access } } = await entryPoints(t)
  for (const seconds of [3601, 86_400, 1e10]) t.equal(await access(forged('access', { claims: { exp: START + seconds } })), INVALID.access, `${seconds} s`)
  for (const exp of [START, START - 1, 0]) t.equal(await access(forged('access', { claims: { exp } })), INVALID.access, 'nor no time')
})

t.test('issuer and audience must match exactly', async t => {
  const { entryPoints: { access } } = await entryPoints(t, { issuer: 'https://us.example', audience: ['api', 'web'] })
  const send = async (claims: object): Promise<string> => await access(forged('access', { claims: { iss: 'https://us.example', aud: 'api', ...claims } }))
  for (const aud of ['api', 'web', ['web'], ['x', 'api']]) t.equal(await send({ aud }), 'ok', JSON.stringify(aud))
  for (const aud of [undefined, null, '', 'ap', 'API', [], ['x'], [['api']], { api: 1 }, 'api web']) t.equal(await send({ aud }), INVALID.access, JSON.stringify(aud))
  for (const iss of [undefined, null, '', 'https://us.example/', 'HTTPS://us.example', ['https://us.example'], ['https://us.example', 'evil'], {}]) t.equal(await send({ iss }), INVALID.access, JSON.stringify(iss))
})

t.test('without a configured audience a token for another service is refused', async t => {
  const { entryPoints: { access } } = await entryPoints(t)
  for (const aud of ['api', ['api', 'web'], null]) t.equal(await access(forged('access', { claims: { aud } })), INVALID.access, JSON.stringify(aud))
  t.equal(await access(forged('access')), 'ok')
})

t.test('issued tokens have the documented header and claims, and their own jti', async t => {
  const { browser } = await server(t, { issuer: 'us', audience: 'api' })
  const ada = browser()
  await ada.signup('ada')
  t.strictSame(joseHeaderOf(ada.accessToken), headerOf('access'))
  t.strictSame(joseHeaderOf(ada.cookie()), headerOf('refresh'))
  t.strictSame(Object.keys(payloadOf(ada.accessToken)).sort(), ['aud', 'auth_time', 'exp', 'iat', 'iss', 'jti', 'sid', 'sub'])
  t.strictSame(Object.keys(payloadOf(ada.cookie())).sort(), ['auth_time', 'end', 'exp', 'gen', 'iat', 'sid', 'sub'])
})

t.test('algorithm confusion: every algorithm signs and verifies, and accepts no token of another', async t => {
  for (const algorithm of ['HS256', 'HS384', 'HS512'] as const) {
    const { browser, entryPoints: { access } } = await entryPoints(t, { accessToken: { algorithm } })
    const bob = browser()
    await bob.signup('bob')
    t.equal(await access(String(bob.accessToken)), 'ok', algorithm)
    for (const wrong of (['HS256', 'HS384', 'HS512'] as const).filter(name => name !== algorithm)) {
      const key = keyOf('access', SECRET, wrong)
      t.equal(await access(jws(headerOf('access', key), claimsOf('access'), key.secret, wrong)), INVALID.access, `${wrong} at ${algorithm}`)
    }
  }
})

t.test('denial of service: of many cookies with our name only those that look like our tokens are decoded', async t => {
  const s = await loggedIn(t)
  const parse = t.capture(JSON, 'parse', JSON.parse)
  const values = ['x', '....', 'a.b.c', 'eyJ.eyJ.eyJ', `${SECRET}.${SECRET}.${SECRET}`, `${s.ada.cookie()}A`, `${s.ada.cookie()}.`]
  const header = Array.from({ length: 20 }, (_, n) => values.map(value => `${COOKIE}=${value}${n}`)).flat().join('; ')
  const answer = await s.app.inject({ method: 'POST', url: '/auth/refresh', headers: { host: HOST, cookie: header } })
  t.strictSame(parse().map(({ args: [text] }) => text).filter(text => !text.startsWith('{"statusCode"')), [], 'only the refusal itself, for its hint')
  t.equal(answer.json().code, INVALID.refresh)
  t.equal((await s.app.inject({ method: 'POST', url: '/auth/refresh', headers: { host: HOST, cookie: `${header}; ${COOKIE}=${s.ada.cookie()}` } })).statusCode, 200)
})

t.test('key rotation: with a new secret before the old one', async t => {
  /** Ada logged in with the old secret only; then the same sessions with other secrets. */
  async function afterChange (t: Test, secret: string[]): Promise<EntryPoints & { old: Record<TokenKind, string> }> {
    const before = await entryPoints(t, { secret: OLD })
    const ada = before.browser()
    await ada.signup('eve')
    const { clock, users, store, wait } = before
    const after = await entryPoints(t, { secret, clock, users, store })
    return { ...after, wait, store, old: { access: String(ada.accessToken), refresh: String(ada.cookie()) } }
  }

  t.test('tokens of the old one verify', async t => {
    const { entryPoints, old } = await afterChange(t, [NEW, OLD])
    for (const kind of KINDS) t.equal(await entryPoints[kind](old[kind]), 'ok', kind)
  })

  t.test('the new one signs', async t => {
    const { app, old, wait } = await afterChange(t, [NEW, OLD])
    wait('1m')
    const answer = await app.inject({ method: 'POST', url: '/auth/refresh', headers: { host: HOST, cookie: `${COOKIE}=${old.refresh}` } })
    t.ok(answer.json().access_token.startsWith(jws(headerOf('access', keyOf('access', NEW)), {}, '').split('.')[0]))
    t.match(setCookies(answer)[0], `${COOKIE}=${jws(headerOf('refresh', keyOf('refresh', NEW)), {}, '').split('.')[0]}.`)
  })

  t.test('a token of one with the kid of the other is refused', async t => {
    const { entryPoints } = await afterChange(t, [NEW, OLD])
    for (const kind of KINDS) {
      for (const [named, used] of [[NEW, OLD], [OLD, NEW]] as const) {
        t.equal(await entryPoints[kind](jws(headerOf(kind, keyOf(kind, named)), claimsOf(kind), keyOf(kind, used).secret)), INVALID[kind])
      }
    }
  })

  t.test('removing the old one invalidates its tokens', async t => {
    const { entryPoints, old, store } = await afterChange(t, [NEW])
    store.calls.length = 0
    for (const kind of KINDS) t.equal(await entryPoints[kind](old[kind]), INVALID[kind], kind)
    t.strictSame(store.calls, [])
  })

  t.test('only tokens of the new one can heal a session', async t => {
    for (const [secret, verdict] of [[NEW, 'ok'], [OLD, 'FST_AUTH_REFRESH_TOKEN_REUSED']] as const) {
      const { entryPoints: { refresh }, browser, clock } = await entryPoints(t, { secret: [NEW, OLD] })
      const ada = browser()
      await ada.signup('eve')
      const claims = { ...payloadOf(ada.cookie()), gen: 1, iat: clock() }
      t.equal(await refresh(jws(headerOf('refresh', keyOf('refresh', secret)), claims, keyOf('refresh', secret).secret)), verdict)
      t.equal(typeof sessionOf(ada), 'string')
    }
  })
})

t.test('a separate secret of refresh tokens does not affect access tokens', async t => {
  const { entryPoints } = await entryPointsWithSession(t, { secret: OLD, refreshToken: { secret: NEW } })
  t.equal(await entryPoints.access(forged('access')), 'ok')
  t.equal(await entryPoints.refresh(forged('refresh')), INVALID.refresh)
  t.equal(await entryPoints.refresh(jws(headerOf('refresh', keyOf('refresh', NEW)), claimsOf('refresh'), keyOf('refresh', NEW).secret)), 'ok')
})
