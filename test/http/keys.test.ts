import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import refreshCookie, { memoryStore, type Duration, type KeyOptions, type RefreshCookieOptions } from '../../lib/index.js'
import { claimsOf, jws } from '../tokens/forge.js'
import { exactly } from '../support/exactly.js'
import { ALGORITHMS, generateKey, generatePair } from '../support/keys.js'
import { COOKIE, forget, joseHeaderOf, loggedIn, payloadOf, SECRET, server, setCookies, testClock, userTable, type Answer, type Browser, type TestServer } from '../support/server.js'

const OLD = generateKey('ES256', 'old')
const NEW = generateKey('EdDSA', 'new')
const OLD_SECRET = SECRET
const NEW_SECRET = 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x'

/** The Cookie header of a browser after a reply. */
function cookieOf (answer: Answer): string {
  const [pair = ''] = setCookies(answer)
  return pair.slice(0, pair.indexOf(';'))
}

/** The status of a request with an access token. */
async function me ({ app }: Pick<TestServer, 'app'>, token: string | null): Promise<number> {
  return (await app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })).statusCode
}

t.test('every algorithm signs and verifies with the key of the app', async t => {
  for (const algorithm of ALGORITHMS) {
    const { ada } = await loggedIn(t, { keys: [generateKey(algorithm, 'k1').signs] })
    t.strictSame(joseHeaderOf(ada.accessToken), { alg: algorithm, typ: 'at+jwt', kid: 'k1' })
    t.equal((await ada.get('/me')).statusCode, 200, algorithm)
    t.match(joseHeaderOf(ada.cookie()), { alg: 'HS256', typ: 'rt+jwt' }, 'refresh tokens are our own')
  }
})

t.test('one key signs and several verify, each only its own tokens', async t => {
  const keys = ALGORITHMS.map(algorithm => generateKey(algorithm, algorithm))
  const rings = keys.map((_key, signing) => keys.map(({ signs, verifies }, i) => i === signing ? signs : verifies))
  const tokens: Array<string | null> = []
  for (const keys of rings) tokens.push((await loggedIn(t, { keys })).ada.accessToken)
  const [keysOfOne = []] = rings
  const s = await server(t, { keys: keysOfOne })
  for (const token of tokens) {
    t.equal(await me(s, token), 200, String(joseHeaderOf(token)['alg']))
    const [, payload, signature] = String(token).split('.')
    for (const kid of ALGORITHMS.filter(other => other !== joseHeaderOf(token)['kid'])) {
      for (const alg of [kid, joseHeaderOf(token)['alg']]) {
        const header = Buffer.from(JSON.stringify({ ...joseHeaderOf(token), alg, kid })).toString('base64url')
        t.equal(await me(s, `${header}.${payload}.${signature}`), 401, `as ${kid} and ${alg}`)
      }
    }
  }
})

t.test('a token without kid is refused unless one key has withoutKid', async t => {
  const key = generatePair('EdDSA')
  const ring: KeyOptions = { kid: 'partner', algorithm: 'EdDSA', use: 'verify', publicKey: key.publicKey }
  const signed = (header: object): string => {
    const text = [header, claimsOf('access')].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    return `${text}.${sign(null, Buffer.from(text), key.privateKey).toString('base64url')}`
  }
  for (const withoutKid of [true, false, undefined]) {
    const s = await server(t, { keys: [OLD.signs, { ...ring, withoutKid }] })
    t.equal(await me(s, signed({ alg: 'EdDSA', typ: 'at+jwt' })), withoutKid === true ? 200 : 401)
    t.equal(await me(s, signed({ alg: 'EdDSA', typ: 'at+jwt', kid: 'partner' })), 200)
    for (const kid of [null, '', 'other', ['partner']]) t.equal(await me(s, signed({ alg: 'EdDSA', typ: 'at+jwt', kid })), 401, JSON.stringify(kid))
    t.equal(await me(s, signed({ alg: 'ES256', typ: 'at+jwt' })), 401, 'another algorithm')
  }
})

