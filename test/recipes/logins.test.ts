import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mock } from 'node:test'
import { fastifyOauth2 } from '@fastify/oauth2'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import * as library from '../../lib/index.js'
import { HOST, loggedIn, ORIGIN, PASSWORD, payloadOf, setCookies, type Answer, type Browser, type LoggedIn } from '../support/server.js'
import { softwareAuthenticator } from '../support/software-authenticator.js'

const page = ['logins', 'mail', 'users'].map(name => readFileSync(`docs/${name}.md`, 'utf8')).join('')

/** The headers of a page of another site. */
const CROSS_SITE = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }

interface RecipeServer extends LoggedIn {
  /** The modules that the sample imports. */
  readonly modules: Readonly<Record<string, unknown>>
  post (url: string, payload: object): Promise<Answer>
}

/** Waits for the work of a route after its reply. */
async function turns (): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** An import of a sample: all names in braces, or one default. */
const IMPORT = /^import (\{ .* \}|\w+) from '(.*)'$/gm

/** The sample below `<!-- recipe: name -->`. */
function printed (name: string): string {
  const [, code = 'throw new Error("there is no such recipe")'] = new RegExp(`<!-- recipe: ${name} -->\\n<!--.*-->\\n\`\`\`js\\n([^]*?)^\`\`\`$`, 'm').exec(page) ?? []
  return code
}

/** Runs these samples, separated by a comma, as one module, with these variables besides `app` and `users`. */
async function recipe (t: Test, names: string, given: Record<string, unknown>, perAccount: { max: number, per: '15m' } = { max: 3, per: '15m' }): Promise<RecipeServer> {
  const sample = names.split(', ').map(printed).join('')
  const modules: Record<string, unknown> = {}
  for (const [, , path = ''] of sample.matchAll(IMPORT)) modules[path] = path === 'fastify-refresh-cookie' ? library : await import(path)
  // `var`, since two samples may import one name.
  const code = sample.replace(IMPORT, (_line, imported: string, path: string) => `var ${imported.startsWith('{') ? imported : `{ default: ${imported} }`} = modules['${path}']`)
  let app: FastifyInstance | undefined
  const users = { findById: (sub: string) => s.users.findById(sub), findByUsername: (name: string) => s.users.findByUsername(name), updatePasswordHash: (...row: Parameters<LoggedIn['users']['updatePasswordHash']>) => s.users.updatePasswordHash(...row) }
  const AsyncFunction = Object.getPrototypeOf(recipe).constructor as typeof Function // the only way to it
  const s: LoggedIn = await loggedIn(t, { rateLimit: { perAccount } }, {}, made => {
    app = made
    AsyncFunction('app', 'users', 'modules', ...Object.keys(given), code)(app, users, modules, ...Object.values(given))
  })
  return { ...s, modules, post: async (url, payload) => await s.app.inject({ method: 'POST', url, payload }) }
}

/** A row of the app's table of TOTP secrets. */
interface Authenticator { readonly id: number, readonly sub: string, readonly secret: string, isConfirmed: boolean, lastStep: number }

function authenticatorsTable () {
  let rows: Authenticator[] = []
  let next = 0
  const find = (id: number): Authenticator => rows.find(row => row.id === id) as Authenticator
  return {
    findByUser: async (sub: string) => rows.find(row => row.sub === sub && row.isConfirmed),
    findProposed: async (sub: string, id: number) => rows.find(row => row.sub === sub && row.id === id && !row.isConfirmed),
    async propose (sub: string, secret: string) {
      const id = next++
      rows.push({ id, sub, secret, isConfirmed: false, lastStep: 0 })
      return id
    },
    async confirm (id: number, currentId: number | undefined) {
      const proposed = rows.find(row => row.id === id) // undefined once another one is confirmed
      if (proposed === undefined || rows.find(row => row.sub === proposed.sub && row.isConfirmed)?.id !== currentId) return false
      rows = rows.filter(row => row === proposed || row.sub !== proposed.sub)
      proposed.isConfirmed = true
      return true
    },
    async advance (id: number, step: number) {
      const row = find(id)
      const isNew = step > row.lastStep
      row.lastStep = Math.max(step, row.lastStep)
      return isNew
    }
  }
}

