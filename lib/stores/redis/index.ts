import { isRevoked, LIST_START, type RevokeReason, type Session, type SessionListPart, type SessionPosition, type SessionStore } from '../../sessions/session.js'
import { type Clock, type Duration, type EpochSeconds, parseDuration, type Seconds, systemClock } from '../../time.js'
import { checkedOptions } from '../options.js'
import { ownership } from '../ownership.js'
import { revocationFeed } from '../revocation-feed.js'
import { channelOf, type RedisCommands } from './commands.js'
import { type Ioredis, type IoredisCluster, ioredisCommands } from './ioredis.js'
import { type NodeRedis, type NodeRedisCluster, nodeRedisCommands } from './node-redis.js'
import { assertRights } from './acl.js'
import { ADVANCE, beginningOf, changeOf, CREATE, DELETE, endOf, INDEX, LIST, PUBLISH, READ, REPLACE, REVOKE, sessionOf, textOf, TIME } from './scripts.js'

/** The options of `redisStore`. */
export interface RedisStoreOptions {
  /**
   * The prefix of the store's keys and of its channel, `'auth:'` by default. Apps that share a server need different
   * prefixes, unless their clients' options differ in the database number or the `keyPrefix`, which the channel then has too.
   */
  readonly prefix?: string
  /** Dates revocations, and counts how long a session's key lives. The system's clock by default. */
  readonly clock?: Clock
  /** How long a session's key outlives its absolute end, `'1h'` by default. At least the lifetime of an access token. */
  readonly retainFor?: Duration
}

/**
 * Sessions in Redis 6 or later: one key per session, and an index per user with the ids of their sessions.
 *
 * Each step of a session is one script on one key, so it is atomic, takes one round trip and runs on a cluster. Keys
 * expire by themselves. Redis replicates asynchronously: a failover may lose the last acknowledged writes. The client
 * stays yours: listen to its `'error'` event, and close it.
 *
 * Throws a TypeError for a client that could send a command long after its caller gave up. `open` rejects with a
 * TypeError, which holds the ACL commands to run, if the client's user lacks rights; and emits a warning for a server
 * whose `maxmemory-policy` may evict sessions.
 */