t.test('a key function that fails, or gives an invalid key ring, stops the start with the reason', async t => {
  for (const name of ['keys', 'secret']) {
    const start = async (): Promise<unknown> => await Fastify().register(refreshCookie, { secret: SECRET, [name]: async () => { throw new Error('the vault is sealed') } })
    await t.rejects(start(), { message: 'the vault is sealed' }, name)
  }
  await t.rejects(async () => await Fastify().register(refreshCookie, { secret: SECRET, keys: () => [OLD.verifies] }), { name: 'TypeError', message: /"keys"/ })
})

t.test('GET /jwks publishes public keys and nothing else', async t => {
  const keys = ALGORITHMS.map((algorithm, i) => generateKey(algorithm, `k${i}`)).map(({ signs, verifies }, i) => i === 3 ? signs : verifies)
  const { app } = await server(t, { keys })
  const answer = await app.inject({ url: '/auth/jwks' })
  t.match(answer, { statusCode: 200, headers: { 'cache-control': 'public, max-age=300', 'content-type': 'application/json; charset=utf-8' } })
  t.equal(answer.headers['pragma'], undefined)
  const published = answer.json().keys
  t.strictSame(published.map(({ kid, alg, use, kty }: Record<string, string>) => [kid, alg, use, kty]), [
    ['k3', 'RS256', 'sig', 'RSA'], ['k4', 'PS256', 'sig', 'RSA'], ['k5', 'ES256', 'sig', 'EC'], ['k6', 'EdDSA', 'sig', 'OKP']
  ])
  t.strictSame([...new Set(published.flatMap(Object.keys))].sort(), ['alg', 'crv', 'e', 'kid', 'kty', 'n', 'use', 'x', 'y'])
  for (const [i, jwk] of published.entries()) {
    const { privateKey, publicKey } = keys[i + 3] ?? {}
    t.ok(createPublicKey({ key: jwk, format: 'jwk' }).equals(createPublicKey(privateKey === undefined ? String(publicKey) : createPrivateKey(String(privateKey)))))
  }
})

t.test('GET /jwks exists if keys are public, or can become so by a reload', async t => {
  const hmac = generateKey('HS256', 'k1').signs
  const CASES: ReadonlyArray<readonly [options: RefreshCookieOptions, url: string, status: number]> = [
    [{}, '/auth/jwks', 404],
    [{ keys: [hmac] }, '/auth/jwks', 404],
    [{ keys: () => [hmac] }, '/auth/jwks', 200],
    [{ keys: [OLD.signs] }, '/auth/jwks', 200],
    [{ keys: [OLD.signs], routes: { jwks: '/keys' } }, '/auth/keys', 200],
    [{ keys: [OLD.signs], routes: { jwks: false } }, '/auth/jwks', 404]
  ]
  for (const [options, url, status] of CASES) t.equal((await (await server(t, options)).app.inject({ url })).statusCode, status)
  const { app } = await server(t, { keys: () => [hmac], reloadKeysEvery: '1m' })
  t.match(await app.inject({ url: '/auth/jwks' }), { payload: '{"keys":[]}', headers: { 'cache-control': 'public, max-age=60' } }, 'kept no longer than a new key takes to sign')
  const rarely = await server(t, { keys: () => [hmac], reloadKeysEvery: '1h' })
  t.match(await rarely.app.inject({ url: '/auth/jwks' }), { headers: { 'cache-control': 'public, max-age=300' } }, 'and at most five minutes')
})

