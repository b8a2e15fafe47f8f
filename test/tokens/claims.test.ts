import t from 'tap'
import { type AccessClaims, type AccessPolicy, assertCurrent, isRefreshClaims, MAX_APP_CLAIMS, readAccessClaims, toAppClaims } from '../../lib/tokens/claims.js'
import { MAX_SUBJECT_LENGTH } from '../../lib/tokens/subject.js'
import { type EpochSeconds } from '../../lib/time.js'
import { codeOf } from '../support/core.js'
import { START as NOW } from '../support/fake-clock.js'

const INVALID = 'FST_AUTH_ACCESS_TOKEN_INVALID'
const EXPIRED = 'FST_AUTH_ACCESS_TOKEN_EXPIRED'

const policy: AccessPolicy = { expiresIn: 600, leeway: 5 }

const access = { sub: 'ada', iat: NOW - 60, exp: NOW + 540, jti: 'jti-1', sid: 'sid-1', auth_time: NOW - 8000 }
const refresh = { sub: 'ada', sid: 'sid-1', gen: 7, auth_time: NOW - 8000, iat: NOW - 100, exp: NOW + 5000, end: NOW + 9000 }

const NO_SUBJECTS = [undefined, null, 1, 0, true, [], ['ada'], {}, '', 'a'.repeat(MAX_SUBJECT_LENGTH + 1), 'a\0b', '\0', '\uD800', 'a\uDC00']
const NO_IDS = [undefined, null, 1, true, [], {}, '', 'i'.repeat(65)]
const NO_TIMES = [undefined, null, true, '', '9', String(NOW), [], [NOW], {}, -1, NOW + 0.5, NaN, Infinity, -Infinity, 1e300, -1e300, 2 ** 53]
const NO_GENERATIONS = [...NO_TIMES, 2 ** 31 - 1, 2 ** 31]
const NO_PAYLOADS = [undefined, null, 0, 1, true, '', 'text', [], [access], [refresh], () => {}]

/** The claims of a token at a time, as a request validates them. */
function verified (payload: unknown, policy: AccessPolicy, now: EpochSeconds): AccessClaims {
  return assertCurrent(readAccessClaims(payload, policy), policy, now)
}

/** 'ok', or the code of the refusal. */
function judged (payload: unknown, own: Partial<AccessPolicy> = {}, now: EpochSeconds = NOW): string {
  try {
    verified(payload, { ...policy, ...own }, now)
    return 'ok'
  } catch (error) {
    return codeOf(error)
  }
}

t.test('app claims must be an object that JSON can carry', async t => {
  const circle: Record<string, unknown> = {}
  circle['circle'] = circle
  for (const value of [...NO_PAYLOADS, { big: 1n }, circle, { toJSON: () => 'text' }]) t.throws(() => toAppClaims(value), { name: 'TypeError', message: /accessToken\.claims/ }, typeof value)
  t.strictSame(toAppClaims({ role: 'admin', since: new Date(0), none: undefined }), { role: 'admin', since: '1970-01-01T00:00:00.000Z' })
})

t.test('information exposure: app claims never hold the password hash of a user', async t => {
  const REFUSED = { name: 'TypeError', message: /^claims must not have a password hash/ }
  const passwordHash = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA'
  const user = { id: 1, passwordHash: 'x' }
  for (const value of [user, { user }, { users: [user] }, { password_hash: 'x' }, { ...user, passwordHash: null }]) t.throws(() => toAppClaims(value), REFUSED)
  for (const value of [{ h: passwordHash }, { rows: [{ password: `hash ${passwordHash}` }] }, { profile: JSON.stringify({ passwordHash }) }]) t.throws(() => toAppClaims(value, passwordHash), REFUSED)
  t.ok(toAppClaims({ fields: ['passwordHash'], text: '"passwordHash":', hasPasswordHash: true, oldPasswordHash: null, provider: 'google' }, 'google'))
})

t.test('denial of service: a name that looks like a password hash is a claim like any other', async t => {
  for (const name of ['sha1$deadbeef', 'md5$checksums', 'US$H$ello-world', '$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi']) t.ok(toAppClaims({ name }, '$argon2id$'), name)
})

