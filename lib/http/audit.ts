import { type FastifyBaseLogger } from 'fastify'
import { createEventLimit } from '../audit/event-limit.js'
import { type AuthEvent, type ClientInfo, type EventListener, type RequestContext } from '../audit/events.js'
import { startDeadline, type Timeouts } from '../deadline.js'
import { redacted } from '../redaction.js'
import { type Clock } from '../time.js'

/** Records events: each is a line of the log and a call of the app's listener. Nothing here throws. */
export interface Audit {
  /** Records an event, unless more of its kind happened in this second than are recorded. `cause` is for the log alone. */
  record (event: AuthEvent, from: ClientInfo, requestId: string | null, log: FastifyBaseLogger, cause?: unknown): void
  /** Whether an event of a type would reach anybody. Asked where it costs something to make the event. */
  isRecorded (type: AuthEvent['type'], log: FastifyBaseLogger): boolean
  /** Records how many events were left out, when the app closes. */
  close (log: FastifyBaseLogger): void
}

type Level = 'debug' | 'info' | 'warn'

/** The level of each event's line. What any request can cause is worth a line only for whoever looks for it. */
export const EVENT_LEVELS: Readonly<Record<AuthEvent['type'], Level>> = {
  signup: 'info',
  login: 'info',
  login_failed: 'info',
  refresh: 'debug',
  renewed: 'info',
  reuse: 'warn',
  logout: 'info',
  logout_failed: 'warn',
  reauthenticated: 'info',
  password_changed: 'info',
  revoked: 'info',
  cross_site_refused: 'warn',
  throttled: 'warn',
  access_token_refused: 'debug',
  refresh_refused: 'debug',
  refused: 'debug',
  store_unavailable: 'warn',
  busy: 'warn',
  events_dropped: 'debug',
  revocation_feed: 'warn',
  keys_changed: 'info',
  keys_reload_failed: 'warn'
}

const NOWHERE: ClientInfo = { userAgent: null, ip: null }

/** Builds the audit over the app's clock and its listener, if it has one. */
export function createAudit (clock: Clock, listener: EventListener | undefined): Audit {
  const limit = createEventLimit(clock)

  return {
    record (event, from, requestId, log, cause) {
      recordDropped(log)
      if (limit.admits(event)) write(event, from, requestId, log, cause)
    },

    isRecorded: (type, log) => listener !== undefined || isWritten(EVENT_LEVELS[type], log),

    close: log => recordDropped(log, true)
  }

  function recordDropped (log: FastifyBaseLogger, all = false): void {
    for (const dropped of limit.takeDropped(all)) write(dropped, NOWHERE, null, log)
  }

  function write (event: AuthEvent, { userAgent, ip }: ClientInfo, requestId: string | null, log: FastifyBaseLogger, cause?: unknown): void {
    // Fastify logs a refusal itself, but not with `disableRequestLogging` or below a host's own error handler.
    log[levelOf(event)]({ ...logged(event), ...(cause !== undefined && { err: redacted(cause) }) }, `auth: ${event.type}`)
    if (listener === undefined) return
    const failed = (err: unknown): void => log.error({ err: redacted(err) }, 'auth: onEvent failed')
    // Its type promises nothing or a promise; in JavaScript, `event => list.push(event)` is a listener too.
    new Promise(resolve => resolve(listener({ ...event, at: Math.floor(clock()), requestId, userAgent, ip }))).catch(failed)
  }
}

/** The context of what no request is behind: an administrator's act, a change of keys. Each call has a deadline of its own. */
export function createAppContext (audit: Audit, timeouts: Timeouts, log: FastifyBaseLogger): RequestContext {
  return {
    ...NOWHERE,
    get bounded () { return startDeadline(timeouts) },
    emit: (event, cause) => audit.record(event, NOWHERE, null, log, cause)
  }
}

/** Loggers other than pino's cannot say which levels they write: they are asked to. */
function isWritten (level: Level, log: FastifyBaseLogger & { isLevelEnabled?: (level: Level) => boolean }): boolean {
  return log.isLevelEnabled?.(level) ?? true
}

/** A healed session means that the store lost writes; a feed that is up again, that all is well; events are left out as loudly as they are written. */
function levelOf (event: AuthEvent): Level {
  if (event.type === 'refresh' && event.outcome === 'heal') return 'warn'
  if (event.type === 'revocation_feed' && event.up) return 'info'
  if (event.type === 'events_dropped') return EVENT_LEVELS[event.of]
  return EVENT_LEVELS[event.type]
}

/** Without what the caller sent: a user agent is anybody's text. */
function logged (event: AuthEvent): object {
  return { auth: { event: event.type, ...event, type: undefined, loggedInFrom: undefined } }
}