/** Two instances of an app, whose keys the test can change. */
async function twoInstances (t: Test): Promise<{ keys: KeyOptions[], secrets: string[], instances: readonly [TestServer, TestServer], start: () => Promise<TestServer> }> {
  const clock = testClock()
  const users = userTable()
  const store = memoryStore({ clock })
  const self: { keys: KeyOptions[], secrets: string[] } = { keys: [OLD.signs], secrets: [OLD_SECRET] }
  const options: RefreshCookieOptions = { clock, users, store, keys: () => self.keys, secret: async () => self.secrets, reloadKeysEvery: '5m', timeouts: { call: '1m', request: '1m' }, routes: { verify: '/verify' }, refreshToken: { renewWithAccessToken: true }, sessions: { maxPerUser: false } }
  const enter = (app: FastifyInstance): void => {
    app.post('/enter', async ({ auth }) => await auth.login('1'))
    app.get('/strict', { onRequest: app.authenticateStrict }, async () => ({}))
  }
  await users.create({ username: 'ada', passwordHash: 'x' })
  const start = async (): Promise<TestServer> => ({ ...await server(t, options, {}, enter), clock, wait: clock.wait })
  return Object.assign(self, { instances: [await start(), await start()] as const, start })
}

t.test('key rotation: keys and secrets change while two instances serve a thousand sessions, and no request fails', async t => {
  const s = await twoInstances(t)
  const [one, two] = s.instances
  const people: Browser[] = []
  for (let i = 0; i < 1000; i++) {
    const browser = one.browser()
    const answer = await browser.send({ method: 'POST', url: '/enter' })
    browser.accessToken = answer.json().access_token
    people.push(browser)
  }
  const statuses = new Map<number, number>()
  const signedBy = new Set<unknown>()

  let round = 0

  /** All users authenticate and refresh at the instance that did not sign their tokens, fifty at a time. */
  async function everybody (): Promise<void> {
    round++
    const waiting = people.entries()
    await Promise.all(Array.from({ length: 50 }, async () => {
      for (const [i, browser] of waiting) await use(browser, i)
    }))
  }

  async function use (browser: Browser, i: number): Promise<void> {
    const { app } = (i + round) % 2 === 0 ? one : two
    for (const answer of [
      await app.inject({ url: '/me', headers: { authorization: `Bearer ${browser.accessToken}` } }),
      await app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: browser.jar.header('/auth/refresh') } })
    ]) {
      statuses.set(answer.statusCode, (statuses.get(answer.statusCode) ?? 0) + 1)
      if (answer.statusCode !== 200 || answer.json().access_token === undefined) continue
      browser.jar.store(answer.headers['set-cookie'])
      browser.accessToken = answer.json().access_token
      signedBy.add(joseHeaderOf(browser.accessToken)['kid'])
    }
  }

  // Each instance reloads at its own time, during requests.
  const STEPS: ReadonlyArray<readonly [wait: Duration, reads: TestServer | null, keys?: KeyOptions[], secrets?: string[]]> = [
    ['1m', one, [NEW.signs, OLD.verifies], [NEW_SECRET, OLD_SECRET]],
    ['1m', null],
    ['1m', null],
    ['1m', two],
    ['2m', one],
    ['1m', null],
    ['2m', two],
    ['3m', one],
    ['3m', two],
    ['9m', one, [NEW.signs]],
    [0, two]
  ]
  for (const [wait, reads, keys = s.keys, secrets = s.secrets] of STEPS) {
    one.wait(wait)
    Object.assign(s, { keys, secrets })
    await Promise.all([everybody(), reads?.app.reloadKeys()])
  }
  await everybody()
  t.strictSame([...statuses.keys()], [200], JSON.stringify([...statuses]))
  t.strictSame([...signedBy], ['old', 'new'])
  t.comment(`${statuses.get(200)} answers, all of them 200`)
  for (const { events } of s.instances) {
    t.strictSame(events.filter(({ type }) => type.startsWith('keys')).map(event => 'kind' in event ? event.kind : event.type), ['access', 'refresh', 'refresh', 'access', 'access'], 'a secret signs after one interval, a key pair once caches have it too')
  }
})

