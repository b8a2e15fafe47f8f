import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { authenticateStrict, type RefreshCookieOptions } from '../lib/index.js'
import { type Algorithm } from '../lib/keys/ring.js'
import verifier, { authenticate, authenticateOptional, requireFreshLogin, verifier as named, type AuditEvent, type KeyOptions, type VerifierOptions } from '../lib/verifier.js'
import { exactly } from './support/exactly.js'
import { generateKey, type TestKey } from './support/keys.js'
import { COOKIE, SECRET, server, testClock, type Answer, type TestClock, type TestServer } from './support/server.js'

const ONE = generateKey('ES256', 'one')
const TWO = generateKey('EdDSA', 'two')

interface Verifier {
  readonly app: FastifyInstance
  readonly clock: TestClock
  readonly events: AuditEvent[]
  readonly warnings: string[]
  /** Sends a request with a token. Resolves to 'ok', or to the status and the code. */
  send (token: string | null): Promise<string>
}

/** A service that has no secret, no store and no users. */
async function verifying (t: Test, options: VerifierOptions, clock = testClock()): Promise<Verifier> {
  const events: AuditEvent[] = []
  const warnings: string[] = []
  const stream = { write (line: string) { const { level, msg } = JSON.parse(line); if (level >= 40) warnings.push(msg) } }
  const app = Fastify({ logger: { level: 'warn', stream } })
  await app.register(verifier, { clock, onEvent (event) { events.push(event) }, ...options })
  app.get('/orders', { onRequest: authenticate }, async ({ auth }) => ({ of: auth.claims.sub }))
  app.get('/maybe', { onRequest: authenticateOptional }, async ({ auth }) => ({ of: auth.claimsOrNull?.sub ?? null }))
  app.get('/fresh', { onRequest: requireFreshLogin('5m') }, async () => ({}))
  app.get('/aliases', { onRequest: [app.authenticate, app.authenticateOptional, app.requireFreshLogin('5m')] }, async ({ auth }) => ({ of: auth.claims.sub }))
  app.get('/awaited', async ({ auth }) => ({ of: (await auth.authenticate()).sub }))
  app.get('/verbs', async ({ auth }) => ['login', 'refresh', 'logout', 'sessions', 'revokeSession', 'revokeOtherSessions'].filter(verb => verb in auth).concat(Reflect.get(auth, 'claimedSession') ?? []))
  t.teardown(async () => await app.close())
  await app.ready()
  const send = async (token: string | null): Promise<string> => {
    const answer = await app.inject({ url: '/orders', headers: token === null ? {} : { authorization: `Bearer ${token}` } })
    return verdictOf(answer)
  }
  return { app, clock, events, warnings, send }
}

function verdictOf (answer: Answer): string {
  return answer.statusCode === 200 ? 'ok' : `${answer.statusCode} ${answer.json().code}`
}

/** The service that signs, with somebody logged in. */
async function issuer (t: Test, keys: RefreshCookieOptions['keys'], options: RefreshCookieOptions = {}): Promise<TestServer & { token (): Promise<string> }> {
  const s = await server(t, { keys, ...options })
  const ada = s.browser()
  await ada.signup('ada')
  return {
    ...s,
    async token () {
      await ada.refresh()
      return String(ada.accessToken)
    }
  }
}

