import { inspect } from 'node:util'
import Fastify from 'fastify'
import t from 'tap'
import refreshCookie from '../../lib/index.js'
import { FAST_HASHING, loggedIn, SECRET, userTable, type LoggedIn } from '../support/server.js'
import { keyOf, respelled } from '../tokens/forge.js'

const OTHER = 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x'
const CANARY = 'canary-7f3a'

/** Every way to print a key. */
function spellings (key: Buffer): string[] {
  const inspected = inspect(key).slice('<Buffer '.length, 60)
  return [key.toString('hex'), key.toString('base64'), key.toString('base64url'), inspected, JSON.stringify([...key]).slice(1, -1)]
}

t.test('information leak: a printed app shows no secret and no key', async t => {
  const app = Fastify()
  await app.register(refreshCookie, {
    secret: [SECRET, OTHER],
    refreshToken: { secret: OTHER },
    passwords: { ...FAST_HASHING, pepper: { current: 'k1', keys: { k1: OTHER } } },
    users: userTable()
  })
  t.teardown(async () => { await app.close() })
  await app.ready()
  const keys = [keyOf('access'), keyOf('access', OTHER), keyOf('refresh', OTHER)].map(({ secret }) => secret)
  const secrets = [SECRET, OTHER, ...keys.flatMap(spellings)]
  const printed = [inspect(app, { depth: 9 }), inspect(app, { depth: 5, showHidden: true }), JSON.stringify(app.initialConfig), app.printPlugins(), app.printRoutes()]
  for (const text of printed) t.notOk(secrets.some(secret => text.includes(secret)), `${text.length} characters`)
})

/** Requests of any kind: valid, invalid and broken. */
async function sendEverything ({ ada, browser, wait }: LoggedIn): Promise<void> {
  const stranger = browser()
  const post = async (url: string, payload: object | string, headers: Record<string, string> = {}) => {
    await ada.send({ method: 'POST', url: `/auth${url}`, payload, headers: { ...(typeof payload === 'string' && { 'content-type': 'application/json' }), ...headers } })
  }
  for (const path of ['/signup', '/login', '/password', '/reauthenticate', '/refresh']) {
    await post(path, { username: CANARY, password: CANARY })
    await post(path, { username: 'ada', password: CANARY })
    await post(path, { username: [CANARY], password: CANARY })
    await post(path, { username: 'ada', password: CANARY, [CANARY]: CANARY })
    await post(path, { currentPassword: CANARY, newPassword: CANARY })
    await post(path, { password: CANARY.repeat(200) })
    await post(path, `{"password":"${CANARY}`)
    await post(path, `{"password": ${CANARY}}`)
    await post(path, CANARY)
    await post(path, CANARY, { 'content-type': 'text/plain' })
    await post(path, `username=${CANARY}&password=${CANARY}`, { 'content-type': 'application/x-www-form-urlencoded' })
    await post(path, { password: CANARY.repeat(3000) })
    await post(path, {}, { origin: `https://${CANARY}.example`, 'sec-fetch-site': 'cross-site', 'user-agent': CANARY })
  }
  for (const token of [`${CANARY}.${CANARY}.${CANARY}`, ...respelled(String(ada.accessToken))]) {
    for (const url of ['/me', '/auth/sessions']) await stranger.send({ method: 'GET', url, headers: { authorization: `Bearer ${token}` } })
    await stranger.send({ method: 'POST', url: '/auth/refresh', headers: { cookie: `${CANARY}=${token}; __Host-Http-refresh=${token}` } })
  }
  wait('1m')
  const thief = ada.copy()
  for (let i = 0; i < 2; i++) {
    await ada.refresh()
    wait('1m')
  }
  await thief.refresh()
  await ada.login('ada')
  await ada.get('/auth/sessions')
  await ada.send({ method: 'DELETE', url: '/auth/sessions' })
  await ada.logout()
}

t.test('information leak: no token, password or other input is in the log, at any log level', async t => {
  const lines: string[] = []
  const stream = { write (line: string) { lines.push(line) } }
  const s = await loggedIn(t, { accessToken: { expiresIn: '30m' } }, { logger: { level: 'trace', stream } })
  const tokens = new Set([s.ada.accessToken, s.ada.cookie()])
  const { send } = s.ada
  // All tokens in the requests and replies.
  s.ada.send = async options => {
    const answer = await send(options)
    tokens.add(s.ada.accessToken).add(s.ada.cookie())
    return answer
  }
  await sendEverything(s)

  const log = lines.join('')
  t.ok(lines.length > 200, `${lines.length} lines`)
  t.strictSame(lines.filter(line => line.includes(CANARY)), [])
  t.notMatch(log, '$argon2id$', 'nor a hash')
  t.ok(tokens.size > 4)
  for (const token of tokens) {
    const signature = token?.split('.')[2]
    if (signature !== undefined) t.notMatch(log, signature, 'nor a token')
  }
  for (const secret of [SECRET, ...spellings(keyOf('access').secret), ...spellings(keyOf('refresh').secret)]) t.notOk(log.includes(secret))
})

t.test('information leak: no input is in a reply, except field names similar to known ones', async t => {
  const s = await loggedIn(t)
  const bodies: string[] = []
  const { send } = s.ada
  s.ada.send = async options => {
    const answer = await send(options)
    bodies.push(answer.body)
    return answer
  }
  await sendEverything(s)
  t.ok(bodies.length > 50)
  // Outside production the refusal of a cross-site request names its host.
  t.notMatch(bodies.filter(body => !body.includes('FST_AUTH_CROSS_SITE')).join('\n'), CANARY)
})
