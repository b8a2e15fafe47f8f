import { type FastifyBaseLogger } from 'fastify'
import t from 'tap'
import { type AuditEvent, type AuthEvent } from '../../lib/events.js'
import { createAudit } from '../../lib/http/audit-log.js'
import { wholeSeconds } from '../../lib/time.js'
import { exactly } from '../support/exactly.js'
import { server } from '../support/server.js'

const SESSION = { subject: 'ada', sessionId: 'session-1' }
const SECRETIVE = 'Mozilla\r\n{"level":60}'
const HERE = { userAgent: SECRETIVE, ip: '192.0.2.1' }

type EventOf<Type extends AuthEvent['type']> = Extract<AuthEvent, { type: Type }>

/** Every type of event with its log level. */
const LEVELS: { readonly [Type in AuthEvent['type']]: ReadonlyArray<readonly [event: EventOf<Type>, level: string]> } = {
  signup: [[{ type: 'signup', subject: 'ada' }, 'info']],
  login: [[{ type: 'login', ...SESSION }, 'info']],
  login_failed: [[{ type: 'login_failed', subject: null }, 'info']],
  refresh: [
    [{ type: 'refresh', ...SESSION, outcome: 'rotate', generation: 1 }, 'debug'],
    [{ type: 'refresh', ...SESSION, outcome: 'heal', generation: 1 }, 'warn']
  ],
  renewed: [[{ type: 'renewed', ...SESSION, generation: 1 }, 'info']],
  reuse: [[{ type: 'reuse', ...SESSION, presented: 1, current: 3, loggedInFrom: HERE }, 'warn']],
  logout: [[{ type: 'logout', ...SESSION }, 'info']],
  logout_failed: [[{ type: 'logout_failed' }, 'warn']],
  reauthenticated: [[{ type: 'reauthenticated', ...SESSION }, 'info']],
  password_changed: [[{ type: 'password_changed', subject: 'ada' }, 'info']],
  revoked: [[{ type: 'revoked', subject: 'ada', sessionId: null, reason: 'revoked' }, 'info']],
  cross_site_refused: [[{ type: 'cross_site_refused' }, 'warn']],
  throttled: [[{ type: 'throttled', what: 'account', subject: 'ada' }, 'warn']],
  access_token_refused: [[{ type: 'access_token_refused', code: 'FST_AUTH_ACCESS_TOKEN_INVALID' }, 'debug']],
  refresh_refused: [[{ type: 'refresh_refused', code: 'FST_AUTH_SESSION_ENDED', ...SESSION }, 'debug']],
  identify_refused: [[{ type: 'identify_refused', code: 'FST_AUTH_SESSION_ENDED', ...SESSION }, 'debug']],
  refused: [[{ type: 'refused', code: 'FST_AUTH_USERNAME_TAKEN' }, 'debug']],
  store_unavailable: [[{ type: 'store_unavailable' }, 'warn']],
  busy: [[{ type: 'busy' }, 'warn']],
  events_dropped: [
    [{ type: 'events_dropped', of: 'access_token_refused', code: 'FST_AUTH_ACCESS_TOKEN_INVALID', count: 7 }, 'debug'],
    [{ type: 'events_dropped', of: 'busy', code: null, count: 7 }, 'warn']
  ],
  revocation_feed: [
    [{ type: 'revocation_feed', up: false }, 'warn'],
    [{ type: 'revocation_feed', up: true }, 'info']
  ],
  keys_changed: [[{ type: 'keys_changed', kind: 'access', signing: 'new', kids: ['new', 'old'] }, 'info']],
  keys_reload_failed: [[{ type: 'keys_reload_failed' }, 'warn']]
}

const EVENTS: ReadonlyArray<readonly [event: AuthEvent, level: string]> = Object.values(LEVELS).flat()

/** A logger that keeps its lines. */
function logger (): { lines: Array<readonly [level: string, details: unknown, message: string]>, log: FastifyBaseLogger } {
  const lines: Array<readonly [string, unknown, string]> = []
  const write = (level: string) => (details: unknown, message: string) => { lines.push([level, details, message]) }
  const log = Object.fromEntries(['debug', 'info', 'warn', 'error'].map(level => [level, write(level)]))
  return { lines, log: log as unknown as FastifyBaseLogger } // only what the audit uses
}

t.test('audit log: every event is one line at its own level', async t => {
  const { lines, log } = logger()
  for (const [event] of EVENTS) createAudit(() => 0, undefined, log).record(event, HERE, 'req-1', log)
  t.strictSame(lines.map(([level, , message]) => [level, message]), EVENTS.map(([{ type }, level]) => [level, `auth: ${type}`]))
})

