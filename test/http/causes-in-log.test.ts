/** The cause of a 503 is in a log line of the plugin, whatever the host configures for request logs and errors. */
import { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t from 'tap'
import { memoryStore, type RefreshCookieOptions, type SessionStore } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { FAST_HASHING, HOST, loggedIn, PASSWORD, START, userTable, type LoggedIn } from '../support/server.js'

const TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl'

interface Line { readonly level: number, readonly msg: string, readonly reqId?: string, readonly err?: { readonly message: string } }

const WARN = 40

/** Ada's server, with its log lines. */
async function logged (t: Parameters<typeof loggedIn>[0], options: RefreshCookieOptions = {}, fastifyOptions: FastifyServerOptions = {}, extend?: (app: FastifyInstance) => void): Promise<LoggedIn & { readonly lines: Line[] }> {
  const lines: Line[] = []
  const s = await loggedIn(t, options, { logger: { stream: { write (line: string) { lines.push(JSON.parse(line)) } } }, ...fastifyOptions }, extend)
  lines.length = 0
  return { ...s, lines }
}

/** Log lines of the plugin about refusals. */
function ours (lines: readonly Line[]): Line[] {
  return lines.filter(({ msg }) => /^auth: (?:store_unavailable|busy)$/.test(msg))
}

const HOSTS: ReadonlyArray<readonly [which: string, options: FastifyServerOptions, extend?: (app: FastifyInstance) => void]> = [
  ['that logs requests', {}],
  ['that logs no requests', { disableRequestLogging: true }],
  ['with an error handler of its own', { disableRequestLogging: true }, app => { app.setErrorHandler((_error, _request, reply) => { reply.code(503).send({ mine: true }) }) }]
]

for (const [which, fastifyOptions, extend] of HOSTS) {
  t.test(`the cause of a 503 is in one log line with a host ${which}`, async t => {
    const s = await logged(t, {}, fastifyOptions, app => {
      extend?.(app)
      app.post('/renew', async ({ auth }) => await auth.refresh())
      app.get('/strict', { onRequest: app.authenticateStrict }, async () => ({}))
    })
    for (const [method, url] of [['POST', '/auth/refresh'], ['POST', '/renew'], ['GET', '/strict']] as const) {
      s.store.faults.push({ moment: 'before', kind: 'throw' })
      t.equal((await s.ada.send({ method, url })).statusCode, 503)
      t.match(ours(s.lines.splice(0)), exactly({ level: WARN, msg: 'auth: store_unavailable', reqId: String, err: { message: /: the connection is gone$/ } }), url)
    }
    t.notMatch(JSON.stringify(s.events), 'the connection is gone', 'and in no event')
  })
}

t.test('information leak: the cause of a 503 puts no token into the log', async t => {
  const users = userTable()
  const s = await logged(t, { users: { ...users, findById: async () => { throw new Error(`no answer about ${TOKEN}`) } } }, { disableRequestLogging: true })
  t.equal((await s.ada.refresh()).statusCode, 503)
  t.match(ours(s.lines), exactly({ err: { message: 'no answer about [redacted]' } }))
  t.notMatch(JSON.stringify(s.lines), TOKEN)
})

t.test('the reason of a refusal by the CSRF policy is logged, without the hosts of the request', async t => {
  const s = await logged(t, {}, { disableRequestLogging: true }, app => {
    app.get('/open', async ({ auth }) => await auth.identify())
  })
  const REASONS: ReadonlyArray<readonly [method: 'GET' | 'POST', url: string, headers: Record<string, string>, reason: RegExp]> = [
    ['POST', '/auth/refresh', { origin: 'https://evil.example' }, /another host than its Host header/],
    ['POST', '/auth/refresh', { origin: 'null' }, /^its Origin is null/],
    ['POST', '/auth/refresh', { origin: `http://${HOST}`, 'sec-fetch-site': 'cross-site' }, /over http/],
    ['GET', '/open', { 'sec-fetch-site': 'cross-site' }, /has no Origin/]
  ]
  for (const [method, url, headers, message] of REASONS) {
    t.match(await s.app.inject({ method, url, headers: { host: HOST, ...headers } }), { statusCode: 403 })
    const lines = s.lines.splice(0)
    t.match(lines.filter(({ msg }) => msg === 'auth: cross_site_refused'), exactly({ err: { message } }), String(message))
    t.notMatch(JSON.stringify(lines), 'evil.example')
  }
})

t.test('the cause of a 503 of a busy server is logged', async t => {
  const s = await logged(t, { passwords: { ...FAST_HASHING, queue: { concurrency: 1, waiting: 0 } } }, { disableRequestLogging: true })
  const login = async (): Promise<unknown> => await s.app.inject({ method: 'POST', url: '/auth/login', payload: { username: 'nobody', password: PASSWORD } })
  await Promise.all([login(), login()])
  t.match(ours(s.lines), exactly({ level: WARN, msg: 'auth: busy', err: { message: String } }))
})

t.test('the cause of an outage is logged without a request too', async t => {
  const s = await logged(t)
  s.store.faults.push({ moment: 'before', kind: 'throw' })
  await t.rejects(s.app.sessions.revoke('session-1'), { code: 'FST_AUTH_STORE_UNAVAILABLE' })
  t.match(ours(s.lines), exactly({ level: WARN, err: { message: 'get: the connection is gone' } }))
})

t.test('fail open: the cause of an outage is logged once', async t => {
  let feed: (up: boolean) => void = () => {}
  const subscribe: SessionStore['subscribe'] = (_listener, connected = () => {}) => {
    feed = connected
    connected(true)
    return () => {}
  }
  const s = await logged(t, { revocation: 'immediate', store: { ...memoryStore({ clock: () => START }), subscribe } }, { disableRequestLogging: true })
  for (const up of [false, true]) feed(up) // revocations in between did not arrive, so the plugin asks the store
  s.store.faults.push({ moment: 'before', kind: 'throw', call: 'get' })
  t.equal((await s.ada.get('/me')).statusCode, 200)
  t.match(ours(s.lines), exactly({ level: WARN, msg: 'auth: store_unavailable', err: { message: 'get: the connection is gone' } }))
})
