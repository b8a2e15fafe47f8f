import { checkedOptions } from '../../options/validators.js'
import { isRevoked, LIST_START, type RevokeReason, type Session, type SessionChange, type SessionPosition } from '../../sessions/session.js'
import { type Revocation, type SessionPage, type SessionStore, type StoreOwner } from '../../sessions/store.js'
import { type Clock, type Duration, type EpochSeconds, parseDuration, type Seconds } from '../../time.js'
import { ownership, type Ownership } from '../ownership.js'
import { messageFor, revocationFeed } from '../revocation-feed.js'
import { assertRights, channelOf, type RedisCommands } from './commands.js'
import { type Ioredis, type IoredisCluster, ioredisCommands } from './ioredis.js'
import { type NodeRedis, type NodeRedisCluster, nodeRedisCommands } from './node-redis.js'
import { ADD_TO_INDEX, ADVANCE, changedPrefix, COMPARE_AND_SET, CREATE, deserialize, generationPrefix, LIST, PUBLISH, READ, REMOVE_FROM_INDEX, REVOKE, revokedPrefix, serialize, TIME } from './scripts.js'

/** The options of `redisStore`. */
export interface RedisStoreOptions {
  /**
   * The prefix of the store's keys and of its channel, `'auth:'` by default. Apps that share a server need different
   * prefixes, unless their clients' options differ in the database number or the `keyPrefix`, which the channel then has too.
   */
  readonly prefix?: string | undefined
  /** Dates revocations, and counts how long a session's key lives. The system's clock by default. */
  readonly clock?: Clock | undefined
  /** The time by which a session's key outlives its absolute expiry, `'1h'` by default. At least the lifetime of an access token. */
  readonly retainFor?: Duration | undefined
}

/** A `Redis` or `Cluster` of the package ioredis, or a client or cluster of the package redis. */
export type RedisClient = Ioredis | IoredisCluster | NodeRedis | NodeRedisCluster

type Store = Required<Omit<SessionStore, 'purgeExpired'>>

/**
 * Sessions in Redis 6 or later: one key per session, and an index per user with the ids of their sessions.
 *
 * Each step of a session is one script on one key, so it is atomic, takes one round trip and runs on a cluster. Keys
 * expire by themselves. Redis replicates asynchronously: a failover may lose the last acknowledged writes. The client
 * stays yours: listen to its `'error'` event, and close it. The methods need no `this`, so a store can be spread.
 *
 * Throws a TypeError for wrong options, and for a client that could send a command long after its caller gave up. `open`
 * rejects with a TypeError, which holds the ACL commands to run, if the client's user lacks rights; and emits a warning for
 * a server whose `maxmemory-policy` may evict sessions.
 */
export function redisStore (client: RedisClient, options: RedisStoreOptions = {}): Store {
  const { prefix = 'auth:', clock, retainFor = '1h' } = checkedOptions('redisStore', options, ['prefix', 'clock', 'retainFor'])
  if (typeof prefix !== 'string') throw new TypeError(`redisStore: the option "prefix" is ${String(prefix)}: set it to the prefix of its keys, such as 'auth:'`)
  const retainForSeconds = secondsOf(retainFor)
  return new RedisStore(commandsOf(client), prefix, clock, retainForSeconds)
}

/** The most sessions that are read or revoked at once: more would delay other requests. */
const PAGE_SIZE = 200

/** One call revokes about this many, far fewer than the timeout of a call allows. */
const REVOKE_BATCH = 1000

/** No write takes this long, and no access token, which may renew an idle session, lives longer. */
const SETTLED_AFTER: Seconds = 86_400

class RedisStore implements Store {
  readonly #commands: RedisCommands
  readonly #prefix: string
  readonly #clock: Clock
  readonly #retainFor: Seconds
  readonly #markerKey: string
  readonly #channel: string
  readonly #ownership: Ownership
  readonly #feed = revocationFeed()
  readonly subscribe: Store['subscribe']

