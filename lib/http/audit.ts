import { type FastifyBaseLogger } from 'fastify'
import { type AuthEvent, type EventListener, type Whereabouts } from '../core/events.js'
import { type Clock } from '../core/time.js'

/** Writes one log line for an event and tells the app's listener. Never throws. */
export type Audit = (event: AuthEvent, from: Whereabouts, requestId: string | null, log: FastifyBaseLogger) => void

type Level = 'debug' | 'info' | 'warn'

const LEVELS: Record<AuthEvent['type'], Level> = {
  signup: 'info',
  login: 'info',
  login_failed: 'info',
  refresh: 'debug',
  renewed: 'info',
  reuse: 'warn',
  logout: 'info',
  reauthenticated: 'info',
  password_changed: 'info',
  revoked: 'info',
  cross_site_refused: 'warn',
  throttled: 'warn',
  revocation_feed: 'warn',
  keys_changed: 'info',
  keys_reload_failed: 'warn'
}

/** Builds the audit over the app's clock and its listener, if it has one. */
export function createAudit (clock: Clock, listener: EventListener | undefined): Audit {
  return (event, { userAgent, ip }, requestId, log) => {
    log[levelOf(event)](logged(event), `auth: ${event.type}`)
    if (listener === undefined) return
    const failed = (err: unknown): void => log.error({ err }, 'auth: onEvent failed')
    // Its type promises nothing or a promise; in JavaScript, `event => list.push(event)` is a listener too.
    new Promise(resolve => resolve(listener({ ...event, at: Math.floor(clock()), requestId, userAgent, ip }))).catch(failed)
  }
}

/** A healed session means that the store lost writes, a feed that came back that all is well again. */
function levelOf (event: AuthEvent): Level {
  if (event.type === 'refresh' && event.outcome === 'heal') return 'warn'
  if (event.type === 'revocation_feed' && event.up) return 'info'
  return LEVELS[event.type]
}

/** Without what the caller sent: a user agent is anybody's text. */
function logged (event: AuthEvent): object {
  return { auth: { event: event.type, ...event, type: undefined, loggedInFrom: undefined } }
}