t.test('log injection: a log line contains no text from the caller', async t => {
  const { lines, log } = logger()
  for (const [event] of EVENTS) createAudit(() => 0, undefined, log).record(event, HERE, 'req-1', log)
  t.notMatch(JSON.stringify(lines), /Mozilla|192\.0\.2\.1/)
})

t.test('audit log: onEvent receives type, time, request id, user agent and address', async t => {
  const told: AuditEvent[] = []
  const { log } = logger()
  const audit = createAudit(() => 1_700_000_000, event => { told.push(event) }, log)
  for (const [event] of EVENTS) audit.record(event, HERE, 'req-1', log)
  t.strictSame(told, EVENTS.map(([event]) => ({ ...event, at: 1_700_000_000, requestId: 'req-1', ...HERE })))
})

/** Listeners that fail in different ways. */
const FAILING: Readonly<Record<string, () => unknown>> = {
  throws: () => { throw new Error('the listener is broken') },
  'throws no error': () => { throw 'broken' }, // eslint-disable-line no-throw-literal
  rejects: async () => { throw new Error('the listener is broken') },
  'rejects late': async () => { await null; throw new Error('the listener is broken') },
  'gives a promise of another library': () => ({ then: (_resolve: unknown, reject: (error: Error) => void) => { reject(new Error('broken')) } })
}

for (const [fails, listener] of Object.entries(FAILING)) {
  t.test(`audit log: a listener that ${fails} changes only the log`, async t => {
    const { lines, log } = logger()
    createAudit(() => 0, listener as () => void, log).record({ type: 'cross_site_refused' }, HERE, null, log)
    await new Promise(resolve => setImmediate(resolve))
    t.match(lines, exactly(exactly('warn', Object, String), exactly('error', Object, 'auth: onEvent failed')))
  })
}

t.test('audit log: a logger that throws, as by a serializer of the app, changes nothing', async () => {
  const throwing = (): never => { throw new RangeError('Maximum call stack size exceeded') }
  const log = { ...logger().log, info: throwing, warn: throwing, error: throwing } as unknown as FastifyBaseLogger
  for (const listener of Object.values(FAILING)) createAudit(() => 0, listener as () => void, log).record({ type: 'cross_site_refused' }, HERE, null, log)
  await new Promise(resolve => setImmediate(resolve)) // an unhandled rejection would end the process
})

t.test('audit log: a listener may return any value, or never settle', async t => {
  const query = { then (resolved: (rows: unknown[]) => void) { resolved([]) } } // as of a query builder, without `catch`
  for (const answer of [undefined, null, 5, 'text', {}, [], Promise.resolve(), new Promise(() => {}), query]) {
    const { lines, log } = logger()
    createAudit(() => 0, (() => answer) as () => void, log).record({ type: 'cross_site_refused' }, HERE, null, log)
    await new Promise(resolve => setImmediate(resolve))
    t.equal(lines.length, 1, String(answer))
  }
})

