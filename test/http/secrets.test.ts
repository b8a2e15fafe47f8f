import t from 'tap'
import { memoryStore } from '../../lib/index.js'
import { COOKIE, forget, loggedIn, robbed, SECRET, testClock, type Answer, type Browser, type LoggedIn } from '../support/server.js'

/** Passwords with unique beginnings, since a message may quote only the first characters of a body. */
const CANARIES = { password: 'Canary1-right-password', wrong: 'Canary2-wrong-password', next: 'Canary3-next-password' }
const ANY_PASSWORD = /canary\d/i

/** All credentials that were sent or stored. */
type Secrets = Set<string>

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const JSON_TYPE = { 'content-type': 'application/json' }

/** Requests of every kind, valid and invalid, each with a secret. */
const REQUESTS: Array<(s: LoggedIn) => Promise<unknown>> = [
  async ({ ada }) => await ada.signup('bob', { password: CANARIES.password }),
  async ({ ada }) => await ada.signup('bob', { password: CANARIES.password }),
  async ({ ada }) => await ada.signup('eve', { password: `${CANARIES.password}${'x'.repeat(2000)}` }),
  async ({ ada }) => await ada.signup('a\u200bb', { password: CANARIES.password }),
  async ({ ada }) => await ada.login('ada', { password: CANARIES.password }),
  async ({ ada }) => await ada.login('ada', { password: CANARIES.wrong }),
  async ({ ada }) => await ada.login('nobody', { password: CANARIES.wrong }),
  async ({ ada }) => await ada.login(CANARIES.password, { password: CANARIES.wrong }),
  async ({ ada }) => await ada.login('ada', { password: [CANARIES.password] }),
  async ({ ada }) => await ada.login('ada', { password: CANARIES.password, passwort: CANARIES.password }),
  async ({ ada }) => await ada.login('ada', { password: CANARIES.password, remember: CANARIES.password }),
  async ({ ada }) => await post(ada, `{"username":"ada","password":${CANARIES.password}}`, JSON_TYPE),
  async ({ ada }) => await post(ada, `${CANARIES.password}`, JSON_TYPE),
  async ({ ada }) => await post(ada, `{"__proto__":"${CANARIES.password}"}`, JSON_TYPE),
  async ({ ada }) => await post(ada, `{"${CANARIES.password}":1}`, JSON_TYPE),
  async ({ ada }) => await post(ada, `{"username":"ada","password":"${CANARIES.password}"}`, { 'content-type': 'text/plain' }),
  async ({ ada }) => await post(ada, `username=ada&password=${CANARIES.password}`, FORM),
  async ({ ada }) => await post(ada, `username=ada&password=${CANARIES.password}&password=${CANARIES.password}`, FORM),
  async ({ ada }) => await post(ada, `grant_type=${CANARIES.password}&username=ada&password=${CANARIES.password}`, FORM),
  async ({ ada }) => await post(ada, JSON.stringify({ username: 'ada', password: CANARIES.password.repeat(1000) }), JSON_TYPE),
  async ({ ada }) => await post(ada, '{}', { ...JSON_TYPE, authorization: `Basic ${CANARIES.password}` }),
  async ({ ada, wait }) => { wait('30s'); await ada.refresh() },
  async ({ ada, wait }) => { wait('30s'); await ada.copy().refresh(); await ada.refresh() },
  async ({ ada }) => await ada.refresh({ headers: { cookie: `${COOKIE}=${CANARIES.password}` } }),
  async ({ ada }) => await ada.refresh({ headers: { cookie: `${ada.jar.header('/')}; ${COOKIE}=${CANARIES.password}` } }),
  async ({ ada }) => await ada.refresh({ headers: { cookie: `${COOKIE}=${ada.accessToken}` } }),
  async ({ ada }) => await ada.refresh({ headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' } }),
  async ({ ada }) => await ada.refresh({ payload: { refresh_token: ada.cookie() } }),
  async ({ ada }) => await ada.get('/me'),
  async ({ ada }) => await ada.send({ method: 'GET', url: '/me', headers: { authorization: `Bearer ${ada.cookie()}` } }),
  async ({ ada }) => await ada.send({ method: 'GET', url: '/me', headers: { authorization: `Bearer ${CANARIES.password}` } }),
  async ({ ada }) => await ada.get('/auth/sessions'),
  async ({ ada }) => await ada.send({ method: 'DELETE', url: '/auth/sessions' }),
  async ({ ada }) => await ada.send({ method: 'POST', url: '/auth/reauthenticate', payload: { password: CANARIES.wrong } }),
  async ({ ada }) => await ada.send({ method: 'POST', url: '/auth/reauthenticate', payload: { password: CANARIES.password } }),
  async ({ ada }) => await ada.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: CANARIES.wrong, newPassword: CANARIES.next } }),
  async ({ ada, store }) => { store.faults.push({ moment: 'after', kind: 'throw' }); await ada.login('ada', { password: CANARIES.password }) },
  async ({ ada, store }) => { store.faults.push({ moment: 'before', kind: 'throw' }); await ada.refresh() },
  async ({ ada, store }) => { store.faults.push({ moment: 'before', kind: 'throw' }); await ada.logout() },
  async ({ ada, users }) => { users.change('ada', { disabled: true }); await ada.login('ada', { password: CANARIES.password }); users.change('ada', { disabled: false }) },
  async s => {
    await s.ada.login('ada', { password: CANARIES.password })
    const thief = await robbed(s)
    await thief.refresh()
  },
  async ({ ada }) => await ada.login('ada', { password: CANARIES.password }),
  async ({ ada }) => await ada.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: CANARIES.password, newPassword: CANARIES.next } }),
  async ({ ada }) => await ada.send({ method: 'POST', url: '/bug', payload: { password: CANARIES.password } }),
  async ({ ada }) => await ada.logout(),
  async ({ ada }) => await ada.logout({ headers: { cookie: `${COOKIE}=${CANARIES.password}` } }),
  async ({ ada }) => await ada.login('ada', { password: CANARIES.next })
]

