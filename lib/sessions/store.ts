import { type EpochSeconds } from '../time.js'
import { type RevokeReason, type Session, type SessionChange, type SessionPosition } from './session.js'

/** The page that `SessionStore.list` should return. */
export interface SessionPage {
  /** The largest number of sessions. */
  readonly limit: number
  /** Only sessions after this one, which may have ended since. */
  readonly after?: SessionPosition | undefined
  /** A store may omit sessions that are expired at this time. */
  readonly liveAt?: EpochSeconds | undefined
}

/** The revocation of one session, or of all sessions that a subject had at `at`, but for `exceptId`. */
export type Revocation =
  | { readonly id: string }
  | { readonly subject: string, readonly exceptId?: string, readonly at: EpochSeconds }

/** Receives the revocations of this and other instances. */
export type RevocationListener = (revocation: Revocation) => void

/** The identity of an app, for stores that several apps can reach. */
export interface StoreOwner {
  /** The option `appName`. */
  readonly name?: string | undefined
  /** The ids of its refresh keys, and of keys that were replaced since the app started. Not secret: tokens contain them. */
  readonly keyIds: readonly string[]
}

/**
 * A session store keeps rows. `advance` and `revoke` are atomic and conditional: of concurrent calls exactly one succeeds. Every failure
 * must reject, and is answered with 503 FST_AUTH_STORE_UNAVAILABLE: a store never reports a failure as "no such session".
 * docs/own-store.md has a complete one, and the contract tests that it must pass.
 */
export interface SessionStore {
  /**
   * Writes a new session. Resolves once it is durable. The subject is the id of a user, or `challenge <id>` for the row of a
   * challenge (`request.auth.issueChallenge`), so no foreign key may refer to the users.
   */
  create (session: Session): Promise<void>
  /** The session, revoked or not, or null. `claimed` is the session as a verified refresh token states it, for stores that keep no rows. */
  get (id: string, claimed?: Session): Promise<Session | null>
  /**
   * Compare-and-set: applies `change` if the session exists, is not revoked and has the generation `fromGeneration`. Resolves to
   * the changed session, else to null. Of concurrent calls from one generation to a later one, exactly one succeeds.
   */
  advance (id: string, fromGeneration: number, change: SessionChange, claimed?: Session): Promise<Session | null>
  /** Revokes a session. Resolves to true if this call revoked it; an earlier reason stays. */
  revoke (id: string, reason: RevokeReason): Promise<boolean>
  /**
   * Revokes all sessions of a subject, or all but one. Resolves to the number that this call revoked. It may revoke only some
   * of them, but at least one: the plugin calls it until it resolves to 0.
   */
  revokeAll (subject: string, reason: RevokeReason, exceptId?: string): Promise<number>
  /**
   * The subject's sessions that are not revoked, oldest first; they may be expired. With `part`, which a store may ignore, only
   * that page, ordered by `createdAt`, then by `id`. A page with fewer than `limit` sessions is the last one.
   *
   * A store without `list` counts as one that keeps no sessions: the app has no routes for sessions, no session limit, no
   * `authenticateStrict` and no single use of challenges.
   */
  list? (subject: string, part?: SessionPage): Promise<Session[]>
  /**
   * Deletes the rows whose `expiresAt` is before `before`, and optionally those whose `idleExpiresAt` is. Resolves to the number of
   * rows. It may stop early once `signal` is aborted, as when the app closes.
   */
  purgeExpired? (before: EpochSeconds, signal?: AbortSignal): Promise<number>
  /**
   * Calls `listener` for each revocation of any instance, at once for its own, until the returned function is called. A
   * revocation may be reported more than once. `onConnection` receives true when the subscription is up, also the first time,
   * which the app's start waits for, and false when it is down. Revocations while it is down are not delivered later.
   */
  subscribe? (listener: RevocationListener, onConnection?: (up: boolean) => void): () => Promise<void> | void
  /** The time of the store's server in seconds, with fractions. It is compared with the app's clock at start, for a warning only. */
  now? (): Promise<number>
  /**
   * Records which app owns the sessions, at start and when the keys change. Rejects with a TypeError if another app owns them:
   * the names differ, or one of the two has none and they share no key. A claim that rejects with any other error is repeated by the
   * store before its next call, not by the plugin. A store that no other app can reach needs no `claim`.
   */
  claim? (owner: StoreOwner): Promise<void>
  /** Prepares the store at start, e.g. creates and checks its table. Rejects with a TypeError, which stops the start, if the store cannot work as it is configured. */
  open? (): Promise<void>
}

/** A store that keeps rows, so that it can list and revoke sessions. */
type KeepingStore = SessionStore & Required<Pick<SessionStore, 'list'>>

/** False for a store without `list`, such as `statelessStore()`. */
export function keepsSessions (store: SessionStore): store is KeepingStore {
  return store.list !== undefined
}

/** Throws a TypeError for a store that keeps no sessions: it cannot list or revoke any, so success would be a false answer. */
export function assertKept (store: SessionStore): asserts store is KeepingStore {
  if (!keepsSessions(store)) throw new TypeError('this needs a store with "list", which keeps its sessions')
}
