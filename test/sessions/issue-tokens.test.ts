import t from 'tap'
import { issue } from '../../lib/sessions/issue-tokens.js'
import { presentedBy } from '../../lib/sessions/refresh.js'
import { type Session } from '../../lib/sessions/session.js'
import { type AccessClaims, type AccessPolicy, type AppClaims, type RefreshClaims, toAppClaims } from '../../lib/tokens/claims.js'
import { exactly } from '../support/exactly.js'
import { START as NOW } from '../support/fake-clock.js'
import { fakeTokens } from '../support/fake-tokens.js'

const tokens = fakeTokens()
const access: AccessPolicy = { expiresIn: 600, leeway: 5 }

const session: Session = {
  id: 'sid-1',
  subject: 'ada',
  generation: 7,
  previous: 6,
  rotatedAt: NOW - 100,
  createdAt: NOW - 9000,
  expiresAt: NOW + 9000,
  idleExpiresAt: NOW + 5000,
  authTime: NOW - 8000,
  userAgent: 'Firefox',
  ip: '192.0.2.1'
}

const refresh: RefreshClaims = { sub: 'ada', sid: 'sid-1', gen: 7, auth_time: NOW - 8000, iat: NOW - 100, exp: NOW + 5000, end: NOW + 9000 }

function accessClaims (of: Session = session, app: AppClaims = {}, policy: Partial<AccessPolicy> = {}): AccessClaims {
  return issue({ tokens, access: { ...access, ...policy } }, of, app, NOW, null).claims
}

function refreshToken (of: Session = session, terms: Partial<Parameters<typeof issue>[4]> = {}, at = NOW) {
  const { value, ...lasts } = issue({ tokens, access }, of, {}, at, { remember: true, ...terms }).refreshToken
  return { value, ...lasts, claims: tokens.verifyRefresh(value)?.claims }
}

t.test('an access token has sub, sid, iat, exp, jti and auth_time', async t => {
  t.strictSame(Object.keys(accessClaims()), ['sub', 'iat', 'exp', 'jti', 'sid', 'auth_time'])
  t.match(accessClaims(), { sub: 'ada', iat: NOW, exp: NOW + 600, jti: /^[\w-]{22}$/, sid: 'sid-1', auth_time: NOW - 8000 })
  const { accessToken, claims, refreshToken } = issue({ tokens, access }, session, { role: 'admin' }, NOW, null)
  t.match(claims, { role: 'admin' })
  t.same(tokens.verifyAccess(accessToken), claims)
  t.equal(refreshToken, null, 'and comes alone')
})

t.test('issuer and audience are set if configured', async t => {
  t.match(accessClaims(session, {}, { issuer: 'us', audience: 'api' }), { iss: 'us', aud: 'api' })
  t.match(accessClaims(session, {}, { audience: ['api', 'web'] }), { aud: exactly('api', 'web') })
})

t.test('each access token has its own jti', async t => {
  const ids = new Set(Array.from({ length: 10_000 }, () => accessClaims().jti))
  t.equal(ids.size, 10_000)
})

t.test('an access token expires with its session at the latest', async t => {
  for (const [left, expiresIn] of [[7, 7], [599, 599], [600, 600], [601, 600]] as const) {
    t.match(issue({ tokens, access }, { ...session, expiresAt: NOW + left }, {}, NOW, null), { expiresIn, claims: { exp: NOW + expiresIn } })
  }
})

t.test('app claims never override the reserved ones', async t => {
  const hostile = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}')
  const claims = accessClaims(session, toAppClaims({
    sub: 'root', iat: 1, exp: 9e12, nbf: 0, jti: 'x', sid: 'x', auth_time: 1, iss: 'evil', aud: 'evil', typ: 'x', role: 'admin', ...hostile
  }))
  t.match(claims, { sub: 'ada', iat: NOW, exp: NOW + 600, sid: 'sid-1', auth_time: NOW - 8000, role: 'admin', constructor: 1 })
  for (const name of ['iss', 'aud', 'nbf', 'typ', 'polluted']) t.notOk(name in claims, name)
  t.not(claims.jti, 'x')
  t.equal(Object.getPrototypeOf(claims), Object.prototype)
})

t.test('a refresh token has session, generation and expiry', async t => {
  t.strictSame(refreshToken().claims, refresh)
  t.equal(refreshToken({ ...session, expiresAt: NOW + 4000 }).claims?.exp, NOW + 4000, 'the earlier of the two expiries')
  t.strictSame(refreshToken(session, { remember: false }).claims, { ...refresh, remember: false })
  t.strictSame(refreshToken(session, { replaces: 'another' }).claims, { ...refresh, replaces: 'another' })
  t.strictSame(refreshToken(session, { replaces: null }).claims, refresh)
})

t.test('a refresh token expires with its session, or ends with the browser', async t => {
  t.match(refreshToken(session, {}, NOW + 10), { maxAge: 4990, expiresAt: NOW + 5000 })
  t.match(refreshToken({ ...session, expiresAt: NOW + 60 }), { maxAge: 60, expiresAt: NOW + 60 })
  t.match(refreshToken(session, { remember: false }), { maxAge: null, expiresAt: NOW + 5000 })
})

t.test('the same session state gives the same refresh token at any time', async t => {
  const { value } = refreshToken()
  t.equal(refreshToken(session, {}, NOW + 99).value, value)
  t.equal(refreshToken({ ...session, userAgent: null, ip: null }).value, value)
  t.not(refreshToken({ ...session, generation: 8 }).value, value)
})

t.test('a refresh token states its session for the stateless store', async t => {
  const claimedBy = (claims: RefreshClaims): Session => presentedBy({ claims, signedByCurrentKey: true }, {}, { userAgent: 'Firefox' }).claimed
  t.strictSame(refreshToken(claimedBy(refresh)).claims, refresh, 'which gives the same token again')
  t.match(claimedBy(refresh), { id: 'sid-1', subject: 'ada', generation: 7, previous: 6, rotatedAt: NOW - 100, userAgent: null, ip: null })
  t.equal(claimedBy({ ...refresh, gen: 0 }).previous, null, 'nothing comes before the first generation')
})