export function redisStore (client: RedisClient, options: RedisStoreOptions = {}): Required<Omit<SessionStore, 'purgeExpired'>> {
  const { prefix = 'auth:', clock = systemClock, retainFor = '1h' } = checkedOptions('redisStore', options, ['prefix', 'clock', 'retainFor'])
  if (typeof prefix !== 'string') throw new TypeError(`redisStore: the option "prefix" is ${String(prefix)}: set it to the prefix of its keys, such as 'auth:'`)
  const retained = secondsOf(retainFor)
  const commands = commandsOf(client)
  const markerKey = `${prefix}app`
  const owned = ownership({
    async read () {
      const text = await commands.run(READ, markerKey)
      return text === null ? null : String(text)
    },
    replace: async (found, next) => await commands.run(REPLACE, markerKey, found ?? '', next) !== null,
    place: `redisStore: what begins with "${prefix}"`,
    option: 'the option "prefix" of redisStore',
    removal: `DEL ${markerKey}`
  })
  const redis = {
    ...commands,
    /** No command runs before the store's owner is known. */
    async run (...command: Parameters<typeof commands.run>): Promise<unknown> {
      const unresolved = owned.resolveClaims()
      if (unresolved !== undefined) await unresolved
      return await commands.run(...command)
    }
  }
  const channel = channelOf(commands, `${prefix}revoked`)
  const feed = revocationFeed()
  return {
    async open () {
      await redis.untilReady()
      await assertRights(commands, prefix, channel)
      const answers = await redis.memoryInfo()
      const [evicting] = answers.flatMap(evictingPolicy)
      if (evicting !== undefined) warnOfEviction(evicting)
    },

    claim: owned.claim,

    async create (session) {
      const lifetime = lifetimeOf(session)
      // The index first: "log out everywhere" would miss a session that is not in it.
      await redis.run(INDEX, indexKey(session.subject), now(), session.createdAt, session.id, session.expiresAt - session.createdAt, lifetime)
      const created = await redis.run(CREATE, sessionKey(session.id), textOf(session), lifetime)
      if (created === null) throw new Error('a session with this id exists')
    },

    get,

    async advance (id, fromGeneration, change) {
      const text = await redis.run(ADVANCE, sessionKey(id), beginningOf(fromGeneration), changeOf(change), change.authTime ?? '')
      return text === null ? null : sessionOf(id, String(text))
    },

    async revoke (id, reason) {
      const ended = await end(id, reason, now(), channel, feed.messageOf({ id }))
      feed.notify({ id }) // also if it was revoked before: the reply to that call may have been lost
      return ended
    },

    async revokeAll (subject, reason, exceptId) {
      const at = now()
      let count = 0
      for await (const sessions of partsOf(subject, LIST_START, PART)) {
        const ids = sessions.map(({ id }) => id).filter(id => id !== exceptId)
        const ended = await Promise.all(ids.map(id => end(id, reason, at)))
        await removeFromIndex(subject, ids)
        count += ended.filter(Boolean).length
        if (count >= REVOKE_BATCH) break
      }
      const revocation = { subject, at, ...(exceptId !== undefined && { exceptId }) }
      feed.notify(revocation)
      // Also if none was left: the previous call may have failed just here.
      await redis.run(PUBLISH, indexKey(subject), channel, feed.messageOf(revocation))
      return count
    },

    async list (subject, { limit = Infinity, after = LIST_START }: Partial<SessionListPart> = {}) {
      const listed: Session[] = []
      for await (const sessions of partsOf(subject, after, Math.min(limit, PART))) {
        listed.push(...sessions)
        if (listed.length >= limit) break
      }
      return listed.slice(0, limit)
    },

    async now () {
      return Number(await redis.run(TIME, markerKey))
    },

    subscribe: feed.subscribeOver({
      connect: onMessage => redis.subscribe(channel, onMessage),
      send: message => redis.run(PUBLISH, markerKey, channel, message),
      onSilence: warnOfSilence
    })
  }

  // Well-formed: the packages encode half a surrogate pair differently when they compute a key's hash slot.
  function sessionKey (id: string): string {
    return `${prefix}s:${id.toWellFormed()}`
  }

  function indexKey (subject: string): string {
    return `${prefix}u:${subject.toWellFormed()}`
  }

  function now (): EpochSeconds {
    return Math.floor(clock())
  }

  /** In milliseconds. A duration, since the server's clock may differ from ours. */
  function lifetimeOf ({ expiresAt }: Session): number {
    return Math.max(expiresAt - now() + retained, 1) * 1000
  }

  async function get (id: string): Promise<Session | null> {
    const text = await redis.run(READ, sessionKey(id))
    return text === null ? null : sessionOf(id, String(text))
  }

  async function end (id: string, reason: RevokeReason, at: EpochSeconds, ...channelAndMessage: string[]): Promise<boolean> {
    return await redis.run(REVOKE, sessionKey(id), endOf(reason, at), ...channelAndMessage) !== null
  }

  /**
   * The subject's unrevoked sessions after a position, in parts. Removes from the index what is over. An id without a
   * session stays for a day: its session may be about to be written.
   */
  async function * partsOf (subject: string, after: SessionPosition, size: number): AsyncGenerator<Session[]> {
    const at = now()
    for (let last: SessionPosition | undefined = after; last !== undefined;) {
      const places = placesOf(await redis.run(LIST, indexKey(subject), last.createdAt, last.id, size))
      const found = await Promise.all(places.map(({ id }) => get(id)))
      const sessions = found.filter(session => session !== null)
      const missing = places.filter(({ createdAt }, nth) => found[nth] === null && createdAt + SETTLED < at)
      const done = sessions.filter(session => isRevoked(session) || session.idleExpiresAt + SETTLED < at)
      await removeFromIndex(subject, [...missing, ...done].map(({ id }) => id))
      yield sessions.filter(session => session.subject === subject && !isRevoked(session))
      last = places.length < size ? undefined : places.at(-1)
    }
  }

  async function removeFromIndex (subject: string, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await redis.run(DELETE, indexKey(subject), ...ids)
  }
}

/** The most sessions that are read or revoked at once: more would delay other requests. */
const PART = 200

/** One call revokes about this many, far fewer than the timeout of a call allows. */
const REVOKE_BATCH = 1000

/** No write takes this long, and no access token, which may renew an idle session, lives longer. */
const SETTLED: Seconds = 86_400

/** LIST returns ids and scores in turn. */
function placesOf (answer: unknown): SessionPosition[] {
  const texts = (answer as unknown[]).map(String) // that script returns a list
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

/** A `Redis` or `Cluster` of the package ioredis, or a client or cluster of the package redis. */
export type RedisClient = Ioredis | IoredisCluster | NodeRedis | NodeRedisCluster

/** Throws a TypeError for anything but a supported client. */
export function commandsOf (client: RedisClient): RedisCommands {
  if (has(client, 'evalsha')) return ioredisCommands(client as Ioredis | IoredisCluster)
  if (has(client, 'evalSha')) return nodeRedisCommands(client as NodeRedis | NodeRedisCluster)
  throw new TypeError('redisStore: its first argument is no client: pass one of the package ioredis or of the package redis')
}

function has (client: unknown, method: string): boolean {
  return typeof Object(client)[method] === 'function'
}
