import { type FastifyBaseLogger } from 'fastify'
import { type AuthEvent } from '../core/events.js'

/** Told of every event; what it throws, and how long it takes, changes nothing. */
export type EventListener = (event: AuthEvent) => Promise<void> | void

type Level = 'debug' | 'info' | 'warn'

const LEVELS: Record<AuthEvent['type'], Level> = {
  signup: 'info',
  login: 'info',
  login_failed: 'info',
  refresh: 'debug',
  reuse: 'warn',
  logout: 'info',
  revoked: 'info',
  cross_site_refused: 'warn'
}

/** Writes one log line for an event and tells the app's listener. Never throws. */
export function audit (event: AuthEvent, log: FastifyBaseLogger, listener: EventListener | undefined): void {
  log[LEVELS[event.type]]({ event }, `auth: ${event.type}`)
  if (listener === undefined) return
  const failed = (error: unknown): void => log.error({ err: error }, 'auth: onEvent failed')
  try {
    listener(event)?.catch(failed)
  } catch (error) {
    failed(error)
  }
}
