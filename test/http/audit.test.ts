import { type FastifyBaseLogger } from 'fastify'
import t from 'tap'
import { type AuditEvent, type AuthEvent } from '../../lib/core/events.js'
import { createAudit } from '../../lib/http/audit.js'
import { exactly } from '../support/exactly.js'

const SESSION = { subject: 'ada', sessionId: 'session-1' }
const SECRETIVE = 'Mozilla\r\n{"level":60}'
const HERE = { userAgent: SECRETIVE, ip: '192.0.2.1' }

type EventOf<Type extends AuthEvent['type']> = Extract<AuthEvent, { type: Type }>

/** Every type of event, and the level of its line. */
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
  reauthenticated: [[{ type: 'reauthenticated', ...SESSION }, 'info']],
  password_changed: [[{ type: 'password_changed', subject: 'ada' }, 'info']],
  revoked: [[{ type: 'revoked', subject: 'ada', sessionId: null, reason: 'revoked' }, 'info']],
  cross_site_refused: [[{ type: 'cross_site_refused' }, 'warn']],
  throttled: [[{ type: 'throttled', what: 'account', subject: 'ada' }, 'warn']],
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

t.test('every event is one line of the log, as loud as it deserves', async t => {
  const { lines, log } = logger()
  for (const [event] of EVENTS) createAudit(() => 0, undefined)(event, HERE, 'req-1', log)
  t.strictSame(lines.map(([level, , message]) => [level, message]), EVENTS.map(([{ type }, level]) => [level, `auth: ${type}`]))
})

t.test('a line of the log holds nothing that the caller wrote', async t => {
  const { lines, log } = logger()
  for (const [event] of EVENTS) createAudit(() => 0, undefined)(event, HERE, 'req-1', log)
  t.notMatch(JSON.stringify(lines), /Mozilla|192\.0\.2\.1/)
})

t.test('the listener is told what happened, when, in which request and from where', async t => {
  const told: AuditEvent[] = []
  const { log } = logger()
  const audit = createAudit(() => 1700000000.9, event => { told.push(event) })
  for (const [event] of EVENTS) audit(event, HERE, 'req-1', log)
  t.strictSame(told, EVENTS.map(([event]) => ({ ...event, at: 1700000000, requestId: 'req-1', ...HERE })))
})

/** Listeners that fail, each in its own way. */
const FAILING: Readonly<Record<string, () => unknown>> = {
  throws: () => { throw new Error('the listener is broken') },
  'throws no error': () => { throw 'broken' }, // eslint-disable-line no-throw-literal
  rejects: async () => { throw new Error('the listener is broken') },
  'rejects late': async () => { await null; throw new Error('the listener is broken') },
  'gives a promise of another library': () => ({ then: (_resolve: unknown, reject: (error: Error) => void) => { reject(new Error('broken')) } })
}

for (const [fails, listener] of Object.entries(FAILING)) {
  t.test(`a listener that ${fails} changes nothing but the log`, async t => {
    const { lines, log } = logger()
    createAudit(() => 0, listener as () => void)({ type: 'cross_site_refused' }, HERE, null, log)
    await new Promise(resolve => setImmediate(resolve))
    t.match(lines, exactly(exactly('warn', Object, String), exactly('error', Object, 'auth: onEvent failed')))
  })
}

t.test('a listener may answer anything, or never', async t => {
  for (const answer of [undefined, null, 5, 'text', {}, [], Promise.resolve(), new Promise(() => {})]) {
    const { lines, log } = logger()
    createAudit(() => 0, (() => answer) as () => void)({ type: 'cross_site_refused' }, HERE, null, log)
    await new Promise(resolve => setImmediate(resolve))
    t.equal(lines.length, 1, String(answer))
  }
})
