import { type FastifyInstance } from 'fastify'
import { EventEmitter, once } from 'node:events'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { AuthError, memoryStore, statelessStore, type AcceptChallengeOptions, type IssueChallengeOptions, type RefreshCookieOptions } from '../../lib/index.js'
import { deriveKeyRing } from '../../lib/keys/ring.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, FAST_HASHING, joseHeaderOf, loggedIn, PASSWORD, payloadOf, SECRET, sessionOf, setCookies, START, testClock, type Answer, type LoggedIn } from '../support/server.js'
import { forged, jws, keyOf, respelled } from '../tokens/forge.js'

const INVALID = { statusCode: 401, code: 'FST_AUTH_CHALLENGE_INVALID' }
const WRONG = { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' }
const THROTTLED = { statusCode: 429, code: 'FST_AUTH_TOO_MANY_ATTEMPTS' }
const CODE = '492039'

interface Challenged extends LoggedIn {
  /** The options of the next calls; a test may change them. */
  readonly options: { issue: IssueChallengeOptions, accept: AcceptChallengeOptions, change: () => void }
  issue (sub?: unknown): Promise<string>
  accept (token: unknown, code?: string): Promise<Answer>
}

/** A server that issues and accepts challenges; `verify` of the options gets the code of the request by `codeIs`. */
async function challenged (t: Test, options: RefreshCookieOptions = {}): Promise<Challenged> {
  const of: Challenged['options'] = { issue: { purpose: 'totp' }, accept: { purpose: 'totp' }, change () {} }
  const s = await loggedIn(t, options, {}, (app: FastifyInstance) => {
    app.post<{ Body: { sub: string } }>('/issue', async ({ auth, body }) => ({ token: await auth.issueChallenge(body.sub, of.issue) }))
    app.post<{ Body: { token: unknown, code?: string } }>('/accept', async ({ auth, body }) => {
      const verify = body.code === undefined ? {} : { verify: () => body.code === CODE }
      return { sub: await auth.acceptChallenge(body.token, { ...verify, ...of.accept }) }
    })
    app.post<{ Body: { token: unknown, as?: string, login?: { boundTo: string } } }>('/enter', async ({ auth, body }) => {
      const sub = await auth.acceptChallenge(body.token, of.accept)
      of.change()
      return await auth.login(body.as ?? sub, body.login)
    })
    app.post<{ Body: { username: string, password: string } }>('/step-one', async ({ auth, body }) => {
      const { id } = await auth.verifyPassword(body)
      return { token: await auth.issueChallenge(id, of.issue) }
    })
  })
  const post = async (url: string, payload: object): Promise<Answer> => await s.app.inject({ method: 'POST', url, payload })
  return {
    ...s,
    options: of,
    issue: async (sub = '1') => (await post('/issue', { sub })).json().token,
    accept: async (token, code) => await post('/accept', { token, code })
  }
}

t.test('a challenge is a token of its own type for one purpose, and nothing else', async t => {
  const s = await challenged(t)
  const token = await s.issue()
  t.strictSame(joseHeaderOf(token), { alg: 'HS256', typ: 'ct+jwt', kid: deriveKeyRing([SECRET], 'refresh', 'HS256').signing.kid })
  t.strictSame(payloadOf(token), { jti: payloadOf(token)['jti'], sub: '1', purpose: 'totp', iat: START, exp: START + 300 })
  t.match(payloadOf(token)['jti'], /^challenge-[\w-]{22}$/)
  t.same((await s.accept(token)).json(), { sub: '1' })
})

t.test('app.issueChallenge makes one without a request, and its refusals are events', async t => {
  const s = await challenged(t)
  t.same((await s.accept(await s.app.issueChallenge(1, { purpose: 'totp' }))).json(), { sub: '1' })
  await t.rejects(s.app.issueChallenge('', { purpose: 'totp' }), { name: 'TypeError', message: /app\.issueChallenge\(\)/ })
  s.store.faults.push({ call: 'create', moment: 'before', kind: 'throw' })
  await t.rejects(s.app.issueChallenge(1, { purpose: 'totp' }), { code: 'FST_AUTH_STORE_UNAVAILABLE' })
  t.match(s.events.at(-1), { type: 'store_unavailable' })
})

t.test('without options the error names the purpose', async t => {
  const s = await challenged(t)
  await t.rejects(s.app.issueChallenge(1, undefined as never), { name: 'TypeError', message: /"purpose" of a challenge must be/ })
  s.options.accept = undefined as never
  t.match((await s.accept(await s.issue())).json(), { statusCode: 500 })
})

t.test('replay: a challenge is accepted once, also by concurrent requests', async t => {
  const s = await challenged(t)
  const token = await s.issue()
  const answers = await Promise.all(Array.from({ length: 8 }, async () => await s.accept(token)))
  t.equal(answers.filter(({ statusCode }) => statusCode === 200).length, 1)
  for (const answer of answers.filter(({ statusCode }) => statusCode !== 200)) t.match(answer.json(), INVALID)
  const right = await s.issue()
  const raced = await Promise.all([s.accept(right, CODE), s.accept(right, CODE)])
  t.strictSame(raced.map(({ statusCode }) => statusCode).sort(), [200, 401], 'with a second factor too')
})

t.test('replay: a used challenge is refused before it is verified, so no recovery code is used up', async t => {
  const s = await challenged(t)
  const verified: string[] = []
  s.options.accept = { purpose: 'totp', verify: sub => verified.push(sub) > 0 }
  const token = await s.issue()
  t.match(await s.accept(token), { statusCode: 200 })
  t.match((await s.accept(token)).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  t.strictSame(verified, ['1'])
})

t.test('a challenge expires at its exp', async t => {
  const s = await challenged(t)
  for (const expiresIn of ['5m', 300, undefined] as const) {
    s.options.issue = { purpose: 'totp', expiresIn }
    const [early, late] = [await s.issue(), await s.issue()]
    s.wait('299s')
    t.match(await s.accept(early), { statusCode: 200 })
    s.wait('1s')
    t.match((await s.accept(late)).json(), INVALID)
  }
})

t.test('purpose confusion: a challenge is accepted for its own purpose only', async t => {
  const s = await challenged(t)
  const token = await s.issue()
  for (const purpose of ['reset', 'TOTP', 'totp ', 'toString']) {
    s.options.accept = { purpose }
    t.match((await s.accept(token)).json(), INVALID, purpose)
  }
  s.options.accept = { purpose: 'totp' }
  t.match(await s.accept(token), { statusCode: 200 }, 'which did not use it up')
})

t.test('token confusion: no type of token is accepted as another', async t => {
  const s = await challenged(t)
  const challenge = await s.issue()
  const key = keyOf('refresh')
  for (const token of [String(s.ada.accessToken), String(s.ada.cookie()), forged('access'), forged('refresh')]) t.match((await s.accept(token)).json(), INVALID)
  t.match((await s.app.inject({ url: '/me', headers: { authorization: `Bearer ${challenge}` } })).json(), { code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  t.match((await s.app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: `${COOKIE}=${challenge}` } })).json(), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
  const claims = { ...payloadOf(s.ada.cookie()), ...payloadOf(challenge) }
  for (const typ of ['rt+jwt', 'at+jwt', 'JWT', undefined]) {
    t.match((await s.accept(jws({ alg: 'HS256', kid: key.kid, typ }, claims, key.secret))).json(), INVALID, `typ ${String(typ)}, signed`)
  }
  const doubleUse = jws({ alg: 'HS256', kid: key.kid, typ: 'ct+jwt' }, claims, key.secret)
  t.match((await s.app.inject({ method: 'POST', url: '/auth/refresh', headers: { cookie: `${COOKIE}=${doubleUse}` } })).json(), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
  t.match(await s.accept(challenge), { statusCode: 200 })
})

t.test('forgery: hostile challenges are refused', async t => {
  const s = await challenged(t)
  const token = await s.issue()
  const key = keyOf('refresh')
  const header = { alg: 'HS256', typ: 'ct+jwt', kid: key.kid }
  const claims = payloadOf(token)
  const [head = '', body = '', signature = ''] = token.split('.')
  const hostile: unknown[] = [
    undefined, null, 7, {}, [], '', 'x', 'x.y.z', `${head}.${body}.`, `${head}.${body}`, `${token} `, token + token, 'x'.repeat(9000), ...respelled(token),
    jws({ ...header, alg: 'none' }, claims, key.secret), jws({ ...header, kid: 'other' }, claims, key.secret), jws(header, claims, 'guess'),
    jws({ ...header, crit: ['x'] }, claims, key.secret), jws({ ...header, kid: keyOf('access').kid }, claims, keyOf('access').secret),
    `${head}.${Buffer.from(JSON.stringify({ ...claims, sub: '2' })).toString('base64url')}.${signature}`,
    ...[{ sub: '' }, { sub: 1 }, { sub: undefined }, { jti: undefined }, { jti: 'x'.repeat(65) }, { purpose: undefined }, { iat: 'now' }, { exp: '9' }, { exp: undefined }, { bound: 7 }]
      .map(change => jws(header, { ...claims, ...change }, key.secret))
  ]
  for (const one of hostile) t.match((await s.accept(one)).json(), INVALID, String(one).slice(0, 80))
  t.match(await s.accept(jws(header, claims, key.secret)), { statusCode: 200 }, 'and a signed one with these claims is not')
})

t.test('a challenge that was never stored is refused, although its signature is valid', async t => {
  const s = await challenged(t)
  const key = keyOf('refresh')
  const claims = { jti: sessionOf(s.ada), sub: '1', purpose: 'totp', iat: START, exp: START + 300 }
  const header = { alg: 'HS256', typ: 'ct+jwt', kid: key.kid }
  for (const code of [undefined, CODE]) t.match((await s.accept(jws(header, { ...claims, jti: 'unknown' }, key.secret), code)).json(), INVALID)
})

t.test('boundTo: a value that has changed invalidates the challenge', async t => {
  const s = await challenged(t)
  let current: string | null = 'hash one'
  s.options.accept = { purpose: 'totp', boundTo: async sub => sub === '1' ? current : 'of somebody else' }
  for (const [issued, now, status] of [['hash one', 'hash one', 200], ['hash one', 'hash two', 401], ['hash one', null, 401], [null, null, 200], [null, 'null', 401], ['', '', 200], ['', null, 401]] as const) {
    s.options.issue = { purpose: 'totp', boundTo: issued }
    current = now
    t.match(await s.accept(await s.issue()), { statusCode: status }, `${String(issued)}, then ${String(now)}`)
  }
  s.options.issue = { purpose: 'totp' }
  t.match((await s.accept(await s.issue())).json(), INVALID, 'an unbound one is not accepted as bound')
  s.options.issue = { purpose: 'totp', boundTo: 'hash one' }
  s.options.accept = { purpose: 'totp' }
  t.match((await s.accept(await s.issue())).json(), INVALID, 'a bound one is not accepted without a look at the value')
  current = 'hash one'
  s.options.accept = { purpose: 'totp', boundTo: () => current, verify () { current = 'hash two'; return true } }
  t.match((await s.accept(await s.issue())).json(), INVALID, 'a password reset while the code is verified')
})

t.test('race: a value that changes between acceptChallenge and the end of the login ends the session and refuses', async t => {
  const s = await challenged(t)
  let current = 'hash one'
  s.options.issue = { purpose: 'totp', boundTo: current }
  s.options.accept = { purpose: 'totp', boundTo: () => current }
  const { create } = s.store
  const enter = async (payload: object): Promise<Answer> => await s.app.inject({ method: 'POST', url: '/enter', payload })
  t.match(await enter({ token: await s.issue() }), { statusCode: 200 })

  const tokens = [await s.issue(), await s.issue()] as const
  s.store.create = async session => {
    await create(session)
    current = 'hash two' // a password change whose revocation came before this session
  }
  await s.browser().signup('bob')
  current = 'hash one'
  t.match(await enter({ token: tokens[0], as: '2' }), { statusCode: 200 }, 'the login of somebody else is no use of this challenge')
  current = 'hash one'
  const refused = await enter({ token: tokens[1] })
  t.match(refused.json(), WRONG)
  t.strictSame(setCookies(refused), [])
  t.match(s.events.slice(-1), exactly({ type: 'login_failed', subject: '1' }))
  t.equal((await s.store.list?.('1'))?.length, 2, 'those of the signup and of the first login')
})

t.test('a route that changes the bound value itself gives login the new one', async t => {
  let [current, concurrent] = ['', '']
  const s = await challenged(t)
  const { create } = s.store
  s.store.create = async session => {
    await create(session)
    if (concurrent !== '') current = concurrent
  }
  s.options.issue = { purpose: 'totp', boundTo: 'unconfirmed' }
  s.options.accept = { purpose: 'totp', boundTo: () => current }
  s.options.change = () => { current = 'confirmed' }
  const CASES = [['confirmed', '', 200], [undefined, '', 401], ['anything', '', 401], ['confirmed', 'disabled', 401]] as const
  for (const [boundTo, changedMeanwhile, status] of CASES) {
    [current, concurrent] = ['unconfirmed', '']
    const token = await s.issue()
    concurrent = changedMeanwhile
    const answer = await s.app.inject({ method: 'POST', url: '/enter', payload: { token, login: { boundTo } } })
    t.equal(answer.statusCode, status, `${String(boundTo)}, ${changedMeanwhile}`)
  }
})

t.test('boundTo: the token does not reveal the value, even a short one', async t => {
  const s = await challenged(t)
  s.options.issue = { purpose: 'totp', boundTo: CODE }
  const tokens = [await s.issue(), await s.issue()]
  const bounds = tokens.map(token => String(payloadOf(token)['bound']))
  t.not(bounds[0], bounds[1], 'two of one value differ')
  t.notMatch(tokens.join(), CODE)
  s.options.accept = { purpose: 'totp', boundTo: () => CODE }
  const key = keyOf('refresh')
  const header = { alg: 'HS256', typ: 'ct+jwt', kid: key.kid }
  t.match((await s.accept(jws(header, { ...payloadOf(tokens[0]), bound: bounds[1] }, key.secret))).json(), INVALID, 'nor fits another token')
  t.match((await s.accept(jws(header, { ...payloadOf(tokens[0]), bound: 'AA' }, key.secret))).json(), INVALID)
})

t.test('key rotation: a challenge that the old secret signed is accepted, and its bound value too', async t => {
  const store = memoryStore()
  const before = await challenged(t, { store })
  before.options.issue = { purpose: 'totp', boundTo: 'x' }
  const token = await before.issue()
  const after = await challenged(t, { store, secret: ['another secret of enough length 7#Qw!', SECRET] })
  after.options.accept = { purpose: 'totp', boundTo: () => 'x' }
  t.match(await after.accept(token), { statusCode: 200 })
})

t.test('a wrong code is refused, counted and recorded, and the challenge stays usable', async t => {
  const s = await challenged(t)
  const token = await s.issue()
  const answer = await s.accept(token, '000000')
  t.match(answer.json(), { ...WRONG, message: 'The code is wrong' })
  t.match(answer.headers, { 'www-authenticate': 'Bearer realm="api"' })
  t.match(s.events, exactly({ type: 'login_failed', subject: '1' }))
  t.match(await s.accept(token, CODE), { statusCode: 200 })
  t.match((await s.accept(token, CODE)).json(), INVALID)
  t.match(s.events.at(-1), { type: 'refused', code: 'FST_AUTH_CHALLENGE_INVALID' })
})

t.test('brute force: an attacker with the password and a new challenge for each guess is stopped', async t => {
  const s = await challenged(t, { rateLimit: { perAccount: { max: 5, per: '15m' } } })
  const stepOne = async (): Promise<string> => (await s.app.inject({ method: 'POST', url: '/step-one', payload: { username: 'ada', password: PASSWORD } })).json().token
  const statuses: number[] = []
  for (let guess = 0; guess < 12; guess++) {
    await s.browser().login('ada')
    statuses.push((await s.accept(await stepOne(), String(100000 + guess))).statusCode)
  }
  t.strictSame(statuses, [401, 401, 401, 401, 401, 429, 429, 429, 429, 429, 429, 429], 'no login with the password resets the count')
  const right = await s.accept(await stepOne(), CODE)
  t.match(right.json(), THROTTLED, 'the right code too')
  t.match(right.headers, { 'retry-after': /^\d+$/ })
  t.match(s.events.at(-1), { type: 'throttled', what: 'account', subject: '1' })
})

t.test('brute force: concurrent guesses do not exceed the limit', async t => {
  const s = await challenged(t, { rateLimit: { perAccount: { max: 5, per: '15m' } } })
  const token = await s.issue()
  const answers = await Promise.all(Array.from({ length: 40 }, async (_, guess) => await s.accept(token, String(guess))))
  t.equal(answers.filter(({ statusCode }) => statusCode === 401).length, 5)
})

t.test('brute force: a live session of the account gives no more guesses', async t => {
  const s = await challenged(t, { rateLimit: { perAccount: { max: 2, per: '15m' } } })
  const token = await s.issue()
  const guess = async (): Promise<number> => (await s.ada.send({ method: 'POST', url: '/accept', payload: { token, code: '0' } })).statusCode
  t.strictSame([await guess(), await guess(), await guess(), await guess()], [401, 401, 429, 429])
})

t.test('brute force: the limit of the address counts wrong codes of all users', async t => {
  const s = await challenged(t, { rateLimit: { perAddress: { max: 4, per: '1h' } } })
  const statuses: number[] = [] // the signup of Ada was the first attempt
  for (let user = 1; user <= 5; user++) statuses.push((await s.accept(await s.issue(String(user)), '0')).statusCode)
  t.strictSame(statuses, [401, 401, 401, 429, 429])
})

t.test('a right code resets the failures, those of another purpose stay', async t => {
  const s = await challenged(t, { rateLimit: { perAccount: { max: 2, per: '15m' } } })
  const total = await s.issue()
  await s.accept(total, '0')
  await s.accept(await s.issue(), CODE)
  t.match(await s.accept(total, '0'), { statusCode: 401 })
  t.match(await s.accept(total, '0'), { statusCode: 401 })
  t.match(await s.accept(total, '0'), { statusCode: 429 })
  s.options.issue = s.options.accept = { purpose: 'mail' }
  t.match(await s.accept(await s.issue(), CODE), { statusCode: 200 })
  s.options.issue = s.options.accept = { purpose: 'totp' }
  t.match(await s.accept(total, '0'), { statusCode: 429 })
})

t.test('a right code for a used challenge resets nothing and counts nothing', async t => {
  const s = await challenged(t, { rateLimit: { perAccount: { max: 2, per: '15m' } } })
  const [used, fresh] = [await s.issue(), await s.issue()]
  await s.accept(used, CODE)
  await s.accept(fresh, '0')
  for (let n = 0; n < 3; n++) t.match((await s.accept(used, CODE)).json(), INVALID)
  t.match(await s.accept(fresh, '0'), { statusCode: 401 })
  t.match(await s.accept(fresh, '0'), { statusCode: 429 })
})

t.test('a verify that gives no boolean, or fails, accepts nobody', async t => {
  const s = await challenged(t)
  const token = await s.issue()
  for (const answer of [{ valid: false }, { valid: true }, 1, 'true', undefined, null]) {
    s.options.accept = { purpose: 'totp', verify: () => answer as unknown as boolean }
    t.match((await s.accept(token)).json(), { statusCode: 500, message: /must return true or false/ }, String(answer))
  }
  s.options.accept = { purpose: 'totp', verify: async () => { throw new Error('away') } }
  t.match((await s.accept(token)).json(), { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' })
  s.options.accept = { purpose: 'totp', boundTo: async () => { throw new Error('away') } }
  t.match((await s.accept(token)).json(), { statusCode: 503 })
  s.options.accept = { purpose: 'totp', verify: async () => { await s.app.passwords.check('short'); return true } }
  t.match((await s.accept(token)).json(), { statusCode: 400, code: 'FST_AUTH_PASSWORD_REFUSED' })
  s.options.accept = { purpose: 'totp', verify: () => true }
  t.match(await s.accept(token), { statusCode: 200 }, 'and none of them used it up')
})

/** Answers of a `verify` to a wrong code, other than false. */
const FAILURES: Readonly<Record<string, readonly [answer: () => unknown, status: number]>> = {
  'throws the error of a wrong code': [() => { throw new AuthError('FST_AUTH_CREDENTIALS_INVALID') }, 401],
  'throws another AuthError': [() => { throw new AuthError('FST_AUTH_PASSWORD_REFUSED') }, 400],
  'throws any other error': [() => { throw new Error('wrong') }, 503],
  'returns nothing': [() => undefined, 500]
}

for (const [what, [answer, status]] of Object.entries(FAILURES)) {
  t.test(`brute force: a verify that ${what} at a wrong code gives no unlimited guesses`, async t => {
    const s = await challenged(t, { rateLimit: { perAccount: { max: 2, per: '15m' } } })
    const token = await s.issue()
    s.options.accept = { purpose: 'totp', verify: answer as () => boolean } // what an app without types may give
    const guess = async (): Promise<number> => (await s.accept(token)).statusCode
    t.strictSame([await guess(), await guess(), await guess()], [status, status, 429])
    s.options.accept = { purpose: 'totp', verify: () => true }
    t.match((await s.accept(token)).json(), THROTTLED, 'the right code too')
  })
}

t.test('lockout: a full queue for password hashing is no wrong code', async t => {
  const s = await challenged(t, { rateLimit: { perAccount: { max: 1, per: '15m' } } })
  const token = await s.issue()
  s.options.accept = { purpose: 'totp', verify () { throw new AuthError('FST_AUTH_BUSY') } }
  for (let attempt = 0; attempt < 3; attempt++) t.match((await s.accept(token)).json(), { statusCode: 503, code: 'FST_AUTH_BUSY' })
  s.options.accept = { purpose: 'totp', verify: () => true }
  t.match(await s.accept(token), { statusCode: 200 })
})

t.test('lockout: verify may wait for the hash of a password', async t => {
  const s = await challenged(t, { timeouts: { call: 1, request: 1 }, passwords: { ...FAST_HASHING, queue: { maxWait: 5 } } })
  const token = await s.issue()
  const steps = new EventEmitter()
  const hashed = once(steps, 'hashed')
  s.options.accept = {
    purpose: 'totp',
    async verify () {
      steps.emit('verify')
      await hashed
      return true
    }
  }
  const verifies = once(steps, 'verify')
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const accepted = s.accept(token)
  await verifies
  mock.timers.tick(5999)
  steps.emit('hashed')
  t.match(await accepted, { statusCode: 200 })
})

t.test('a wrong code that verify throws is recorded as one that it returns', async t => {
  const s = await challenged(t)
  s.options.accept = { purpose: 'totp', verify () { throw new AuthError('FST_AUTH_CREDENTIALS_INVALID') } }
  t.match((await s.accept(await s.issue())).json(), WRONG)
  t.match(s.events, exactly({ type: 'login_failed', subject: '1' }))
})

t.test('invalid options are a TypeError', async t => {
  const s = await challenged(t)
  for (const issue of [{ purpose: '' }, { purpose: 'x'.repeat(65) }, { purpose: 7 }, { purpose: 'totp', expiresIn: '5 minutes' }, { purpose: 'totp', expiresIn: 0 }, { purpose: 'totp', expiresIn: -1 }, { purpose: 'totp', expiresIn: Number.MAX_SAFE_INTEGER }, { purpose: 'totp', boundTo: undefined }, { purpose: 'totp', boundTo: 7 }, { purpose: 'totp', boundTo: new Map() }]) {
    s.options.issue = issue as IssueChallengeOptions
    t.match(await s.app.inject({ method: 'POST', url: '/issue', payload: { sub: '1' } }), { statusCode: 500, body: /of a challenge must be/ }, JSON.stringify(issue))
  }
  s.options.issue = { purpose: 'totp' }
  t.match(await s.app.inject({ method: 'POST', url: '/issue', payload: { sub: '' } }), { statusCode: 500 })
  const token = await s.issue()
  s.options.accept = { purpose: '' }
  t.match(await s.accept(token), { statusCode: 500 })
  s.options.accept = { purpose: 'totp', boundTo: 'a value' as never }
  t.match(await s.accept(token), { statusCode: 500, body: /must be a function/ })
  for (const value of [undefined, 7, {}]) {
    s.options.accept = { purpose: 'totp', boundTo: () => value as never }
    t.match(await s.accept(token), { statusCode: 500, body: /must be a string or null/ })
  }
})

t.test('race: each of several challenges of one request is checked again at the login', async t => {
  let current = 'hash one'
  const s = await loggedIn(t, {}, {}, app => {
    app.post('/enter', async ({ auth }) => {
      const [bound, other] = [await auth.issueChallenge('1', { purpose: 'totp', boundTo: current }), await auth.issueChallenge('1', { purpose: 'sms' })]
      const sub = await auth.acceptChallenge(bound, { purpose: 'totp', boundTo: () => current })
      await auth.acceptChallenge(other, { purpose: 'sms' })
      current = 'hash two'
      return await auth.login(sub)
    })
  })
  t.match((await s.app.inject({ method: 'POST', url: '/enter' })).json(), WRONG)
})

t.test('key rotation: a challenge of an instance with a newer secret waits until it is loaded here', async t => {
  const NEW_SECRET = 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x'
  let secrets = [SECRET]
  const store = memoryStore()
  const clock = testClock()
  const options = { clock, store, secret: async () => secrets }
  const running = await challenged(t, options)
  secrets = [NEW_SECRET, SECRET]
  const restarted = await challenged(t, { ...options, users: running.users })
  const token = await restarted.issue()
  secrets = []
  t.match((await running.accept(token)).json(), { code: 'FST_AUTH_STORE_UNAVAILABLE' })
  secrets = [NEW_SECRET, SECRET]
  t.match(await running.accept(token), { statusCode: 200 })
  const fixed = await challenged(t, { clock, store, secret: SECRET, users: running.users })
  t.match((await fixed.accept(await restarted.issue())).json(), INVALID, 'secrets that are no function never change')
})

t.test('a 503 after a challenge says whether it is used up', async t => {
  const s = await challenged(t)
  const enter = async (token: string): Promise<Answer> => await s.app.inject({ method: 'POST', url: '/enter', payload: { token } })
  const [first, second] = [await s.issue(), await s.issue()]
  s.store.faults.push({ moment: 'after', kind: 'throw', call: 'revoke' })
  t.match((await s.accept(first)).json(), { statusCode: 503, message: /^It is unknown whether the challenge was used up/ })
  t.match((await s.accept(first)).json(), INVALID)
  s.store.faults.push({ moment: 'before', kind: 'throw', call: 'create' })
  t.match((await enter(second)).json(), { statusCode: 503, message: /the challenge is used up: start again$/ })
  t.match((await enter(second)).json(), INVALID)
})

t.test('a 503 after a challenge that nothing used up does not say so', async t => {
  const s = await challenged(t, { store: { ...statelessStore(), create: async () => { throw new Error('connect ECONNREFUSED') } } })
  const answer = await s.app.inject({ method: 'POST', url: '/enter', payload: { token: await s.issue() } })
  t.match(answer.json(), { statusCode: 503 })
  t.notMatch(answer.json(), { message: /used up/ })
})

t.test('challenges are in no list of devices, count against no limit of sessions and end with no session', async t => {
  const s = await challenged(t, { sessions: { maxPerUser: 2, whenFull: 'refuseLogin' } })
  const tokens = [await s.issue(), await s.issue(), await s.issue()]
  t.equal((await s.ada.get('/auth/sessions')).json().length, 1)
  t.match(await s.browser().login('ada'), { statusCode: 200 })
  t.equal((await s.app.sessions.list('1')).length, 2)
  const row = String(payloadOf(tokens[0])['jti'])
  t.match(await s.ada.send({ method: 'DELETE', url: `/auth/sessions/${row}` }), { statusCode: 404 }, 'nobody ends one as a session')
  t.equal(await s.app.sessions.revokeAll('1'), 2)
  for (const token of tokens) t.match(await s.accept(token), { statusCode: 200 })
})

t.test('expired challenges are purged', async t => {
  const s = await challenged(t)
  const tokens = [await s.issue(), await s.issue()]
  await s.accept(tokens[0])
  s.wait('1h')
  t.equal(await s.app.sessions.purgeExpired(), 2)
})

t.test('a stateless server accepts a challenge until it expires: it cannot know that it was used', async t => {
  const s = await challenged(t, { store: statelessStore() })
  const token = await s.issue()
  for (let n = 0; n < 2; n++) t.match(await s.accept(token), { statusCode: 200 })
  s.wait('5m')
  t.match((await s.accept(token)).json(), INVALID)
  for (let use = 0; use < 2; use++) t.match(await s.accept(await s.issue(), CODE), { statusCode: 200 }, 'with a code too')
})

t.test('while the store is away no challenge is issued or accepted, and none is lost', async t => {
  const s = await challenged(t)
  const token = await s.issue()
  s.store.faults.push({ moment: 'before', kind: 'throw', call: 'create' }, { moment: 'before', kind: 'throw', call: 'revoke' })
  t.match(await s.app.inject({ method: 'POST', url: '/issue', payload: { sub: '1' } }), { statusCode: 503 })
  t.match(await s.accept(token), { statusCode: 503 })
  t.match(await s.accept(token), { statusCode: 200 })
})
