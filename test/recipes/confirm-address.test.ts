import { EventEmitter, once } from 'node:events'
import t, { type Test } from 'tap'
import { exactly } from '../support/exactly.js'
import { PASSWORD, SECRET, type Answer, type Browser } from '../support/server.js'
import { recipe, type Recipe } from './recipe.js'

interface Person {
  readonly id: number
  readonly username: string
  readonly passwordHash: string
  readonly disabled: boolean
  readonly confirmedAt: Date | null
}

/** As a collation that ignores accents and case. */
function fold (username: string): string {
  return username.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
}

/** The app's table, on a database with such a collation. */
function peopleTable () {
  const rows = new Map<string, Person>()
  const find = (id: string) => [...rows.values()].find(row => String(row.id) === id) ?? null
  const set = (id: string, oldHash: string, columns: Partial<Person>): boolean => {
    const row = find(id)
    if (row?.passwordHash !== oldHash) return false
    rows.set(fold(row.username), { ...row, ...columns })
    return true
  }
  return {
    findById: async (id: string) => find(id),
    findByUsername: async (username: string) => rows.get(fold(username)) ?? null,
    async insert (row: { username: string, passwordHash: string }) {
      if (rows.has(fold(row.username))) return null
      const person = { ...row, id: rows.size + 1, disabled: false, confirmedAt: null }
      rows.set(fold(row.username), person)
      return person
    },
    updatePasswordHash: async (id: string, newHash: string, oldHash: string) => set(id, oldHash, { passwordHash: newHash }),
    confirm: async (id: string, newHash: string, oldHash: string) => set(id, oldHash, { passwordHash: newHash, confirmedAt: new Date() }),
    ban (username: string) { rows.set(fold(username), { ...rows.get(username) as Person, disabled: true }) }
  }
}

interface Signups extends Recipe {
  readonly people: ReturnType<typeof peopleTable>
  readonly mails: string[]
  post (browser: Browser, url: string, payload: object): Promise<Answer>
  /** Signs up; resolves to the mail. */
  mailTo (email: string, password: string): Promise<string>
}

const VICTIM = 'ada@example.com'
const ATTACKERS = 'a password of the attacker'

async function signups (t: Test): Promise<Signups> {
  const people = peopleTable()
  const sent = new EventEmitter()
  const mails: string[] = []
  const s = await recipe(t, 'confirm-address', {
    given: {
      people,
      async send (to: string, text: string) {
        t.equal(to, VICTIM)
        mails.push(text)
        sent.emit('mail')
      }
    }
  })
  const post = async (browser: Browser, url: string, payload: object): Promise<Answer> => await browser.send({ method: 'POST', url, payload })
  return {
    ...s,
    people,
    mails,
    post,
    async mailTo (email, password) {
      const mail = once(sent, 'mail')
      t.match(await post(s.browser(), '/auth/signup', { email, password }), { statusCode: 202, body: '' }, 'for free and taken names alike')
      await mail
      return String(mails.at(-1))
    }
  }
}

function tokenIn (mail: string): string {
  return new URL(mail).hash.slice(1)
}