const BAD_TOKEN: AuthEvent = { type: 'access_token_refused', code: 'FST_AUTH_ACCESS_TOKEN_INVALID' }
const EXPIRED_TOKEN: AuthEvent = { type: 'access_token_refused', code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' }

/** An audit log over a test clock, and a short form of the events that its listener received. */
function flooded (): { seen: string[], at: (second: number) => void, send: (event: AuthEvent, times: number) => void, close: () => void } {
  const seen: string[] = []
  const { log } = logger()
  let now = 0
  const audit = createAudit(wholeSeconds(() => now), event => {
    seen.push(event.type === 'events_dropped' ? `${event.count} of ${event.of} ${event.code}` : `${event.type} at ${event.at}`)
  }, log)
  return {
    seen,
    at: second => { now = second },
    send: (event, times) => { for (let n = 0; n < times; n++) audit.record(event, HERE, 'req-1', log) },
    close: () => audit.close()
  }
}

t.test('log flooding: while the second changes every event is recorded or counted', async t => {
  const { log } = logger()
  let reads = 0
  let recorded = 0
  let dropped = 0
  const audit = createAudit(() => Math.floor(reads++ / 61), event => {
    if (event.type === 'events_dropped') dropped += event.count
    else recorded++
  }, log)
  for (let n = 0; n < 500; n++) audit.record(BAD_TOKEN, HERE, 'req-1', log)
  audit.close()
  t.ok(dropped > 0)
  t.equal(recorded + dropped, 500)
})

t.test('log flooding: an event of another kind in the same second loses no count', async t => {
  const { seen, at, send } = flooded()
  send(BAD_TOKEN, 21)
  send(EXPIRED_TOKEN, 1)
  at(1)
  send(EXPIRED_TOKEN, 1)
  t.strictSame(seen.filter(text => text.includes(' of ')), ['1 of access_token_refused FST_AUTH_ACCESS_TOKEN_INVALID'])
})

t.test('log flooding: at most 20 events of one kind are recorded per second, the others are counted', async t => {
  const { seen, at, send } = flooded()
  send(BAD_TOKEN, 20)
  t.equal(seen.length, 20)
  send(BAD_TOKEN, 15)
  t.equal(seen.length, 20)

  at(0.9)
  send(BAD_TOKEN, 1)
  t.equal(seen.length, 20, 'still in the same second')

  at(1.2)
  send({ type: 'logout', ...SESSION }, 1)
  t.strictSame(seen.splice(0).slice(20), ['16 of access_token_refused FST_AUTH_ACCESS_TOKEN_INVALID', 'logout at 1'])
  send(BAD_TOKEN, 21)
  t.strictSame(seen, Array(20).fill('access_token_refused at 1'), 'and a new second has a new limit')
})

t.test('log flooding: a flood of one kind hides no other kind', async t => {
  const { seen, send } = flooded()
  send(BAD_TOKEN, 100)
  send(EXPIRED_TOKEN, 1)
  send({ type: 'busy' }, 1)
  t.equal(seen.length, 22)
})

t.test('log flooding: events that any request can cause are limited, and those that cost a password or a token are never dropped', async t => {
  const limited = EVENTS.filter(([event]) => {
    const { seen, send } = flooded()
    send(event, 30)
    return seen.length < 30
  })
  t.strictSame(limited.map(([{ type }]) => type), [
    'logout_failed', 'cross_site_refused', 'access_token_refused', 'refresh_refused', 'identify_refused', 'refused', 'store_unavailable', 'busy'
  ])
})

t.test('log flooding: counts of several kinds, and of the last second before close, are recorded', async t => {
  const { seen, at, send, close } = flooded()
  send(BAD_TOKEN, 25)
  send({ type: 'busy' }, 22)
  at(1)
  send(EXPIRED_TOKEN, 23)
  t.strictSame(seen.filter(line => line.includes(' of ')), ['5 of access_token_refused FST_AUTH_ACCESS_TOKEN_INVALID', '2 of busy null'])
  seen.splice(0)
  close()
  t.strictSame(seen, ['3 of access_token_refused FST_AUTH_ACCESS_TOKEN_EXPIRED'])
  close()
  t.equal(seen.length, 1, 'counted once')
})

t.test('log flooding: dropped events are logged by the app, and not as of the request that comes next', async t => {
  const [app, request] = [logger(), logger()]
  let now = 0
  const audit = createAudit(() => now, undefined, app.log)
  for (let n = 0; n < 25; n++) audit.record(BAD_TOKEN, HERE, 'req-1', request.log)
  now = 1
  audit.record(EXPIRED_TOKEN, HERE, 'req-2', request.log)
  t.equal(request.lines.length, 21)
  t.match(app.lines, exactly(['debug', { auth: { event: 'events_dropped', count: 5 } }, 'auth: events_dropped']))
})

t.test('log flooding: a closing app reports the events that it dropped in its last second', async t => {
  const s = await server(t)
  for (let n = 0; n < 25; n++) await s.app.inject({ url: '/me', headers: { authorization: 'Bearer x.y.z' } })
  await s.app.close()
  t.match(s.events.at(-1), { type: 'events_dropped', of: 'access_token_refused', count: 5 })
})

t.test('log flooding: an event that nobody receives is not counted, but reports what was dropped before', async t => {
  const [app, request] = [logger(), logger()]
  const unreceived = Object.assign(logger().log, { isLevelEnabled: () => false })
  let now = 0
  const audit = createAudit(() => now, undefined, app.log)
  for (let n = 0; n < 25; n++) audit.record(BAD_TOKEN, HERE, 'req-1', unreceived)
  for (let n = 0; n < 25; n++) audit.record(BAD_TOKEN, HERE, 'req-1', request.log)
  t.equal(request.lines.length, 20)
  now = 1
  audit.record({ type: 'signup', subject: 'ada' }, HERE, 'req-2', unreceived)
  t.match(app.lines, exactly(['debug', { auth: { event: 'events_dropped', count: 5 } }, 'auth: events_dropped']))
})

t.test('audit log: an event is built only if somebody receives it', async t => {
  const levels = (...enabled: readonly string[]) => Object.assign(logger().log, { isLevelEnabled: (level: string) => enabled.includes(level) })
  const silent = createAudit(() => 0, undefined, logger().log)
  t.equal(silent.isRecorded('access_token_refused', levels('info', 'warn')), false)
  t.equal(silent.isRecorded('busy', levels('info', 'warn')), true)
  t.equal(silent.isRecorded('access_token_refused', levels('debug')), true)
  t.equal(silent.isRecorded('access_token_refused', logger().log), true, 'a logger without isLevelEnabled')
  t.equal(createAudit(() => 0, () => {}, logger().log).isRecorded('access_token_refused', levels('info')), true, 'a listener')
})