function recoveryCodesTable () {
  const rows = new Map<string, Set<string>>()
  return {
    use: async (sub: string, hash: string) => rows.get(sub)?.delete(hash) ?? false,
    async replace (sub: string, hashes: readonly string[]) { rows.set(sub, new Set(hashes)) },
    hashesOf: (sub: string): string[] => [...rows.get(sub) ?? []]
  }
}

/** The codes of an authenticator app, for a reply of `/totp/new`; otplib uses the machine's clock. */
function codesOf ({ modules }: RecipeServer, reply: Answer): (seconds: number) => string {
  const otplib = modules['otplib'] as { generateSync (options: { secret: string, epoch: number }): string } // what the sample imports; the types of its module are not needed for one function
  const secret = String(new URL(reply.json().uri).searchParams.get('secret'))
  return epoch => otplib.generateSync({ secret, epoch })
}

t.test('a second factor: password, then code', async t => {
  const s = await recipe(t, 'second-factor', { authenticators: authenticatorsTable(), recoveryCodes: recoveryCodesTable() })
  t.match(await s.post('/login', { username: 'ada', password: PASSWORD }), { statusCode: 200 }, 'without a second factor the password logs in')
  const proposal = await s.ada.send({ method: 'POST', url: '/totp/new' })
  const codeAt = codesOf(s, proposal)
  const now = Math.floor(Date.now() / 1000)
  const { id, challenge: proposed } = proposal.json()
  const confirm = async (code: string): Promise<Answer> => await s.ada.send({ method: 'POST', url: '/totp', payload: { id, challenge: proposed, code } })
  for (const [code, status] of [['000000', 401], ['', 401], [codeAt(now - 30), 200]] as const) t.equal((await confirm(code)).statusCode, status)
  t.match((await confirm(codeAt(now))).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' }, 'it was confirmed')
  const stepOne = async (password = PASSWORD): Promise<Answer> => await s.post('/login', { username: 'ada', password })
  t.match(await stepOne('wrong password'), { statusCode: 401 })
  const first = await stepOne()
  t.strictSame(setCookies(first), [], 'the password alone logs nobody in')
  const payload = { challenge: first.json().challenge, code: codeAt(now) }
  t.match((await s.app.inject({ method: 'POST', url: '/login/totp', payload, headers: CROSS_SITE })).json(), { code: 'FST_AUTH_CROSS_SITE' }, 'another site does not use the challenge up')
  const entered = await s.post('/login/totp', payload)
  t.match(entered, { statusCode: 200 })
  t.equal(setCookies(entered).length, 1)
  t.match(await s.post('/login/totp', { challenge: (await stepOne()).json().challenge, code: codeAt(now) }), { statusCode: 401 }, 'a code is accepted once')
  t.match(await s.post('/login/totp', { challenge: (await stepOne()).json().challenge, code: codeAt(now + 30) }), { statusCode: 200 }, 'a clock that is a step ahead is tolerated')

  const { challenge } = (await stepOne()).json()
  s.users.change('ada', { passwordHash: await s.app.passwords.hash('another good password') })
  t.match((await s.post('/login/totp', { challenge, code: codeAt(now + 60) })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' }, 'a changed password ends it')
  const statuses: number[] = []
  for (const code of ['', 123456, codeAt(now - 3600), codeAt(now - 7200), codeAt(now + 30)]) {
    statuses.push((await s.post('/login/totp', { challenge: (await stepOne('another good password')).json().challenge, code })).statusCode)
  }
  t.strictSame(statuses, [401, 401, 401, 429, 429])
})

t.test('a second factor: a code of the old authenticator is needed for a new one', async t => {
  const authenticators = authenticatorsTable()
  const s = await recipe(t, 'second-factor', { authenticators, recoveryCodes: recoveryCodesTable() })
  const post = async (browser: Browser, url: string, payload: object = {}): Promise<Answer> => await browser.send({ method: 'POST', url, payload })
  const now = Math.floor(Date.now() / 1000)
  const enrol = async (browser: Browser, body: object = {}): Promise<(seconds: number) => string> => {
    const proposal = await post(browser, '/totp/new', body)
    const codeAt = codesOf(s, proposal)
    t.match(await post(browser, '/totp', { ...proposal.json(), code: codeAt(now) }), { statusCode: 200 })
    return codeAt
  }
  const codeAt = await enrol(s.ada)
  const eve = s.browser()
  await eve.signup('eve')
  const evesCodeAt = await enrol(eve)

  const asked = (await post(s.ada, '/totp/new')).json()
  t.strictSame(Object.keys(asked), ['challenge'], 'an access token of a fresh login is not enough')
  t.match(await post(s.ada, '/totp', { challenge: asked.challenge, code: codeAt(now + 30) }), { statusCode: 401 }, 'nothing is proposed')
  const { challenge: evesChallenge } = (await post(eve, '/totp/new')).json()
  t.match(await post(s.ada, '/totp/new', { challenge: evesChallenge, code: evesCodeAt(now + 30) }), { statusCode: 401 }, 'the second factor of another user')
  t.match((await post(s.ada, '/totp/new', { challenge: 'forged', code: codeAt(now + 30) })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  t.match(await post(s.ada, '/totp/new', { challenge: asked.challenge, code: '' }), { statusCode: 401 })

  await enrol(s.ada, { challenge: asked.challenge, code: codeAt(now + 30) })
  t.not((await authenticators.findByUser('1'))?.id, 0, 'the new one is in its place')
  const again = (await post(s.ada, '/totp/new')).json().challenge
  const statuses: number[] = []
  for (let guess = 0; guess < 4; guess++) statuses.push((await post(s.ada, '/totp/new', { challenge: again, code: '12345x' })).statusCode)
  t.strictSame(statuses, [401, 401, 401, 429], 'guesses are limited')
})

t.test('race: a login by the password alone does not survive a second factor that is confirmed at that moment', async t => {
  const table = authenticatorsTable()
  const [asked, answered] = [new EventEmitter(), new EventEmitter()]
  let isHeld = false
  const findByUser: typeof table.findByUser = async sub => {
    const found = await table.findByUser(sub)
    if (isHeld) {
      isHeld = false
      asked.emit('once')
      await once(answered, 'once')
    }
    return found
  }
  const s = await recipe(t, 'second-factor', { authenticators: { ...table, findByUser }, recoveryCodes: recoveryCodesTable() })
  const proposal = await s.ada.send({ method: 'POST', url: '/totp/new' })
  isHeld = true
  const thief = s.browser()
  const login = thief.send({ method: 'POST', url: '/login', payload: { username: 'ada', password: PASSWORD } })
  await once(asked, 'once')
  t.match(await s.ada.send({ method: 'POST', url: '/totp', payload: { ...proposal.json<object>(), code: codesOf(s, proposal)(Math.floor(Date.now() / 1000)) } }), { statusCode: 200 })
  answered.emit('once')
  t.strictSame(Object.keys((await login).json()), ['challenge'])
  t.match((await thief.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_MISSING' })
  t.strictSame((await s.app.sessions.list('1')).length, 1, 'the session of the owner')
})

t.test('race: a proposal that is stored after another one was confirmed is void, and the other sessions have ended', async t => {
  const table = authenticatorsTable()
  let store = (): void => {}
  let isLate = false
  const propose: typeof table.propose = async (...row) => {
    if (isLate) await new Promise<void>(resolve => { store = resolve })
    return await table.propose(...row)
  }
  const s = await recipe(t, 'second-factor', { authenticators: { ...table, propose }, recoveryCodes: recoveryCodesTable() })
  const thief = s.browser()
  await thief.login('ada')
  const post = async (browser: Browser, url: string, payload: object = {}): Promise<Answer> => await browser.send({ method: 'POST', url, payload })
  const now = Math.floor(Date.now() / 1000)
  const proposal = await post(s.ada, '/totp/new')
  isLate = true
  const pending = post(thief, '/totp/new')
  await turns()
  t.match(await post(s.ada, '/totp', { ...proposal.json(), code: codesOf(s, proposal)(now) }), { statusCode: 200 })
  store()
  const late = await pending
  t.match((await thief.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  await thief.login('ada')
  t.match((await post(thief, '/totp', { ...late.json(), code: codesOf(s, late)(now) })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  t.match(await table.findByUser('1'), { id: 0 }, 'the confirmed one stays')
})

t.test('a second factor: guesses of the first code of a new authenticator are limited', async t => {
  mock.timers.enable({ apis: ['Date'], now: Date.now() })
  t.teardown(() => mock.timers.reset())
  const s = await recipe(t, 'second-factor', { authenticators: authenticatorsTable(), recoveryCodes: recoveryCodesTable() }, { max: 10, per: '15m' })
  const post = async (url: string, payload: object = {}): Promise<Answer> => await s.ada.send({ method: 'POST', url, payload })
  const propose = async (): Promise<{ id: number, challenge: string, codeAt: (seconds: number) => string }> => {
    const proposal = await post('/totp/new')
    return { ...proposal.json(), codeAt: codesOf(s, proposal) }
  }
  const now = Math.floor(Date.now() / 1000)
  const statuses: number[] = []
  for (let guess = 1; guess <= 11; guess++) {
    const { id, challenge, codeAt } = await propose()
    statuses.push((await post('/totp', { id, challenge, code: codeAt(now - 3600) })).statusCode)
  }
  t.strictSame(statuses, [...Array<number>(10).fill(401), 429], 'however many challenges they are spread over')
  const { id, challenge, codeAt } = await propose()
  t.match(await post('/totp', { id, challenge, code: codeAt(now) }), { statusCode: 429 }, 'a right code too')
  mock.timers.tick(15 * 60_000) // limits and otplib use the machine's clock
  t.match(await post('/totp', { id, challenge, code: codeAt(now + 15 * 60) }), { statusCode: 200 })
})

t.test('race: of two authenticators that are confirmed at once one is refused, and leaves the other and its recovery codes', async t => {
  const [table, codes] = [authenticatorsTable(), recoveryCodesTable()]
  let proposals = 0
  let arrived = 0
  let both = (): void => {}
  const atOnce = new Promise<void>(resolve => { both = resolve })
  const authenticators = {
    ...table,
    async findProposed (sub: string, id: number) {
      const row = await table.findProposed(sub, id)
      if (++arrived === 2) both()
      await atOnce
      return row
    },
    async propose (sub: string, secret: string) {
      proposals++
      return await table.propose(sub, secret)
    }
  }
  const s = await recipe(t, 'second-factor', { authenticators, recoveryCodes: codes })
  const thief = s.browser()
  await thief.login('ada')
  const now = Math.floor(Date.now() / 1000)
  const people = [s.ada, thief]
  const proposed = await Promise.all(people.map(async person => await person.send({ method: 'POST', url: '/totp/new' })))
  t.equal(proposals, 2)
  const answers = await Promise.all(people.map(async (person, nth) => {
    const proposal = proposed[nth] as Answer // each person has one
    const { id, challenge } = proposal.json()
    return await person.send({ method: 'POST', url: '/totp', payload: { id, challenge, code: codesOf(s, proposal)(now) } })
  }))
  t.strictSame(answers.map(({ statusCode }) => statusCode).sort(), [200, 409])
  const winner = answers.findIndex(({ statusCode }) => statusCode === 200)
  t.equal((await table.findByUser('1'))?.id, proposed[winner]?.json().id)
  const { challenge } = (await s.post('/login', { username: 'ada', password: PASSWORD })).json()
  t.match(await s.post('/login/totp', { challenge, code: answers[winner]?.json().recoveryCodes[0] }), { statusCode: 200 }, 'its recovery codes work')
})

t.test('a second factor: a code of a confirmed authenticator confirms nothing', async t => {
  const table = authenticatorsTable()
  const authenticators = { ...table, findProposed: async (sub: string, id: number) => await table.findByUser(sub) ?? await table.findProposed(sub, id) } // a mistake of the app
  const recoveryCodes = recoveryCodesTable()
  const s = await recipe(t, 'second-factor', { authenticators, recoveryCodes })
  const post = async (url: string, payload: object = {}): Promise<Answer> => await s.ada.send({ method: 'POST', url, payload })
  const now = Math.floor(Date.now() / 1000)
  const proposal = await post('/totp/new')
  const codeAt = codesOf(s, proposal)
  t.match(await post('/totp', { ...proposal.json(), code: codeAt(now) }), { statusCode: 200 })
  const hashes = recoveryCodes.hashesOf('1')
  const another = await post('/totp/new')
  for (const body of [proposal.json(), another.json(), {}]) {
    t.match((await post('/totp', { ...body, code: codeAt(now + 30) })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  }
  t.strictSame(recoveryCodes.hashesOf('1'), hashes, 'and shows no recovery codes')
})

t.test('a second factor: a recovery code is accepted once, in place of the phone', async t => {
  const recoveryCodes = recoveryCodesTable()
  const s = await recipe(t, 'second-factor', { authenticators: authenticatorsTable(), recoveryCodes })
  const now = Math.floor(Date.now() / 1000)
  const enrol = async (body: object): Promise<string[]> => {
    const proposal = await s.ada.send({ method: 'POST', url: '/totp/new', payload: body })
    const payload = { ...proposal.json(), code: codesOf(s, proposal)(now) }
    return (await s.ada.send({ method: 'POST', url: '/totp', payload })).json().recoveryCodes
  }
  const codes = await enrol({})
  t.equal(new Set(codes).size, 10)
  t.ok(codes.every(code => /^[\da-f]{20}$/.test(code)))
  t.strictSame(recoveryCodes.hashesOf('1').filter(hash => codes.some(code => hash.includes(code))), [], 'the table has hashes only')

  const { challenge: first } = (await s.post('/login', { username: 'ada', password: PASSWORD })).json()
  t.match(await s.post('/login/totp', { challenge: first, code: codes[0] }), { statusCode: 200 })
  const { challenge } = (await s.post('/login', { username: 'ada', password: PASSWORD })).json()
  t.match(await s.post('/login/totp', { challenge, code: codes[0] }), { statusCode: 401 }, 'once')
  const race = await Promise.all([1, 2].map(async () => {
    const { challenge } = (await s.post('/login', { username: 'ada', password: PASSWORD })).json()
    return (await s.post('/login/totp', { challenge, code: codes[1] })).statusCode
  }))
  t.strictSame(race.sort(), [200, 401])

  const asked = (await s.ada.send({ method: 'POST', url: '/totp/new' })).json().challenge
  const later = await enrol({ challenge: asked, code: codes[2] })
  t.equal(later.length, 10, 'it replaces a lost authenticator')
  t.equal(recoveryCodes.hashesOf('1').length, 10)
  t.match(await s.post('/login/totp', { challenge, code: codes[3] }), { statusCode: 401 }, 'the earlier ones end')
})

t.test('a password change with a second factor: the old password and a code', async t => {
  const s = await recipe(t, 'second-factor, password-with-code', { authenticators: authenticatorsTable(), recoveryCodes: recoveryCodesTable() })
  const post = async (browser: Browser, url: string, payload: object = {}): Promise<Answer> => await browser.send({ method: 'POST', url, payload })
  const now = Math.floor(Date.now() / 1000)
  const enrol = async (browser: Browser): Promise<(seconds: number) => string> => {
    const proposal = await post(browser, '/totp/new')
    await post(browser, '/totp', { ...proposal.json(), code: codesOf(s, proposal)(now) })
    return codesOf(s, proposal)
  }
  const passwords = { currentPassword: PASSWORD, newPassword: 'another good password' }
  const bob = s.browser()
  await bob.signup('bob')
  t.match(await post(bob, '/password', passwords), { statusCode: 200 }, 'without a second factor the password is enough')

  const codeAt = await enrol(s.ada)
  const eve = s.browser()
  await eve.signup('eve')
  const evesCodeAt = await enrol(eve)
  t.match(await post(s.browser(), '/password', passwords), { statusCode: 401 }, 'visitors have none')
  t.match(await post(s.ada, '/password', { ...passwords, currentPassword: 'wrong password' }), { statusCode: 401 })
  t.match((await post(s.ada, '/password', { ...passwords, newPassword: 'x' })).json(), { code: 'FST_AUTH_PASSWORD_REFUSED' })
  const asked = await post(s.ada, '/password', passwords)
  t.strictSame([Object.keys(asked.json()), setCookies(asked)], [['challenge'], []], 'the password alone starts no session')
  const { challenge } = asked.json()
  const { challenge: evesChallenge } = (await post(eve, '/password', passwords)).json()
  t.match(await post(s.ada, '/password', { ...passwords, challenge: evesChallenge, code: evesCodeAt(now + 30) }), { statusCode: 401 }, 'the second factor of another user')
  t.match(await post(s.ada, '/password', { ...passwords, challenge, code: '12345x' }), { statusCode: 401 })
  const other = s.ada.copy()
  const changed = await post(s.ada, '/password', { ...passwords, challenge, code: codeAt(now + 30) })
  t.match(changed, { statusCode: 200 })
  t.match(await s.ada.refresh(), { statusCode: 200 })
  t.match(await other.refresh(), { statusCode: 401 }, 'the other sessions have ended')
  t.match(await s.post('/login', { username: 'ada', password: PASSWORD }), { statusCode: 401 })
  t.match(await s.post('/login', { username: 'ada', password: passwords.newPassword }), { statusCode: 200 })
})

t.test('passkeys: one is added after a fresh login, and logs in', async t => {
  const rows = new Map<string, { id: string, counter: number, userId: string }>()
  const passkeys = {
    insert: async (row: { id: string, counter: number, userId: string }) => { rows.set(row.id, row) },
    findById: async (id: string) => rows.get(id),
    updateCounter: async (id: string, counter: number) => { Object.assign(rows.get(id) ?? {}, { counter }) }
  }
  const s = await recipe(t, 'passkeys', { passkeys })
  const authenticator = softwareAuthenticator('app.example')
  const post = async (browser: Browser, url: string, payload: object = {}): Promise<Answer> => await browser.send({ method: 'POST', url, payload })
  const challengeAt = async (browser: Browser, url: string): Promise<string> => (await post(browser, url)).json().challenge
  const newChallenge = async (): Promise<string> => await challengeAt(s.ada, '/passkeys/options')
  const loginChallenge = async (): Promise<string> => await challengeAt(visitor, '/login/passkey/options')
  const visitor = s.browser()

  t.match(await post(visitor, '/passkeys/options'), { statusCode: 401 }, 'visitors add none')
  const created = authenticator.create(await newChallenge(), ORIGIN)
  t.match(await post(visitor, '/login/passkey', authenticator.get(await loginChallenge(), ORIGIN)), { statusCode: 401 }, 'it is unknown yet')
  t.match(await post(s.ada, '/passkeys', authenticator.create(await loginChallenge(), ORIGIN)), { statusCode: 401 }, 'a challenge has one purpose')
  const eve = s.browser()
  await eve.signup('eve')
  t.match(await post(eve, '/passkeys', authenticator.create(await newChallenge(), ORIGIN)), { statusCode: 401 }, 'a challenge has one user')
  t.equal(rows.size, 0)
  t.match(await post(s.ada, '/passkeys', created), { statusCode: 201 })

  const signed = authenticator.get(await loginChallenge(), ORIGIN)
  const entered = await post(visitor, '/login/passkey', signed)
  t.match(entered, { statusCode: 200 })
  t.equal(payloadOf(entered.json().access_token)['sub'], '1')
  t.match(await visitor.refresh(), { statusCode: 200 })
  t.match((await post(visitor, '/login/passkey', signed)).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' }, 'a signature is accepted once')

  const another = softwareAuthenticator('app.example').get(await loginChallenge(), ORIGIN)
  const refused = {
    'the signature of another key': { ...another, id: [...rows.keys()][0], rawId: [...rows.keys()][0] },
    'the page of another site': authenticator.get(await loginChallenge(), 'https://evil.example'),
    'a challenge of its own': authenticator.get('bm90IG91cnM', ORIGIN)
  }
  for (const [why, response] of Object.entries(refused)) {
    const answer = await post(s.browser(), '/login/passkey', response)
    t.match(answer, { statusCode: 401 }, why)
    t.strictSame(setCookies(answer), [])
  }
  s.wait('6m')
  t.match((await post(s.ada, '/passkeys/options')).json(), { code: 'FST_AUTH_FRESH_LOGIN_REQUIRED' })
})

/** A provider of OpenID Connect on loopback, with one user; each code can be redeemed once, with the verifier of its PKCE challenge. */
async function openidProvider (t: Test, sub: string): Promise<{ issuer: string, authorize (url: URL): string, fail (): void }> {
  const provider = Fastify()
  const challenges = new Map<string, string>()
  provider.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, async (_request: unknown, body: string) => Object.fromEntries(new URLSearchParams(body)))
  provider.get('/.well-known/openid-configuration', async () => ({
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    userinfo_endpoint: `${issuer}/userinfo`,
    code_challenge_methods_supported: ['S256']
  }))
  provider.post<{ Body: { code: string, code_verifier: string } }>('/token', async ({ body, headers }, reply) => {
    const challenge = challenges.get(body.code)
    challenges.delete(body.code)
    const isClient = headers.authorization === `Basic ${btoa('shop:its-secret')}`
    const isGranted = isClient && challenge === createHash('sha256').update(body.code_verifier).digest('base64url')
    return isGranted ? { access_token: 'of the provider', token_type: 'Bearer', expires_in: 60 } : await reply.code(400).send({ error: 'invalid_grant' })
  })
  let isBusy = false
  provider.get('/userinfo', async ({ headers }, reply) => {
    if (isBusy) return await reply.code(503).send({ error: 'temporarily_unavailable' })
    return headers.authorization === 'Bearer of the provider' ? { sub } : await reply.code(401).send()
  })
  const issuer = await provider.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await provider.close() })

  return {
    issuer,
    /** From now on it answers `/userinfo` with an error. */
    fail () { isBusy = true },
    /** The user agrees: the path of the callback. */
    authorize ({ searchParams }) {
      const code = `code ${challenges.size}`
      challenges.set(code, searchParams.get('code_challenge') ?? '')
      const callback = new URL(searchParams.get('redirect_uri') ?? '')
      return `${callback.pathname}?${new URLSearchParams({ code, state: searchParams.get('state') ?? '' }).toString()}`
    }
  }
}

t.test('Google, or another OpenID provider: the state is checked, then the cookie is set', async t => {
  const provider = await openidProvider(t, 'ada at the provider')
  const linkedAccounts = { findOrCreate: async (sub: string) => ({ id: sub === 'ada at the provider' ? '1' : '2' }) }
  const s = await recipe(t, 'openid', { issuer: provider.issuer, clientId: 'shop', clientSecret: 'its-secret', linkedAccounts })
  const begin = async (browser: Browser): Promise<string> => provider.authorize(new URL(String((await browser.get('/login/google')).headers.location)))
  const comeBack = async (browser: Browser, url: string): Promise<Answer> => {
    const answer = await s.app.inject({ url, headers: { host: HOST, cookie: browser.jar.header(url) ?? '', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' } })
    browser.jar.store(answer.headers['set-cookie'])
    return answer
  }

  const browser = s.browser()
  const callback = await begin(browser)
  const arrived = await comeBack(browser, callback)
  t.match(arrived, { statusCode: 303, headers: { location: /^\/$/ } })
  t.type(browser.cookie(), 'string')
  t.match(await browser.refresh(), { statusCode: 200 })
  t.equal(payloadOf(browser.accessToken)['sub'], '1')

  const refused = async (visitor: Browser, url: string, why: string): Promise<void> => {
    t.match(await comeBack(visitor, url), { statusCode: 303, headers: { location: /^\/login\?failed$/ } }, why)
    t.equal(visitor.cookie(), undefined)
  }
  const withParameters = (url: string, changes: Record<string, string>): string => {
    const query = new URLSearchParams(url.split('?')[1])
    for (const [name, value] of Object.entries(changes)) query.set(name, value)
    return `/login/google/callback?${query.toString()}`
  }
  const visitor = s.browser()
  await refused(visitor, await begin(s.browser()), 'the code of an attacker, in a browser that began no login')
  await refused(visitor, '/login/google/callback?code=code', 'no state')
  await refused(visitor, withParameters(await begin(visitor), { state: 'another' }), 'another state')
  await refused(visitor, withParameters(await begin(visitor), { code: 'another' }), 'a code that the provider did not issue')
  await refused(visitor, withParameters(await begin(visitor), { error: 'access_denied', code: '' }), 'the user cancelled')
  provider.fail()
  await refused(visitor, await begin(visitor), 'account takeover: an error of the provider is no user')
})

t.test('GitHub: its number of the user is the account, from its API', async t => {
  const provider = await openidProvider(t, 'unused')
  const asked: unknown[] = []
  const answers = [Response.json({ message: 'Bad credentials' }, { status: 401 }), Response.json({ id: 583231, login: 'ada' })]
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    asked.push([url, init.headers])
    return answers.shift() as Response
  }
  const linked: string[] = []
  const linkedAccounts = {
    async findOrCreate (key: string) {
      linked.push(key)
      return { id: '1' }
    }
  }
  const real = { ...fastifyOauth2.GITHUB_CONFIGURATION }
  Object.assign(fastifyOauth2.GITHUB_CONFIGURATION, { tokenHost: provider.issuer, tokenPath: '/token', authorizePath: '/authorize' })
  t.teardown(() => { Object.assign(fastifyOauth2.GITHUB_CONFIGURATION, real) })
  const s = await recipe(t, 'github', { clientId: 'shop', clientSecret: 'its-secret', linkedAccounts, fetch })
  const logIn = async (browser: Browser): Promise<Answer> => {
    const url = provider.authorize(new URL(String((await browser.get('/login/github')).headers.location)))
    const answer = await s.app.inject({ url, headers: { host: HOST, cookie: browser.jar.header(url) ?? '', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' } })
    browser.jar.store(answer.headers['set-cookie'])
    return answer
  }

  const browser = s.browser()
  t.match(await logIn(browser), { statusCode: 303, headers: { location: '/login?failed' } }, 'GitHub refuses')
  t.equal(browser.cookie(), undefined)
  t.match(await logIn(browser), { statusCode: 303, headers: { location: /^\/$/ } })
  t.match(await browser.refresh(), { statusCode: 200 })
  t.strictSame(linked, ['github 583231'])
  t.strictSame(asked.at(-1), ['https://api.github.com/user', { authorization: 'Bearer of the provider', 'user-agent': 'shop' }])
})

t.test('a login link: shown by GET, used up by its button', async t => {
  const sent: string[] = []
  const s = await recipe(t, 'login-link', { send: (_user: unknown, link: string) => { sent.push(link) } })
  const replies = [await s.post('/login/mail', { username: 'ada' }), await s.post('/login/mail', { username: 'nobody' })]
  t.strictSame(replies.map(({ statusCode, body }) => [statusCode, body]), [[202, ''], [202, '']])
  await turns()
  t.equal(sent.length, 1)
  t.match(sent[0], /^https:\/\/app\.example\/login\/link#[\w.-]+$/, 'no server logs what is behind the #')
  const browser = s.browser()
  const press = async (link = '', headers: Record<string, string> = {}): Promise<Answer> => {
    return await browser.send({ method: 'POST', url: '/login/link', payload: { token: new URL(link).hash.slice(1) }, headers }) // as the script of the page does
  }

  for (let scan = 0; scan < 3; scan++) {
    const opened = await browser.get('/login/link')
    t.match(opened, { statusCode: 200, headers: { 'content-type': 'text/html' } })
    t.match(opened.body, /<button>.*location\.hash/s)
    t.strictSame(setCookies(opened), [], 'to open the link logs nobody in')
  }
  t.match(await press(sent[0]), { statusCode: 200 })
  t.match(await browser.refresh(), { statusCode: 200 })
  t.match((await press(sent[0])).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' }, 'it is used once')

  await s.post('/login/mail', { username: 'ada' })
  await turns()
  const forged = await press(sent[1], CROSS_SITE)
  t.match(forged.json(), { code: 'FST_AUTH_CROSS_SITE' }, 'another site cannot log its visitors in')
  t.strictSame(setCookies(forged), [])
  t.match(await press(sent[1]), { statusCode: 200 }, 'nor use the link up')
  await s.post('/login/mail', { username: 'ada' })
  await turns()
  s.wait('15m')
  t.match((await press(sent[2])).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' }, 'it expires')
  await s.post('/login/mail', { username: 'ada' })
  await turns()
  s.users.change('ada', { username: 'ada@new.example' })
  t.match((await press(sent[3])).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' }, 'a change of the address ends it')
})

t.test('a password reset: one link, one new password', async t => {
  const sent: string[] = []
  const s = await recipe(t, 'password-reset', { send: (_user: unknown, link: string) => { sent.push(new URL(link).hash.slice(1)) } })
  const replies = [await s.post('/forgot', { username: 'ada' }), await s.post('/forgot', { username: 'nobody' }), await s.post('/forgot', { username: 'ada' })]
  t.strictSame(replies.map(({ statusCode, body }) => [statusCode, body]), Array(3).fill([202, '']))
  await turns()
  const [token, older] = sent
  t.match(await s.post('/reset', { token, password: 'x' }), { statusCode: 400 }, 'a refused password does not use it up')
  t.match((await s.app.inject({ method: 'POST', url: '/reset', payload: { token, password: 'another good password' }, headers: CROSS_SITE })).json(), { code: 'FST_AUTH_CROSS_SITE' })
  t.match(await s.post('/reset', { token, password: 'another good password' }), { statusCode: 204 }, 'nor another site')
  t.match(await s.ada.refresh(), { statusCode: 401 }, 'the sessions have ended')
  for (const used of [token, older]) t.match((await s.post('/reset', { token: used, password: 'a third good password' })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  t.match(await s.browser().login('ada', { password: 'another good password' }), { statusCode: 200 })
})