t.test('key compromise: removing a leaked secret logs everybody out', async t => {
  let secrets = [OLD_SECRET]
  const { ada, app } = await loggedIn(t, { secret: () => secrets })
  t.equal((await ada.get('/me')).statusCode, 200)
  secrets = [NEW_SECRET]
  await app.reloadKeys()
  t.match((await ada.get('/me')).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  t.match((await ada.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
  t.equal((await ada.login('ada')).statusCode, 200)
})

t.test('cache confusion, key compromise: removing a leaked access key stops its cached tokens, and costs each client one refresh', async t => {
  let keys = [OLD.signs]
  const { ada, app } = await loggedIn(t, { keys: () => keys })
  for (let use = 1; use <= 3; use++) t.equal((await ada.get('/me')).statusCode, 200, 'the second use stores it in the cache')
  keys = [NEW.signs]
  await app.reloadKeys()
  t.equal((await ada.get('/me')).statusCode, 401)
  t.equal((await ada.refresh()).statusCode, 200)
  t.equal((await ada.get('/me')).statusCode, 200)
})

t.test('key rotation: a token of a key that another instance has loaded waits until the key is loaded here', async t => {
  const WAYS: Record<string, (token: string) => InjectOptions> = {
    'a protected route': token => ({ url: '/me', headers: { authorization: `Bearer ${token}` } }),
    'a strict route': token => ({ url: '/strict', headers: { authorization: `Bearer ${token}` } }),
    'the verify route': token => ({ method: 'POST', url: '/auth/verify', payload: { token } }),
    'a refresh without a cookie': token => ({ method: 'POST', url: '/auth/refresh', headers: { authorization: `Bearer ${token}` } })
  }
  for (const [way, request] of Object.entries(WAYS)) {
    const s = await twoInstances(t)
    const [one, two] = s.instances
    s.keys = [NEW.signs]
    await one.app.reloadKeys()
    const { access_token: token } = (await one.app.inject({ method: 'POST', url: '/enter' })).json()
    t.equal(joseHeaderOf(token)['kid'], 'new')
    t.equal((await two.app.inject(request(token))).statusCode, 200, way)
  }
})

t.test('key rotation: an instance that has not read a new secret accepts cookies of one that started with it', async t => {
  const s = await twoInstances(t)
  const [, two] = s.instances
  s.secrets = [NEW_SECRET, OLD_SECRET]
  const restarted = await s.start()
  const cookie = async (): Promise<string> => cookieOf(await restarted.app.inject({ method: 'POST', url: '/enter' }))
  const post = async (route: 'refresh' | 'logout', held: string): Promise<Answer> => await two.app.inject({ method: 'POST', url: `/auth/${route}`, headers: { cookie: held } })

  s.secrets = []
  const held = await cookie()
  for (const route of ['refresh', 'logout'] as const) {
    const answer = await post(route, held)
    t.match(answer.json(), { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' }, 'during the outage nobody is logged out')
    t.strictSame(setCookies(answer), [])
  }
  const own = cookieOf(await two.app.inject({ method: 'POST', url: '/enter' }))
  t.equal((await post('refresh', `${held}; ${own}`)).statusCode, 200, 'cookie tossing: a planted cookie does not count beside a valid one')
  const accessToken = (await restarted.app.inject({ method: 'POST', url: '/enter' })).json().access_token
  t.match((await post('refresh', `${held.split('=')[0]}=${accessToken}`)).json(), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' }, 'no key makes a token of another type valid')
  t.equal((await post('logout', `${held}; ${own}`)).statusCode, 503)
  t.match((await post('refresh', own)).json(), { code: 'FST_AUTH_SESSION_ENDED' }, 'and sessions with a known key can be ended')
  s.secrets = [NEW_SECRET, OLD_SECRET]
  t.equal((await post('logout', held)).statusCode, 204)
  t.match((await restarted.app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: held } })).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  t.equal((await post('refresh', await cookie())).statusCode, 200)
})

t.test('key rotation: an instance that has read the new secret accepts cookies of one that has not', async t => {
  const s = await twoInstances(t)
  const [one, two] = s.instances
  s.secrets = [NEW_SECRET, OLD_SECRET]
  await one.app.reloadKeys()
  const browser = one.browser()
  await browser.send({ method: 'POST', url: '/enter' })
  for (const instance of [two, one, two]) {
    one.wait('1m')
    const answer = await instance.app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: browser.jar.header('/auth/refresh') } })
    t.equal(answer.statusCode, 200)
    browser.jar.store(answer.headers['set-cookie'])
  }
})

t.test('keys that cannot be reloaded leave the old ones in use, with a warning and an event', async t => {
  const warnings: Array<{ msg: string, err?: { message: string } }> = []
  const stream = { write (line: string) { const entry = JSON.parse(line); if (entry.level >= 40) warnings.push(entry) } }
  const ANSWERS: Array<() => unknown> = [
    async () => { throw new Error('the vault is sealed') },
    async () => await new Promise(() => {}),
    () => undefined,
    () => [OLD.verifies],
    () => [{ ...NEW.signs, kid: 'old' }]
  ]
  let answer: () => unknown = () => [OLD.signs]
  const { ada, app, events } = await loggedIn(t, { keys: async () => await answer() as KeyOptions[], timeouts: { call: 1 } }, { logger: { level: 'warn', stream } })
  for (answer of ANSWERS) {
    forget(events, warnings)
    await t.rejects(app.reloadKeys())
    t.strictSame(events.map(({ type }) => type), ['keys_reload_failed'])
    t.strictSame(warnings.map(({ msg }) => msg), ['auth: reloading the keys failed: the old ones stay in use', 'auth: keys_reload_failed'])
    t.equal((await ada.get('/me')).statusCode, 200)
  }
  answer = () => [OLD.signs, NEW.verifies]
  await app.reloadKeys()
  t.match(events.at(-1), { type: 'keys_changed', signing: 'old', kids: exactly('old', 'new') })
})

t.test('information leak: a failed reload quotes no secret in the log, and neither does a start', async t => {
  const lines: string[] = []
  const logger = { level: 'trace', stream: { write (line: string) { lines.push(line) } } }
  let answer = (): string[] => [SECRET]
  const { app } = await loggedIn(t, { secret: async () => answer() }, { logger })
  class YAMLParseError extends Error { override name = 'YAMLParseError' }
  for (const failed of [() => { throw new YAMLParseError(SECRET) }, () => { throw new Error('no secret', { cause: new Error('no file', { cause: new SyntaxError(SECRET) }) }) }, () => JSON.parse(SECRET), () => { throw Object.assign(new SyntaxError(SECRET), { response: 'x'.repeat(300_000) }) }]) {
    answer = failed
    await t.rejects(app.reloadKeys(), { message: /^the keys could not be parsed/ })
  }
  t.strictSame(lines.filter(line => line.includes(SECRET.slice(0, 5))), [])
  await t.rejects(async () => await server(t, { secret: async () => answer() }), { message: /^the keys could not be parsed/ })
})

t.test('a request whose time is up does not end the process when the keys cannot be read', async t => {
  let secrets = [SECRET]
  const users = userTable()
  const s = await loggedIn(t, { users: { ...users, findById: sub => sub === 'nobody' ? new Promise(() => {}) : users.findById(sub) }, secret: async () => secrets, timeouts: { call: 1, request: 1 } }, {}, app => {
    app.post('/slow', async ({ auth }, reply) => {
      await auth.login('nobody').catch(() => {})
      await auth.logout().catch(() => {})
      return await reply.code(204).send()
    })
  })
  const unknown = jws({ alg: 'HS256', kid: 'unknown', typ: 'rt+jwt' }, payloadOf(s.ada.cookie()), 'a secret')
  secrets = []
  const answer = await s.app.inject({ method: 'POST', url: '/slow', headers: { cookie: `${COOKIE}=${unknown}` } })
  t.equal(answer.statusCode, 204)
  await new Promise(setImmediate)
})

t.test('reloadKeys does nothing for keys that are not a function', async t => {
  const { ada, app, events } = await loggedIn(t, { keys: [OLD.signs] })
  await app.reloadKeys()
  t.strictSame(events, [])
  t.equal((await ada.get('/me')).statusCode, 200)
})