t.test('app claims have a maximum size in bytes', async t => {
  const frame = '{"name":""}'.length
  t.equal(MAX_APP_CLAIMS, 4096, 'as documented')
  t.ok(toAppClaims({ name: 'a'.repeat(MAX_APP_CLAIMS - frame) }))
  t.throws(() => toAppClaims({ name: 'a'.repeat(MAX_APP_CLAIMS - frame + 1) }), { name: 'TypeError' })
  t.throws(() => toAppClaims({ name: 'é'.repeat(MAX_APP_CLAIMS / 2) }), { name: 'TypeError' })
})

t.test('valid access claims are returned unchanged, with the app\'s own', async t => {
  const payload = { ...access, role: 'admin' }
  t.equal(verified(payload, policy, NOW), payload)
})

t.test('an access token with a missing claim, or one of a wrong type, is refused', async t => {
  for (const payload of NO_PAYLOADS) t.equal(judged(payload), INVALID, typeof payload)
  for (const sub of NO_SUBJECTS) t.equal(judged({ ...access, sub }), INVALID, `sub ${JSON.stringify(sub)}`)
  for (const name of ['sid', 'jti']) {
    for (const id of NO_IDS) t.equal(judged({ ...access, [name]: id }), INVALID, `${name} ${JSON.stringify(id)}`)
  }
  for (const name of ['iat', 'exp', 'auth_time']) {
    for (const time of NO_TIMES) t.equal(judged({ ...access, [name]: time }), INVALID, `${name} ${String(time)}`)
  }
  for (const nbf of NO_TIMES.filter(time => time !== undefined)) t.equal(judged({ ...access, nbf }), INVALID, `nbf ${String(nbf)}`)
})

t.test('the longest values are accepted', async t => {
  t.equal(judged({ ...access, sub: 'a'.repeat(MAX_SUBJECT_LENGTH), sid: 'i'.repeat(64), jti: 'i'.repeat(64) }), 'ok')
})

t.test('an access token expires exactly at exp, without leeway', async t => {
  for (const [now, verdict] of [[access.exp - 1, 'ok'], [access.exp, EXPIRED], [access.exp + 1, EXPIRED]] as const) {
    t.equal(judged(access, { leeway: 60 }, now), verdict)
  }
})

t.test('iat and nbf may be in the future by the leeway', async t => {
  for (const [ahead, verdict] of [[0, 'ok'], [5, 'ok'], [6, INVALID], [3600, INVALID]] as const) {
    t.equal(judged({ ...access, iat: NOW + ahead }), verdict, `iat +${ahead}`)
    t.equal(judged({ ...access, nbf: NOW + ahead }), verdict, `nbf +${ahead}`)
    t.equal(judged({ ...access, iat: NOW + ahead, exp: NOW + 60, nbf: NOW - 60 }), verdict, `iat +${ahead} with an nbf in the past`)
  }
  t.equal(judged({ ...access, iat: NOW + 1 }, { leeway: 0 }), INVALID)
})

t.test('a lifetime beyond the configured one is refused', async t => {
  const lasting = (seconds: number): unknown => ({ ...access, exp: access.iat + seconds })
  for (const [seconds, verdict] of [[3600, 'ok'], [3601, INVALID], [0, INVALID], [-1, INVALID]] as const) {
    t.equal(judged(lasting(seconds)), verdict, `${seconds} seconds`)
  }
  t.equal(judged(lasting(7200), { expiresIn: 7200 }), 'ok', 'exactly as long as configured')
  t.equal(judged(lasting(7201), { expiresIn: 7200 }), INVALID)
})

