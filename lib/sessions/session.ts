import { randomId } from '../random.js'
import { type EpochSeconds, type Seconds } from '../time.js'

/** Why a session ended. A session ended by `reuse` answers every later token of it with FST_AUTH_REFRESH_TOKEN_REUSED. */
export type RevokeReason = 'logout' | 'revoked' | 'reuse' | 'user_refused' | 'superseded' | 'password_changed' | 'limit'

/**
 * One login on one device: one row, whatever the number of refreshes.
 * A refresh token names a session and a generation and is signed, so neither a token nor a hash of one is stored.
 */
export interface Session {
  /** 128 random bits, base64url. Not secret: it alone opens nothing. */
  readonly id: string
  /** Whose session it is: the `sub` of its tokens. */
  readonly subject: string
  /** The generation of the refresh token that is current. */
  readonly generation: number
  /** The generation that the current one replaced; null before the first rotation. */
  readonly previous: number | null
  /** When the current generation was issued: the `iat` of its token. */
  readonly rotatedAt: EpochSeconds
  readonly createdAt: EpochSeconds
  /** The absolute end. Nothing ever moves it. */
  readonly expiresAt: EpochSeconds
  /** The end if it is not refreshed before; each rotation moves it, never beyond `expiresAt`. */
  readonly idleExpiresAt: EpochSeconds
  /** When the person last proved who they are (OpenID Connect Core section 2, `auth_time`). */
  readonly authTime: EpochSeconds
  readonly userAgent: string | null
  readonly ip: string | null
  readonly revokedAt?: EpochSeconds | null
  readonly reason?: RevokeReason | null
}

/** What a step of the rotation writes; everything else of a session never changes. */
export interface SessionChange {
  readonly generation: number
  readonly previous: number | null
  readonly rotatedAt: EpochSeconds
  readonly idleExpiresAt: EpochSeconds
  readonly authTime?: EpochSeconds
}

/** The place of a session in a list. */
export type SessionPosition = Pick<Session, 'createdAt' | 'id'>

/** Which part of a list a store is asked for. */
export interface SessionListPart {
  /** At most so many. */
  readonly limit: number
  /** Only those behind this one, which may have ended since. */
  readonly after?: SessionPosition | undefined
  /** A store may leave out those that are past one of their ends at this time. */
  readonly liveAt?: EpochSeconds | undefined
}

/** Told of sessions that ended, here or on another instance: one session, or everything a subject held at `at`. */
export type RevocationListener = (revocation:
  | { readonly id: string }
  | { readonly subject: string, readonly exceptId?: string, readonly at: EpochSeconds }) => void

/** An app, as it makes itself known to a store that several apps can reach. */
export interface StoreOwner {
  /** The option `appName`. */
  readonly name?: string | undefined
  /** The ids of the keys of its refresh tokens, and of those that they replaced while it runs. Not secret: tokens show them. */
  readonly keyIds: readonly string[]
}

/**
 * Where sessions live. A store decides nothing: it keeps rows and offers one atomic step, `advance`.
 * Any failure rejects; it is never answered as "no such session".
 */
export interface SessionStore {
  /** Writes a new session; resolves once it is durable. */
  create (session: Session): Promise<void>
  /** The session, revoked or not, or null. `claimed` is the session as a verified token states it. */
  get (id: string, claimed?: Session): Promise<Session | null>
  /**
   * Compare-and-set: applies `change` if the session exists, is not revoked and its generation is `fromGeneration`;
   * resolves to the session after it, else to null. Of concurrent calls from one generation to a later one, one wins.
   */
  advance (id: string, fromGeneration: number, change: SessionChange, claimed?: Session): Promise<Session | null>
  /** Ends a session unless it has ended; true if this call ended it. The first reason stays. */
  revoke (id: string, reason: RevokeReason): Promise<boolean>
  /**
   * Ends all sessions of a subject, or all but one; resolves to how many this call ended. Where there are many it may end
   * a part of them, and at least one: it is called again until a call ends none.
   */
  revokeAll (subject: string, reason: RevokeReason, exceptId?: string): Promise<number>
  /**
   * The subject's sessions that have not been revoked, oldest first; they may be past their ends. With `part`, which a
   * store may ignore: only those, ordered by `createdAt`, then by `id`. A part with fewer than `limit` is the last one.
   */
  list? (subject: string, part?: SessionListPart): Promise<Session[]>
  /** Deletes the rows whose absolute end passed before `before`, and may delete those whose idle end did; resolves to how many. */
  purgeExpired? (before: EpochSeconds): Promise<number>
  /**
   * Calls back for each session that any instance ends, at once for those of its own, until the returned function is
   * called. `onConnection` is told whenever it is up (at first too, which is waited for) or down: what ends while it is
   * down is not told.
   */
  subscribe? (listener: RevocationListener, onConnection?: (up: boolean) => void): () => Promise<void> | void
  /** What time it is to the store's server, fractions kept: compared with the app's clock at start, and used for nothing else. */
  now? (): Promise<EpochSeconds>
  /**
   * Notes whose sessions it holds, at start and when the keys change. Rejects with a TypeError where they are another app's:
   * the names differ, or one of the two has none and they have no key in common. A store that nobody else can reach
   * needs no such method.
   */
  claim? (owner: StoreOwner): Promise<void>
  /** Prepares the store at start, e.g. makes and checks its table; a TypeError means that it can never scope as it is. */
  open? (): Promise<void>
}

/** Whether a text can be the id of a session. Nothing else need reach a store, where it might be no legal text (U+0000). */
export function isSessionId (text: string): boolean {
  return /^[\w-]{1,64}$/.test(text)
}

/** Whether a session can still be refreshed at `now`: neither revoked nor past one of its ends. */
export function isLive (session: Session, now: EpochSeconds): boolean {
  return !isRevoked(session) && now < session.idleExpiresAt && now < session.expiresAt
}

/** Whether a session was ended before its time. */
export function isRevoked (session: Session): boolean {
  return typeof session.revokedAt === 'number'
}

/**
 * The order of a list: by the time of the login, then by the characters of the id. No two sessions share a place, and a
 * rotation moves none, so a list can go on behind any session.
 */
export function byAge (one: SessionPosition, other: SessionPosition): number {
  return one.createdAt - other.createdAt || (one.id < other.id ? -1 : Number(one.id > other.id))
}

/** The place before every session. */
export const LIST_START: SessionPosition = { createdAt: -1, id: '' }

/** A new session as it begins at `at`: generation 0, with no previous one. */
export function startSession (subject: string, from: Pick<Session, 'userAgent' | 'ip'>, lasts: { readonly idle: Seconds, readonly absolute: Seconds }, at: EpochSeconds): Session {
  const expiresAt = at + lasts.absolute
  return {
    id: randomId(),
    subject,
    generation: 0,
    previous: null,
    rotatedAt: at,
    createdAt: at,
    expiresAt,
    idleExpiresAt: Math.min(at + lasts.idle, expiresAt),
    authTime: at,
    userAgent: from.userAgent,
    ip: from.ip
  }
}

/** How a store lists sessions. A TypeError for one that cannot: registration has refused the options that need it. */
export function listOf (store: SessionStore): NonNullable<SessionStore['list']> {
  if (store.list === undefined) throw new TypeError('this needs a store with "list", which keeps its sessions')
  return store.list.bind(store)
}

/** Throws a TypeError for a store that cannot list sessions. It keeps none, so "ended" would be a false answer. */
export function assertKept (store: SessionStore): void {
  listOf(store)
}