  constructor (commands: RedisCommands, prefix: string, clock: Clock, retainFor: Seconds) {
    this.#commands = commands
    this.#prefix = prefix
    this.#clock = clock
    this.#retainFor = retainFor
    this.#markerKey = `${prefix}app`
    this.#channel = channelOf(commands, `${prefix}revoked`)
    this.#ownership = ownershipIn(commands, prefix, this.#markerKey)
    this.subscribe = this.#feed.subscribeOver({
      connect: onMessage => commands.subscribe(this.#channel, onMessage),
      send: message => this.#run(PUBLISH, this.#markerKey, this.#channel, message),
      onUndelivered: warnOfSilence
    })
  }

  readonly open = async (): Promise<void> => {
    await this.#commands.untilReady()
    await assertRights(this.#commands, this.#prefix, this.#channel)
    const replies = await this.#commands.memoryInfo()
    const [evicting] = replies.flatMap(evictingPolicy)
    if (evicting !== undefined) warnOfEviction(evicting)
  }

  readonly claim = async (owner: StoreOwner): Promise<void> => await this.#ownership.claim(owner)

  readonly create = async (session: Session): Promise<void> => {
    const lifetime = this.#lifetimeOf(session)
    // The index first: "log out everywhere" would miss a session that is not in it.
    await this.#run(ADD_TO_INDEX, this.#indexKey(session.subject), this.#clock(), session.createdAt, session.id, session.expiresAt - session.createdAt, lifetime)
    const created = await this.#run(CREATE, this.#sessionKey(session.id), serialize(session), lifetime)
    if (created === null) throw new Error('a session with this id exists')
  }

  readonly get = async (id: string): Promise<Session | null> => {
    const text = await this.#run(READ, this.#sessionKey(id))
    return text === null ? null : deserialize(id, String(text))
  }

  readonly advance = async (id: string, fromGeneration: number, change: SessionChange): Promise<Session | null> => {
    const text = await this.#run(ADVANCE, this.#sessionKey(id), generationPrefix(fromGeneration), changedPrefix(change), change.authTime ?? '')
    return text === null ? null : deserialize(id, String(text))
  }

  readonly revoke = async (id: string, reason: RevokeReason): Promise<boolean> => {
    const ended = await this.#end(id, reason, this.#clock(), this.#channel, messageFor({ id }))
    this.#feed.notify({ id }) // also if it was revoked before: the reply to that call may have been lost
    return ended
  }

  readonly revokeAll = async (subject: string, reason: RevokeReason, exceptId?: string): Promise<number> => {
    const at = this.#clock()
    const revocation = { subject, at, ...(exceptId !== undefined && { exceptId }) }
    // Before as well as after: if Redis fails midway, the second message is never sent.
    await this.#report(revocation)
    try {
      const count = await this.#endBatch(subject, reason, at, exceptId)
      await this.#report(revocation) // other instances discard what they read between the two messages
      return count
    } catch (error) {
      await this.#report(revocation).catch(() => {}) // the first error is the cause
      throw error
    }
  }

  readonly list = async (subject: string, { limit = Infinity, after = LIST_START }: Partial<SessionPage> = {}): Promise<Session[]> => {
    const listed: Session[] = []
    for await (const sessions of this.#pagesOf(subject, after, Math.min(limit, PAGE_SIZE))) {
      listed.push(...sessions)
      if (listed.length >= limit) break
    }
    return listed.slice(0, limit)
  }

  readonly now = async (): Promise<EpochSeconds> => Number(await this.#run(TIME, this.#markerKey))

  /** Runs a script once the store's owner is known. */
  async #run (...command: Parameters<RedisCommands['run']>): Promise<unknown> {
    const unresolved = this.#ownership.resolveClaims()
    if (unresolved !== undefined) await unresolved
    return await this.#commands.run(...command)
  }

  // Well-formed: the packages encode half a surrogate pair differently when they compute a key's hash slot.
  #sessionKey (id: string): string {
    return `${this.#prefix}s:${id.toWellFormed()}`
  }

  #indexKey (subject: string): string {
    return `${this.#prefix}u:${subject.toWellFormed()}`
  }

  /** In milliseconds. A duration, since the server's clock may differ from ours. */
  #lifetimeOf ({ expiresAt }: Session): number {
    return Math.max(expiresAt - this.#clock() + this.#retainFor, 1) * 1000
  }

  async #end (id: string, reason: RevokeReason, at: EpochSeconds, ...channelAndMessage: string[]): Promise<boolean> {
    return await this.#run(REVOKE, this.#sessionKey(id), revokedPrefix(reason, at), ...channelAndMessage) !== null
  }

  /**
   * The subject's unrevoked sessions after a position, in pages. Removes from the index what has ended. An id without a
   * session stays for a day: its session may be about to be written.
   */
  async * #pagesOf (subject: string, after: SessionPosition, size: number): AsyncGenerator<Session[]> {
    const at = this.#clock()
    for (let last: SessionPosition | undefined = after; last !== undefined;) {
      const positions = positionsIn(await this.#run(LIST, this.#indexKey(subject), last.createdAt, last.id, size))
      const found = await Promise.all(positions.map(({ id }) => this.get(id)))
      const sessions = found.filter(session => session !== null)
      const missing = positions.filter(({ createdAt }, nth) => found[nth] === null && createdAt + SETTLED_AFTER < at)
      const ended = sessions.filter(session => isRevoked(session) || session.idleExpiresAt + SETTLED_AFTER < at)
      await this.#removeFromIndex(subject, [...missing, ...ended].map(({ id }) => id))
      yield sessions.filter(session => session.subject === subject && !isRevoked(session))
      last = positions.length < size ? undefined : positions.at(-1)
    }
  }

  async #endBatch (subject: string, reason: RevokeReason, at: EpochSeconds, exceptId: string | undefined): Promise<number> {
    let count = 0
    for await (const sessions of this.#pagesOf(subject, LIST_START, PAGE_SIZE)) {
      const ids = sessions.map(({ id }) => id).filter(id => id !== exceptId)
      const ended = await Promise.all(ids.map(id => this.#end(id, reason, at)))
      await this.#removeFromIndex(subject, ids)
      count += ended.filter(Boolean).length
      if (count >= REVOKE_BATCH) break
    }
    return count
  }

  async #report (revocation: Extract<Revocation, { readonly subject: string }>): Promise<void> {
    this.#feed.notify(revocation)
    await this.#run(PUBLISH, this.#indexKey(revocation.subject), this.#channel, messageFor(revocation))
  }

  async #removeFromIndex (subject: string, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await this.#run(REMOVE_FROM_INDEX, this.#indexKey(subject), ...ids)
  }
}

