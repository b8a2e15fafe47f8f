import { channel } from 'node:diagnostics_channel'
import { type AuthEvent } from './events.js'
import { isThenable } from './deadline.js'
import { AuthError, type AuthErrorCode } from './errors.js'
import { type SessionStore } from './sessions/store.js'

/**
 * The message of the channels `fastify-refresh-cookie:start` and `fastify-refresh-cookie:end`. An operation has one object for
 * both, so that a subscriber can keep more about it in a WeakMap. It never holds a token, a password or other user input.
 */
export interface AuthOperation {
  /**
   * `route`: the handler of one of the plugin's routes; `authenticate`: a request whose access token needed the store or a key;
   * `store`: a call of the session store; `password`: the wait for a turn to hash, and the hashing.
   */
  readonly kind: 'route' | 'authenticate' | 'store' | 'password'
  /** The `operationId` of a route, the method of a store, `wait` or `work` of a password; `request` of `authenticate`. */
  readonly name: string
  /** The duration. Undefined at the start. */
  seconds?: number
  /** `ok`, the code of an AuthError, or `failed` for any other error. Undefined at the start. */
  outcome?: 'ok' | 'failed' | AuthErrorCode
}

/**
 * The message of the channel `fastify-refresh-cookie:event`: one per event of the audit log, also those that the log leaves out,
 * with the fields that have few values. It names no user, session or address.
 */
export interface AuthEventMessage {
  readonly type: AuthEvent['type']
  readonly code?: AuthErrorCode | null
  readonly outcome?: string
  readonly reason?: string
  readonly what?: string
  readonly up?: boolean
}

const start = channel('fastify-refresh-cookie:start')
const end = channel('fastify-refresh-cookie:end')
const events = channel('fastify-refresh-cookie:event')

/** Ask before `observe`, so that an operation that nobody observes needs no closure. */
export function isObserved (): boolean {
  return end.hasSubscribers || start.hasSubscribers
}

/**
 * Runs an operation and publishes its start and its end. TracingChannel is no help here: its messages hold the result, which
 * may be a token.
 */
export function observe<T> (kind: AuthOperation['kind'], name: string, work: () => T): T {
  const operation: AuthOperation = { kind, name }
  start.publish(operation)
  const startedAt = performance.now()
  try {
    const result = work()
    if (!isThenable(result)) {
      finish('ok')
      return result
    }
    const answer = Promise.resolve(result) // a promise itself; a query builder would run its query again at each `then`
    answer.then(() => finish('ok'), error => finish(outcomeOf(error)))
    return answer as T // a promise in place of another thenable of the same value
  } catch (error) {
    finish(outcomeOf(error))
    throw error
  }

  function finish (outcome: NonNullable<AuthOperation['outcome']>): void {
    end.publish(Object.assign(operation, { seconds: (performance.now() - startedAt) / 1000, outcome }))
  }
}

function outcomeOf (error: unknown): AuthErrorCode | 'failed' {
  return error instanceof AuthError ? error.code : 'failed'
}

export function areEventsObserved (): boolean {
  return events.hasSubscribers
}

export function publishEvent (event: AuthEvent): void {
  if (!events.hasSubscribers) return
  const { type, code, outcome, reason, what, up }: AuthEvent & Omit<AuthEventMessage, 'type'> = event
  events.publish({
    type,
    ...(code !== undefined && { code }),
    ...(outcome !== undefined && { outcome }),
    ...(reason !== undefined && { reason }),
    ...(what !== undefined && { what }),
    ...(up !== undefined && { up })
  } satisfies AuthEventMessage)
}

/** The methods of a store that requests call. */
type StoreMethods = Required<Pick<SessionStore, 'create' | 'get' | 'advance' | 'revoke' | 'revokeAll' | 'list' | 'purgeExpired'>>

/** A mapped type, with which TypeScript can check the call of a method by a generic name. */
type StoreWith<Names extends keyof StoreMethods> = { readonly [Name in Names]: (...args: Parameters<StoreMethods[Name]>) => ReturnType<StoreMethods[Name]> }

/** A store whose calls are published to subscribers of our diagnostics channels; without subscribers it only passes them on. */
export function observedStore (store: SessionStore): Pick<SessionStore, keyof StoreMethods> {
  const list = store.list?.bind(store)
  const purgeExpired = store.purgeExpired?.bind(store)
  return {
    create: observed(store, 'create'),
    get: observed(store, 'get'),
    advance: observed(store, 'advance'),
    revoke: observed(store, 'revoke'),
    revokeAll: observed(store, 'revokeAll'),
    ...(list !== undefined && { list: observed({ list }, 'list') }),
    ...(purgeExpired !== undefined && { purgeExpired: observed({ purgeExpired }, 'purgeExpired') })
  }
}

function observed<Name extends keyof StoreMethods> (store: StoreWith<Name>, name: Name): StoreWith<Name>[Name] {
  return (...args) => isObserved() ? observe('store', name, () => store[name](...args)) : store[name](...args)
}