/** A key set on a loopback address, and the number of requests for it. */
async function jwksAt (t: Test, listener: RequestListener): Promise<{ url: string, asked: () => number }> {
  let count = 0
  const http = createServer((request, response) => { count++; listener(request, response) })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => { http.closeAllConnections(); http.close() })
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/auth/jwks`, asked: () => count }
}

/** Answers with the reply of `GET /auth/jwks` of an app. */
function answering (app: () => FastifyInstance): RequestListener {
  return (_request, response) => {
    app().inject({ url: '/auth/jwks' }).then(({ statusCode, payload }) => response.writeHead(statusCode, { 'content-type': 'application/json' }).end(payload), () => response.destroy())
  }
}

t.test('a service with only public keys verifies tokens of another service', async t => {
  const { token, wait } = await issuer(t, [ONE.signs])
  const { app, clock, send } = await verifying(t, { keys: [ONE.verifies] })
  t.equal(await send(await token()), 'ok')
  t.equal(await send(null), '401 FST_AUTH_ACCESS_TOKEN_MISSING')
  t.equal(await send('x'), '401 FST_AUTH_ACCESS_TOKEN_INVALID')
  const headers = { authorization: `Bearer ${await token()}` }
  for (const url of ['/maybe', '/aliases', '/awaited']) t.strictSame((await app.inject({ url, headers })).json(), { of: '1' }, url)
  t.strictSame((await app.inject({ url: '/maybe' })).json(), { of: null })
  for (const url of ['/aliases', '/awaited']) t.match((await app.inject({ url })).json(), { code: 'FST_AUTH_ACCESS_TOKEN_MISSING' }, url)
  t.equal((await app.inject({ url: '/fresh', headers })).statusCode, 200)
  wait('6m')
  clock.wait('6m')
  t.match((await app.inject({ url: '/fresh', headers: { authorization: `Bearer ${await token()}` } })).json(), { code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })
})

t.test('app.verifyAccessToken accepts and refuses the same tokens as the hooks', async t => {
  const { token } = await issuer(t, [ONE.signs])
  const { app, clock, events } = await verifying(t, { keys: [ONE.verifies] })
  const good = await token()
  t.match(await app.verifyAccessToken(good), { sub: '1' })
  for (const bad of ['', 'x', `Bearer ${good}`]) await t.rejects(app.verifyAccessToken(bad), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID', statusCode: 401 })
  for (const none of [undefined, null, 1]) await t.rejects(app.verifyAccessToken(none as never), { code: 'FST_AUTH_ACCESS_TOKEN_MISSING' }, 'as called from JavaScript')
  clock.wait('10m')
  await t.rejects(app.verifyAccessToken(good), { code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  t.strictSame(new Set(events.map(({ type }) => type)), new Set(['access_token_refused']))
})

t.test('claims are checked as in the service that signs', async t => {
  const options = { issuer: 'https://login.example', audience: 'orders' }
  const { token } = await issuer(t, [ONE.signs], options)
  for (const [judge, verdict] of [[options, 'ok'], [{ issuer: 'https://other.example' }, '401 FST_AUTH_ACCESS_TOKEN_INVALID'], [{ audience: ['invoices'] }, '401 FST_AUTH_ACCESS_TOKEN_INVALID']] as const) {
    const { send } = await verifying(t, { keys: [ONE.verifies], ...judge })
    t.equal(await send(await token()), verdict, JSON.stringify(judge))
  }
  const { send, clock } = await verifying(t, { keys: [ONE.verifies], ...options })
  const old = await token()
  clock.wait('10m')
  t.equal(await send(old), '401 FST_AUTH_ACCESS_TOKEN_EXPIRED')
})

t.test('token confusion: without a configured audience a token for another service is refused', async t => {
  const { token } = await issuer(t, [ONE.signs], { audience: 'invoices' })
  const { send } = await verifying(t, { keys: [ONE.verifies] })
  t.equal(await send(await token()), '401 FST_AUTH_ACCESS_TOKEN_INVALID')
})

t.test('a verifier has no routes, cookies or sessions', async t => {
  const { token } = await issuer(t, [ONE.signs])
  const { app } = await verifying(t, { keys: [ONE.verifies] })
  for (const [method, url] of [['POST', '/auth/login'], ['POST', '/auth/refresh'], ['POST', '/auth/logout'], ['GET', '/auth/jwks']] as const) t.equal((await app.inject({ method, url })).statusCode, 404, url)
  for (const name of ['sessions', 'passwords']) t.notOk(app.hasDecorator(name), name)
  const answer = await app.inject({ url: '/verbs', headers: { cookie: `${COOKIE}=x`, authorization: `Bearer ${await token()}` } })
  t.strictSame(answer.json(), [])
  t.equal(answer.headers['set-cookie'], undefined)
  for (const name of ['@fastify/cookie', '@fastify/jwt']) t.notOk(app.hasPlugin(name), name)
})

t.test('broken access control: a strict hook needs sessions, so the start stops and no request is accepted', async t => {
  const app = Fastify()
  t.teardown(async () => await app.close())
  app.get('/before', { onRequest: authenticateStrict }, async () => ({}))
  await app.register(verifier, { keys: [ONE.verifies], clock: testClock() })
  const message = /authenticateStrict needs the session store/
  for (const onRequest of [app.authenticateStrict, authenticateStrict]) t.throws(() => app.get('/', { onRequest }, async () => ({})), { name: 'TypeError', message })
  const { token } = await issuer(t, [ONE.signs])
  t.match((await app.inject('/before')).json(), { statusCode: 500, message })
  t.match((await app.inject({ url: '/before', headers: { authorization: `Bearer ${await token()}` } })).json(), { statusCode: 500, message })
})

t.test('options for sessions are unknown', async t => {
  const NEEDLESS: RefreshCookieOptions[] = [
    { secret: SECRET }, { users: {} }, { refreshToken: { secret: SECRET } }, { cookie: {} }, { prefix: '/login' }, { routes: { jwks: '/keys' } }, { trustedOrigins: [] },
    { revocation: 'refresh' }, { rateLimit: false }, { passwords: {} }, { sessions: {} }, { accounts: {} }
  ]
  for (const needless of NEEDLESS) {
    const name = Object.keys(needless).join()
    const options: object = { keys: [ONE.verifies], ...needless }
    await t.rejects(async () => await Fastify().register(verifier, options), { name: 'TypeError', message: new RegExp(`^unknown option "${name}"`) }, name)
  }
})

t.test('privilege: a signing key is refused, since a verifier must not be able to make tokens', async t => {
  for (const keys of [[ONE.signs], [ONE.verifies, TWO.signs], () => [ONE.signs]]) {
    await t.rejects(async () => await Fastify().register(verifier, { keys }), { name: 'TypeError', message: /^option "keys" has a key with use: 'sign'.*use: 'verify'/ })
  }
  let keys: readonly KeyOptions[] = [ONE.verifies]
  const { app } = await verifying(t, { keys: () => keys })
  keys = [TWO.signs, ONE.verifies]
  await t.rejects(app.reloadKeys(), 'nor later')
})

t.test('a key function that fails stops the start', async t => {
  await t.rejects(async () => await Fastify().register(verifier, { keys: () => { throw new Error('no such file') } }), { message: /no such file/ })
})

t.test('the main plugin needs a signing key, and its error names the verifier', async t => {
  for (const keys of [[ONE.verifies], () => [ONE.verifies]]) {
    await t.rejects(async () => await Fastify().register(refreshCookie, { secret: SECRET, keys }), { name: 'TypeError', message: /^option "keys" has no key with use: 'sign'.*fastify-refresh-cookie\/verifier/ })
  }
  await t.rejects(async () => await Fastify().register(refreshCookie, { keys: [ONE.signs] }), { name: 'TypeError', message: /^option "refreshToken.secret" is missing/ })
  const app = Fastify()
  t.teardown(async () => await app.close())
  await app.register(refreshCookie, { keys: [ONE.signs], refreshToken: { secret: SECRET } })
})

t.test('only one registration per context, and none beside the main plugin', async t => {
  const both = [[verifier, { keys: [ONE.verifies] }], [refreshCookie, { secret: SECRET }]] as const
  for (const [plugin, options] of both) {
    const app = Fastify()
    await app.register(named, { keys: [ONE.verifies] })
    await t.rejects(async () => await app.register(plugin as typeof verifier, options as object), { message: /registered twice in one context/ })
  }
})

t.test('key rotation: with a URL it follows the keys of the service that signs', async t => {
  let keys: readonly KeyOptions[] = [ONE.signs]
  const s = await issuer(t, () => keys, { reloadKeysEvery: '5m' })
  const { url, asked } = await jwksAt(t, answering(() => s.app))
  const { send, events } = await verifying(t, { jwks: url }, s.clock)
  t.equal(await send(await s.token()), 'ok')

  keys = [TWO.signs, ONE.verifies]
  await s.app.reloadKeys()
  for (let reload = 0; reload < 2; reload++) { // no cache of the key set is without the new key by then
    s.wait('5m')
    await s.app.reloadKeys()
  }
  t.equal(asked(), 1)
  t.equal(await send(await s.token()), 'ok', 'a token of the new key waits until that is there')
  t.equal(asked(), 2)
  t.match(events, exactly({ type: 'keys_changed', kind: 'access', signing: null, kids: exactly('two', 'one') }))
})

t.test('denial of service: unknown keys are looked up once in ten seconds', async t => {
  const s = await issuer(t, [ONE.signs])
  const stranger = await issuer(t, [generateKey('ES256', 'stranger').signs])
  const { url, asked } = await jwksAt(t, answering(() => s.app))
  const { send } = await verifying(t, { jwks: url }, s.clock)
  const foreign = await stranger.token()
  const verdicts = await Promise.all(Array.from({ length: 50 }, async () => await send(foreign)))
  t.strictSame(new Set(verdicts), new Set(['401 FST_AUTH_ACCESS_TOKEN_INVALID']))
  for (let i = 0; i < 20; i++) await send(foreign)
  t.equal(asked(), 2, 'at the start, and once')
  s.wait(10)
  await send(foreign)
  t.equal(asked(), 3)
  for (const token of ['x', 'x.y.z', `${foreign}.`, `e30.${foreign.split('.').slice(1).join('.')}`]) t.equal(await send(token), '401 FST_AUTH_ACCESS_TOKEN_INVALID')
  t.equal(asked(), 3, 'a token without kid causes no reload')
})

t.test('an outage of the key set leaves known keys in use', async t => {
  const s = await issuer(t, [ONE.signs])
  let away = false
  const { url } = await jwksAt(t, (request, response) => away ? response.destroy() : answering(() => s.app)(request, response))
  const { app, send, events, warnings } = await verifying(t, { jwks: url }, s.clock)
  away = true
  await t.rejects(app.reloadKeys())
  t.equal(await send(await s.token()), 'ok')
  t.match(events, exactly({ type: 'keys_reload_failed' }))
  t.strictSame(warnings, ['auth: reloading the keys failed: the old ones stay in use', 'auth: keys_reload_failed'])
})

t.test('a start during an outage of the key set answers 503 until there are keys', async t => {
  const s = await issuer(t, [ONE.signs])
  let away = true
  const { url } = await jwksAt(t, (request, response) => away ? response.destroy() : answering(() => s.app)(request, response))
  const { send, warnings } = await verifying(t, { jwks: url }, s.clock)
  t.match(warnings, exactly(/cannot be read at start/))
  t.equal(await send(await s.token()), '503 FST_AUTH_STORE_UNAVAILABLE', 'it is unknown whether the token is valid')
  t.equal(await send(null), '401 FST_AUTH_ACCESS_TOKEN_MISSING')
  away = false
  s.wait(10)
  t.equal(await send(await s.token()), 'ok')
})

t.test('keys are reloaded periodically', async t => {
  const s = await issuer(t, [ONE.signs])
  const { url, asked } = await jwksAt(t, answering(() => s.app))
  const { app } = await verifying(t, { jwks: url, reloadKeysEvery: 1 }, s.clock)
  const end = performance.now() + 10_000
  while (asked() < 3 && performance.now() < end) await new Promise(resolve => setTimeout(resolve, 50))
  t.ok(asked() >= 3, `asked ${asked()} times`)
  await app.close()
})

/** A valid key, beside which an untrusted service may publish others. */
const GOOD = { kid: 'one', alg: 'ES256', use: 'sig', ...jwkOf(ONE) }

function jwkOf ({ verifies }: TestKey): object {
  return createPublicKey(String(verifies.publicKey)).export({ format: 'jwk' })
}

t.test('of a key set only strong public signature keys of supported algorithms are used', async t => {
  const s = await issuer(t, [ONE.signs])
  const OTHERS: unknown[] = [
    null, 1, 'x', {}, { kid: 'a' }, { kid: 1, alg: 'ES256' }, { kid: 'b', alg: 'ES256', kty: 'EC' }, { ...GOOD, kid: 'c', alg: 'ES384' }, { ...GOOD, kid: 'd', use: 'enc' }, { ...GOOD, kid: 'e', y: 'AA' },
    { kid: 'f', alg: 'HS256', kty: 'oct', k: Buffer.alloc(32, SECRET).toString('base64url') }, { ...GOOD, kid: 'g', d: 'AAAA' }, { ...GOOD, kid: 'h', alg: 'none' }, { ...GOOD, kid: 'i', alg: null }
  ]
  const { url } = await jwksAt(t, (_request, response) => response.end(JSON.stringify({ keys: [...OTHERS, GOOD] })))
  const { app, send, events } = await verifying(t, { jwks: url }, s.clock)
  t.equal(await send(await s.token()), 'ok')
  await app.reloadKeys()
  t.strictSame(events, [], 'and nothing has changed')
})

t.test('a key without alg has the algorithm of its type (RFC 7517 section 4.4)', async t => {
  const PLAIN: ReadonlyArray<readonly [Algorithm, VerifierOptions]> = [
    ['ES256', {}], ['EdDSA', {}], ['RS256', {}], ['RS256', { jwksRsaAlgorithm: 'RS256' }], ['PS256', { jwksRsaAlgorithm: 'PS256' }]
  ]
  for (const [algorithm, options] of PLAIN) {
    const key = generateKey(algorithm, 'one')
    const s = await issuer(t, [key.signs])
    const { url } = await jwksAt(t, (_request, response) => response.end(JSON.stringify({ keys: [{ kid: 'one', use: 'sig', ...jwkOf(key) }] })))
    const { send } = await verifying(t, { jwks: url, ...options }, s.clock)
    t.equal(await send(await s.token()), 'ok', `${algorithm} ${JSON.stringify(options)}`)
  }
})

t.test('algorithm confusion: an RSA key without alg verifies tokens of the configured algorithm only', async t => {
  const key = generateKey('PS256', 'one')
  const s = await issuer(t, [key.signs])
  const { url } = await jwksAt(t, (_request, response) => response.end(JSON.stringify({ keys: [{ kid: 'one', ...jwkOf(key) }] })))
  const { send } = await verifying(t, { jwks: url }, s.clock)
  t.equal(await send(await s.token()), '401 FST_AUTH_ACCESS_TOKEN_INVALID')
})

t.test('the log names each skipped key of a set with the reason, and shows no part of it', async t => {
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({ format: 'jwk' })
  const ed448 = generateKeyPairSync('ed448').publicKey.export({ format: 'jwk' })
  const { kid, ...nameless } = GOOD
  const UNFIT: ReadonlyArray<readonly [object, RegExp]> = [
    [nameless, /^key 1 has no kid$/],
    [{ ...GOOD, kid: 'other', alg: 'ES384' }, /^key 2 \(kid other\) has an unsupported alg: use one of RS256, PS256, ES256, EdDSA$/],
    [{ kid: 'weak', ...weak }, /^key 3 \(kid weak\) has 1024 bits and needs at least 2048$/],
    [{ kid: 'curve', ...p384 }, /^key 4 \(kid curve\) has no alg, and its type fits none of RS256, PS256, ES256, EdDSA$/],
    [{ kid: 'curve2', ...ed448 }, /^key 5 \(kid curve2\) has no alg, and its type/],
    [{ ...GOOD, kid: 'enc', use: 'enc' }, /^key 6 \(kid enc\) is a JSON Web Key that is not for signatures$/],
    [{ kid: 'two words', kty: 'oct', k: SECRET }, /^key 7 has no alg, and its type/],
    [{ ...GOOD, kid: 'private', d: SECRET }, /^key 8 \(kid private\) is not a public key$/]
  ]
  const reasons = exactly(...UNFIT.map(([, reason]) => reason))
  const s = await issuer(t, [ONE.signs])
  let keys: object[] = []
  const { url } = await jwksAt(t, (_request, response) => response.end(JSON.stringify({ keys })))
  const lines: string[] = []
  const app = Fastify({ logger: { level: 'info', stream: { write (line: string) { lines.push(line) } } } })
  t.teardown(async () => await app.close())
  const left = () => lines.map(line => JSON.parse(line)).filter(({ msg }) => /are ignored/.test(msg)).map(({ ignored }) => ignored)

  keys = UNFIT.map(([key]) => key)
  await app.register(verifier, { jwks: url, clock: s.clock })
  const [first] = lines.map(line => JSON.parse(line))
  t.match(first, { level: 40, msg: /cannot be read at start/ })
  const [message, ...inError] = String(first.err.message).split('; ')
  t.equal(message, 'the key set holds no key that verifies access tokens')
  t.match(inError, reasons)

  keys = [...keys, GOOD]
  await app.reloadKeys()
  await app.reloadKeys()
  t.match(left(), exactly(reasons), 'once')
  keys = [GOOD]
  await app.reloadKeys()
  t.equal(left().length, 1)
  for (const [count, last] of [[10, ['key 9 has no kid', 'key 10 has no kid']], [12, ['key 10 has no kid', 'and 2 more']]] as const) {
    keys = [...Array.from({ length: count }, () => ({})), GOOD]
    await app.reloadKeys()
    t.strictSame(left().at(-1).slice(-2), last)
  }

  const text = lines.join('')
  for (const material of [SECRET, String(weak.n), String(p384.x), String(ed448.x)]) t.notOk(text.includes(material))
})

t.test('an invalid key set changes nothing', async t => {
  const s = await issuer(t, [ONE.signs])
  const elsewhere = await jwksAt(t, answering(() => s.app))
  const ANSWERS: ReadonlyArray<readonly [what: string, listener: RequestListener, message?: string | RegExp]> = [
    ['no JSON', (_request, response) => response.end('<html>'), 'the response is no JSON'],
    ['nothing', (_request, response) => response.writeHead(204).end(), 'the response is no JSON'],
    ['null', (_request, response) => response.end('null')],
    ['a list', (_request, response) => response.end('[]')],
    ['no keys', (_request, response) => response.end('{"keys":[]}')],
    ['keys that are no list', (_request, response) => response.end('{"keys":{}}')],
    ['one kid twice', (_request, response) => response.end(JSON.stringify({ keys: [GOOD, GOOD] }))],
    ['another status', (_request, response) => response.writeHead(500).end(JSON.stringify({ keys: [GOOD] })), /^http:\/\/127\.0\.0\.1:\d+\/[\w/]* answered 500$/],
    ['a redirect', (_request, response) => response.writeHead(302, { location: elsewhere.url }).end()],
    ['too much', (_request, response) => response.end(JSON.stringify({ keys: [GOOD], pad: 'x'.repeat(65_536) }))],
    ['an end without end', (_request, response) => { response.write('{'); setInterval(() => response.write(' '), 100).unref() }]
  ]
  const before = elsewhere.asked()
  for (const [what, listener, message] of ANSWERS) {
    let wrong = false
    const { url } = await jwksAt(t, (request, response) => wrong ? listener(request, response) : response.end(JSON.stringify({ keys: [GOOD] })))
    const { app, send } = await verifying(t, { jwks: url, timeouts: { call: 1 } }, s.clock)
    wrong = true
    await t.rejects(app.reloadKeys(), { message: message ?? /./ }, what)
    t.equal(await send(await s.token()), 'ok', what)
  }
  t.equal(elsewhere.asked(), before, 'and no redirect was followed')
})