function ownershipIn (commands: RedisCommands, prefix: string, key: string): Ownership {
  return ownership({
    async read () {
      const text = await commands.run(READ, key)
      return text === null ? null : String(text)
    },
    replace: async (found, next) => await commands.run(COMPARE_AND_SET, key, found ?? '', next) !== null,
    place: `redisStore: the key space "${prefix}*"`,
    option: 'the option "prefix" of redisStore',
    removal: `DEL ${key}`
  })
}

/** LIST returns ids and scores in turn. */
function positionsIn (reply: unknown): SessionPosition[] {
  const texts = (reply as unknown[]).map(String) // that script returns a list
  return texts.flatMap((id, nth) => nth % 2 === 0 ? [{ id, createdAt: Number(texts[nth + 1]) }] : [])
}

function secondsOf (retainFor: Duration): Seconds {
  const seconds = parseDuration(retainFor)
  if (seconds === null) throw new TypeError(`redisStore: the option "retainFor" is ${String(retainFor)}: set it to a duration such as '1h', or to seconds`)
  return seconds
}

/** The policy in a reply to INFO memory, unless it is noeviction. */
function evictingPolicy (info: string): string[] {
  return /(?<=^maxmemory_policy:)(?!noeviction)\S+/m.exec(info) ?? []
}

function warnOfEviction (policy: string): void {
  process.emitWarning(`redisStore: the server's maxmemory-policy is ${policy}, so it evicts sessions when its memory is full, which logs their users out: set it to noeviction`, { type: 'RedisStoreWarning', code: 'FST_AUTH_REDIS_EVICTION' })
}

function warnOfSilence (): void {
  process.emitWarning('redisStore: SUBSCRIBE succeeded, but messages of PUBLISH are not delivered, so this process does not learn of sessions that other processes revoke: connect to a server or a cluster that delivers messages to all its connections', { type: 'RedisStoreWarning', code: 'FST_AUTH_REDIS_SUBSCRIBE' })
}

/** Throws a TypeError for anything but a supported client. */
function commandsOf (client: RedisClient): RedisCommands {
  if (has(client, 'evalsha')) return ioredisCommands(client as Ioredis | IoredisCluster)
  if (has(client, 'evalSha')) return nodeRedisCommands(client as NodeRedis | NodeRedisCluster)
  throw new TypeError('redisStore: its first argument is not a client: pass one of the package ioredis or of the package redis')
}

function has (client: unknown, method: string): boolean {
  return typeof Object(client)[method] === 'function'
}