t.test('information leak: no credential is in the log, an event, a reply or the store', async t => {
  const log: string[] = []
  const replies: string[] = []
  const secrets: Secrets = new Set([SECRET])
  const clock = testClock()
  const memory = memoryStore({ clock })
  const rows: string[] = []
  const store = { ...memory, async create (session: Parameters<typeof memory.create>[0]) { rows.push(JSON.stringify(session)); await memory.create(session) } }

  const s = await loggedIn(t, { store, clock }, { logger: { level: 'trace', stream: { write (line: string) { log.push(line) } } } }, app => {
    app.post('/bug', async () => { throw new Error('a bug of the app') })
    app.addHook('onSend', async (request, reply, payload) => {
      replies.push(JSON.stringify([reply.statusCode, request.url, payload]))
    })
    app.addHook('onResponse', async (request, reply) => {
      for (const line of [reply.getHeader('set-cookie') ?? []].flat()) addToken(secrets, String(line).slice(COOKIE.length + 1).split(';')[0])
      addToken(secrets, String(request.headers.authorization).slice('Bearer '.length))
    })
  })
  s.users.change('ada', { passwordHash: await s.app.passwords.hash(CANARIES.password) })
  const at = { ...s, wait: clock.wait }
  for (const request of REQUESTS) {
    await request(at)
    const hash = s.users.byName.get('ada')?.passwordHash
    if (typeof hash === 'string') secrets.add(hash)
    addToken(secrets, s.ada.accessToken ?? '')
  }

  t.ok(log.length > 3 * REQUESTS.length, 'there are log lines')
  t.ok(secrets.size > 30, 'there are secrets')
  for (const type of ['signup', 'login', 'login_failed', 'refresh', 'reuse', 'logout', 'cross_site_refused']) t.ok(s.events.some(event => event.type === type), type)
  const texts: Array<[where: string, text: string]> = [['the log', log.join('')], ['events', JSON.stringify(s.events)], ['the store', rows.join('')]]
  for (const [where, text] of texts) {
    t.notMatch(text, ANY_PASSWORD, where)
    t.strictSame([...secrets].filter(secret => text.includes(secret)), [], where)
  }
  t.notMatch(replies.join(''), ANY_PASSWORD, 'replies')
})

t.test('log injection: no log line can be forged by input', async t => {
  const log: string[] = []
  const { ada } = await loggedIn(t, {}, { logger: { level: 'trace', stream: { write (line: string) { log.push(line) } } } })
  forget(log)
  const payload = { username: 'ada"\r\n{"level":60}', password: 'x' }
  await ada.send({ method: 'POST', url: '/auth/login', payload, headers: { 'user-agent': 'x"\t{"level":60}' } })
  for (const line of log) {
    t.equal(line.trimEnd().split('\n').length, 1)
    t.not(JSON.parse(line).level, 60)
  }
})

t.test('the cause of an error is logged for the operator', async t => {
  const log: string[] = []
  const { ada, store } = await loggedIn(t, {}, { logger: { level: 'info', stream: { write (line: string) { log.push(line) } } } })
  store.faults.push({ moment: 'before', kind: 'throw' })
  await ada.refresh()
  t.match(log.join(''), /the connection is gone/)
})

/** The parts of a token that are unique to it: payload and signature. */
function addToken (secrets: Secrets, token = ''): void {
  const [, payload = '', signature = ''] = token.split('.')
  if (signature !== '') secrets.add(payload).add(signature)
}

async function post (browser: Browser, payload: string, headers: Record<string, string>): Promise<Answer> {
  return await browser.send({ method: 'POST', url: '/auth/login', payload, headers })
}