t.test('the issuer must match exactly, and the audience must contain a configured one', async t => {
  for (const iss of [undefined, null, '', 'me2', 'ME', ['me'], ['me', 'evil'], {}]) t.equal(judged({ ...access, iss }, { issuer: 'me' }), INVALID, JSON.stringify(iss))
  t.equal(judged({ ...access, iss: 'me' }, { issuer: 'me' }), 'ok')

  for (const aud of [undefined, null, '', 'ap', 'API', [], ['web'], {}, [['api']]]) t.equal(judged({ ...access, aud }, { audience: 'api' }), INVALID, JSON.stringify(aud))
  for (const aud of ['api', ['api'], ['web', 'api']]) t.equal(judged({ ...access, aud }, { audience: 'api' }), 'ok', JSON.stringify(aud))
  t.equal(judged({ ...access, aud: 'web' }, { audience: ['api', 'web'] }), 'ok')
})

t.test('without a configured audience a token with aud is for another service (RFC 7519 section 4.1.3)', async t => {
  for (const aud of ['api', ['api'], '', [], null, {}]) t.equal(judged({ ...access, aud }), INVALID, JSON.stringify(aud))
  t.equal(judged({ ...access, aud: 'api', iss: 'me' }, { issuer: 'me' }), INVALID)
  t.equal(judged(access), 'ok')
})

t.test('an expired token of another service is invalid rather than expired', async t => {
  t.equal(judged({ ...access, iss: 'other' }, { issuer: 'me' }, access.exp), INVALID)
})

t.test('refresh claims are read as they were written', async t => {
  t.ok(isRefreshClaims(refresh))
  t.ok(isRefreshClaims({ ...refresh, remember: false }))
  t.ok(isRefreshClaims({ ...refresh, replaces: 'another' }))
  for (const gen of [0, 1, 2 ** 31 - 2]) t.ok(isRefreshClaims({ ...refresh, gen }), `generation ${gen}`)
})

t.test('a refresh token with a missing claim, or one of a wrong type, is refused', async t => {
  for (const payload of NO_PAYLOADS) t.notOk(isRefreshClaims(payload), typeof payload)
  for (const sub of NO_SUBJECTS) t.notOk(isRefreshClaims({ ...refresh, sub }), `sub ${JSON.stringify(sub)}`)
  for (const sid of NO_IDS) t.notOk(isRefreshClaims({ ...refresh, sid }), `sid ${JSON.stringify(sid)}`)
  for (const gen of NO_GENERATIONS) t.notOk(isRefreshClaims({ ...refresh, gen }), `gen ${String(gen)}`)
  for (const name of ['iat', 'exp', 'end', 'auth_time']) {
    for (const time of NO_TIMES) t.notOk(isRefreshClaims({ ...refresh, [name]: time }), `${name} ${String(time)}`)
  }
  for (const replaces of [true, null, 0, '', 'x'.repeat(65)]) t.notOk(isRefreshClaims({ ...refresh, replaces }), `replaces ${String(replaces)}`)
  for (const remember of [true, null, 0, 'false']) t.notOk(isRefreshClaims({ ...refresh, remember }), `remember ${String(remember)}`)
  t.notOk(isRefreshClaims(access), 'an access token')
  t.equal(judged(refresh), INVALID, 'and vice versa')
})

t.test('information leak: the reason of a refused access token is only for the log', async t => {
  const policy: AccessPolicy = { expiresIn: 600, leeway: 5, issuer: 'https://login.example', audience: 'api' }
  const good = { iss: 'https://login.example', aud: 'api', sub: '1', sid: 's', jti: 'j', iat: NOW, exp: NOW + 600, auth_time: NOW }
  const REASONS: ReadonlyArray<readonly [reason: RegExp, payload: unknown]> = [
    [/signature, key/, undefined],
    [/lacks one of/, { ...good, sid: undefined }],
    [/"iss" is not that of the option "issuer"/, { ...good, iss: 'https://other.example' }],
    [/"aud" is not that of the option "audience"/, { ...good, aud: 'other' }],
    [/lifetime is over/, { ...good, exp: NOW + 3601 }],
    [/in the future/, { ...good, nbf: NOW + 6 }]
  ]
  t.ok(verified(good, policy, NOW))
  for (const [message, payload] of REASONS) t.throws(() => verified(payload, policy, NOW), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID', message: 'The access token is not valid', cause: { message, stack: /^Error: [^\n]*$/ } })
})
