import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import t, { type Test } from 'tap'
import { memoryStore, type RefreshCookieOptions } from '../../lib/index.js'
import { joseHeaderOf, payloadOf, START, type Answer, type Browser } from '../support/server.js'
import { recipe, type Recipe } from './recipe.js'

const EXPIRED = { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' }
const INVALID = { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_INVALID' }

interface Parties extends Recipe {
  readonly ada: Browser
  readonly privateKey: string
  readonly publicKey: string
  readonly verifier: Recipe
  /** The verifier's reply to a token. */
  orders (token: unknown): Promise<Answer>
}

/** Both services; Ada is logged in at the one that signs. */
async function parties (t: Test, options: RefreshCookieOptions = {}): Promise<Parties> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' }
  })
  const issuer = await recipe(t, 'issuer', { given: { privateKey, store: memoryStore() }, options })
  const verifier = await recipe(t, 'verifier', { given: { publicKey }, clock: issuer.clock })
  const ada = issuer.browser()
  await ada.signup('ada')
  return {
    ...issuer,
    ada,
    privateKey,
    publicKey,
    verifier,
    orders: async token => await verifier.app.inject({ url: '/orders', headers: { authorization: `Bearer ${String(token)}` } })
  }
}

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token signed with the private key by other code. */
function signed (privateKey: string, header: object, claims: object): string {
  const text = `${encoded(header)}.${encoded(claims)}`
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

t.test('an access token has its header and the registered claims', async t => {
  const { ada } = await parties(t)
  t.strictSame(joseHeaderOf(ada.accessToken), { alg: 'ES256', typ: 'at+jwt', kid: '2026-01' })
  const { jti, sid, ...claims } = payloadOf(ada.accessToken)
  t.strictSame(claims, { iss: 'https://login.example', sub: '1', aud: 'https://api.example', iat: START, exp: START + 7200, auth_time: START, email: 'ada' })
  t.match({ jti, sid }, { jti: /^[\w-]{22}$/, sid: /^[\w-]{22}$/ })
})

t.test('any implementation verifies it with the public key', async t => {
  const { ada, publicKey } = await parties(t)
  const [header, payload, signature] = String(ada.accessToken).split('.')
  const verified = (text: string) => verify('sha256', Buffer.from(text), { key: createPublicKey(publicKey), dsaEncoding: 'ieee-p1363' }, Buffer.from(signature ?? '', 'base64url'))
  t.ok(verified(`${header}.${payload}`))
  t.notOk(verified(`${header}.${encoded({ sub: '2' })}`))
})

t.test('the service with the public key authenticates until the token expires', async t => {
  const { ada, orders, wait } = await parties(t)
  t.strictSame((await orders(ada.accessToken)).json(), { of: 'ada' })
  wait('2h')
  t.match((await orders(ada.accessToken)).json(), EXPIRED)
  await ada.refresh()
  t.strictSame((await orders(ada.accessToken)).json(), { of: 'ada' })
})

t.test('the verifier needs no database and no call to the other service', async t => {
  const { ada, app, orders, users } = await parties(t)
  await app.close()
  users.calls.length = 0
  t.match(await orders(ada.accessToken), { statusCode: 200 })
  t.strictSame(users.calls, [])
})

t.test('the verifier has no login, and nothing else that needs a secret', async t => {
  const { verifier: { app } } = await parties(t)
  t.notOk(app.printRoutes().includes('auth'))
  for (const name of ['sessions', 'passwords']) t.notOk(app.hasDecorator(name), name)
})

t.test('token confusion: refresh tokens and tokens of other keys, issuers and audiences are refused', async t => {
  const { ada, orders, privateKey } = await parties(t)
  const other = await parties(t)
  const header = joseHeaderOf(ada.accessToken)
  const claims = payloadOf(ada.accessToken)
  t.match(await orders(signed(privateKey, header, claims)), { statusCode: 200 }, 'unchanged it is valid')
  for (const [what, token] of [
    ['the refresh token', ada.cookie()],
    ['of another key', signed(other.privateKey, header, claims)],
    ['of another service', other.ada.accessToken],
    ['of another issuer', signed(privateKey, header, { ...claims, iss: 'https://evil.example' })],
    ['for another audience', signed(privateKey, header, { ...claims, aud: 'https://else.example' })],
    ['of another type', signed(privateKey, { ...header, typ: 'JWT' }, claims)],
    ['without a signature', `${encoded({ ...header, alg: 'none' })}.${encoded(claims)}.`]
  ] as const) t.match((await orders(token)).json(), INVALID, what)
})

t.test('all seven registered claims are checked: a token is invalid before its nbf', async t => {
  const { ada, app, orders, privateKey, wait } = await parties(t)
  const token = signed(privateKey, joseHeaderOf(ada.accessToken), { ...payloadOf(ada.accessToken), nbf: START + 60 })
  t.match((await orders(token)).json(), INVALID)
  wait('1m')
  t.match(await orders(token), { statusCode: 200 })
  t.match(await app.verifyAccessToken(token), { iss: String, sub: String, aud: String, exp: Number, nbf: Number, iat: Number, jti: String })
})

t.test('only the public key of the pair is published', async t => {
  const { app, publicKey } = await parties(t)
  const [key, ...others] = (await app.inject('/auth/jwks')).json().keys
  t.strictSame(others, [])
  t.match(key, { kid: '2026-01', alg: 'ES256', use: 'sig', kty: 'EC', d: undefined })
  t.equal(createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'pem' }), publicKey)
})

t.test('without keys it is HS256, and the public key verifies nothing', async t => {
  const { ada, app, orders } = await parties(t, { keys: undefined })
  t.match(joseHeaderOf(ada.accessToken), { alg: 'HS256', typ: 'at+jwt' })
  t.match(await app.verifyAccessToken(String(ada.accessToken)), { sub: '1', email: 'ada' })
  t.match((await orders(ada.accessToken)).json(), INVALID)
})

t.test('a refresh token lasts 2 weeks, as does the session', async t => {
  const { ada, wait } = await parties(t)
  for (let day = 0; day < 13; day++) {
    wait('1d')
    t.match(await ada.refresh(), { statusCode: 200 })
  }
  wait('1d')
  t.match(await ada.refresh(), { statusCode: 401 })
})