t.test('a silent signup: the link of the mail confirms the address once, sets the password, and logs in', async t => {
  const s = await signups(t)
  const link = await s.mailTo(VICTIM, PASSWORD)
  t.match(link, /^https:\/\/app\.example\/confirm#eyJ/)
  const ada = s.browser()
  t.match((await s.post(ada, '/auth/login', { email: VICTIM, password: PASSWORD })).json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' }, 'the address is not confirmed')

  const token = tokenIn(link)
  t.match((await s.post(ada, '/confirm', { token })).json(), { code: 'FST_AUTH_PASSWORD_REFUSED' })
  t.match((await s.post(ada, '/confirm', { token, password: VICTIM })).json(), { code: 'FST_AUTH_PASSWORD_REFUSED' }, 'the policy knows the name')
  const forged = await ada.send({ method: 'POST', url: '/confirm', payload: { token, password: PASSWORD }, headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' } })
  t.match(forged.json(), { code: 'FST_AUTH_CROSS_SITE' })
  t.match(await s.post(ada, '/confirm', { token, password: PASSWORD }), { statusCode: 200 }, 'neither a refused password nor another site uses it up')
  t.match(await ada.refresh(), { statusCode: 200 })
  t.match((await s.post(ada, '/confirm', { token, password: PASSWORD })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  t.match(await s.post(ada, '/auth/login', { email: VICTIM, password: PASSWORD }), { statusCode: 200 })
  t.match(await s.mailTo(VICTIM, PASSWORD), /You have an account/)
})

t.test('account pre-hijacking: a password that a stranger signed up with never works', async t => {
  const s = await signups(t)
  const provoked = await s.mailTo(VICTIM, ATTACKERS)
  const own = await s.mailTo(VICTIM, PASSWORD)
  t.match(own, /\/confirm#eyJ/, 'a taken address that is not confirmed gets another link')
  t.match(await s.post(s.browser(), '/confirm', { token: tokenIn(provoked), password: PASSWORD }), { statusCode: 200 }, 'whichever link the owner follows')
  t.match(await s.post(s.browser(), '/auth/login', { email: VICTIM, password: ATTACKERS }), { statusCode: 401 })
  t.match(await s.post(s.browser(), '/auth/login', { email: VICTIM, password: PASSWORD }), { statusCode: 200 })
  t.match((await s.post(s.browser(), '/confirm', { token: tokenIn(own), password: ATTACKERS })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' }, 'the other links end')
})

t.test('a link that has expired: another signup sends a new one', async t => {
  const s = await signups(t)
  const old = tokenIn(await s.mailTo(VICTIM, ATTACKERS))
  s.wait('2d')
  t.match((await s.post(s.browser(), '/confirm', { token: old, password: PASSWORD })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  const token = tokenIn(await s.mailTo(VICTIM, crypto.randomUUID()))
  t.match(await s.post(s.browser(), '/confirm', { token, password: PASSWORD }), { statusCode: 200 })
})

t.test('a link that was not used does not end a ban', async t => {
  const s = await signups(t)
  const token = tokenIn(await s.mailTo(VICTIM, PASSWORD))
  s.people.ban(VICTIM)
  t.match((await s.post(s.browser(), '/confirm', { token, password: PASSWORD })).json(), { code: 'FST_AUTH_USER_REFUSED' })
  t.match(await s.post(s.browser(), '/auth/login', { email: VICTIM, password: PASSWORD }), { statusCode: 401 })
})

t.test('a banned user who never confirmed gets no link', async t => {
  const s = await signups(t)
  await s.mailTo(VICTIM, PASSWORD)
  s.people.ban(VICTIM)
  t.match(await s.post(s.browser(), '/auth/signup', { email: VICTIM, password: PASSWORD }), { statusCode: 202 })
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
  t.equal(s.mails.length, 1)
})

t.test('a look-alike address gets no mail about the account that it finds', async t => {
  const s = await signups(t)
  await s.mailTo(VICTIM, PASSWORD)
  const link = await s.mailTo('adá@example.com', ATTACKERS) // `send` checks where the mail goes
  t.match(link, /\/confirm#eyJ/)
  await s.post(s.browser(), '/confirm', { token: tokenIn(link), password: PASSWORD })
  t.match(await s.mailTo('ADA@example.com', ATTACKERS), /You have an account/)
})

t.test('a silent signup: the mail goes to the address of the account', async t => {
  const sent = new EventEmitter()
  const people = peopleTable()
  const { browser } = await recipe(t, 'silent-signup', { given: { people, secret: SECRET, sendMail: async (to: string, user: object | null) => { sent.emit('mail', to, user) } } })
  const mailOf = async (email: string): Promise<unknown[]> => {
    const mail = once(sent, 'mail')
    t.match(await browser().send({ method: 'POST', url: '/auth/signup', payload: { email, password: PASSWORD } }), { statusCode: 202 })
    return await mail
  }
  t.match(await mailOf(VICTIM), exactly(VICTIM, { username: VICTIM }))
  t.strictSame(await mailOf('adá@example.com'), [VICTIM, null])
})
