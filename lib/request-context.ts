import { type AuthEvent, type ClientInfo } from './events.js'
import { type Bounded } from './deadline.js'

/** The context of a request. */
export interface RequestContext extends ClientInfo {
  /** Calls the store and the app's functions within the deadline of the request. */
  readonly bounded: Bounded
  /** Records an event. `cause` is for the log only. Must not throw. */
  emit (event: AuthEvent, cause?: unknown): void
}
