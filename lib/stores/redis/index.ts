import { isRevoked, LIST_START, type RevokeReason, type Session, type SessionListPart, type SessionPosition, type SessionStore } from '../../sessions/session.js'
import { type Clock, type Duration, type EpochSeconds, parseDuration, type Seconds, systemClock } from '../../time.js'
import { checkedOptions } from '../options.js'
import { ownership } from '../ownership.js'
import { revocationFeed } from '../revocation-feed.js'
import { channelOf, type RedisCommands } from './commands.js'
import { type Ioredis, type IoredisCluster, ioredisCommands } from './ioredis.js'
import { type NodeRedis, type NodeRedisCluster, nodeRedisCommands } from './node-redis.js'
import { assertRights } from './rights.js'
import { ADVANCE, beginningOf, changeOf, CREATE, endOf, FORGET, INDEX, LIST, READ, REPLACE, REVOKE, sessionOf, TELL, textOf, TIME } from './scripts.js'

/** How a Redis store is made. */
export interface RedisStoreOptions {
  /**
   * What its keys and its channel begin with, `'auth:'` by default. Apps that share a server need different ones, unless
   * the options of their clients give each a database number or a `keyPrefix` of its own, which the channel then has too.
   */
  readonly prefix?: string
  /** Tells the time of a revocation and how long a session has still to live; the system's clock by default. */
  readonly clock?: Clock
  /** How long a session's key outlives its absolute end: one lifetime of access tokens or more, an hour by default. */
  readonly retainFor?: Duration
}

/**
 * Sessions in Redis 6 or later: one key per session, and one per user with the ids of theirs.
 *
 * Each step of a session is one script on one key, so it is atomic, takes one round trip and runs on a cluster. Keys
 * expire by themselves. A server that fails over may lose what it acknowledged in its last moments. The client stays
 * yours: listen to its `'error'` event, and close it. A TypeError for one that could run a command long after it was
 * given up. `open` rejects with one where the server's user lacks rights, which has the ACL rules that are missing, and
 * warns of a server that may drop sessions when its memory is full.
 */
export function redisStore (client: RedisClient, options: RedisStoreOptions = {}): Required<Omit<SessionStore, 'purgeExpired'>> {
  const { prefix = 'auth:', clock = systemClock, retainFor = '1h' } = checkedOptions('redisStore', options, ['prefix', 'clock', 'retainFor'])
  if (typeof prefix !== 'string') throw new TypeError(`redisStore: the option "prefix" is ${String(prefix)}: set it to what its keys are to begin with, such as 'auth:'`)
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
    /** Nothing is asked for before it is known whose it is. */
    async run (...command: Parameters<typeof commands.run>): Promise<unknown> {
      const unsettled = owned.settle()
      if (unsettled !== undefined) await unsettled
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
      // The index first: of a session that it does not know its user could never be signed out.
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
      feed.tell({ id }) // also where it had ended: the answer to the call that ended it may have been lost
      return ended
    },

    async revokeAll (subject, reason, exceptId) {
      const at = now()
      let count = 0
      for await (const sessions of partsOf(subject, LIST_START, PART)) {
        const ids = sessions.map(({ id }) => id).filter(id => id !== exceptId)
        const ended = await Promise.all(ids.map(id => end(id, reason, at)))
        await forget(subject, ids)
        count += ended.filter(Boolean).length
        if (count >= REVOKE_BATCH) break
      }
      const revocation = { subject, at, ...(exceptId !== undefined && { exceptId }) }
      feed.tell(revocation)
      // Also where none was left: the call before may have failed just here.
      await redis.run(TELL, indexKey(subject), channel, feed.messageOf(revocation))
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

    subscribe: feed.over({
      open: onMessage => redis.listen(channel, onMessage),
      send: message => redis.run(TELL, markerKey, channel, message),
      onSilence: warnOfSilence
    })
  }

  // Well-formed: of half a surrogate pair the packages make different bytes when they look for its place in a cluster.
  function sessionKey (id: string): string {
    return `${prefix}s:${id.toWellFormed()}`
  }

  function indexKey (subject: string): string {
    return `${prefix}u:${subject.toWellFormed()}`
  }

  function now (): EpochSeconds {
    return Math.floor(clock())
  }

  /** In milliseconds, from now on by our clock: the server's may tell another time. */
  function lifetimeOf ({ expiresAt }: Session): number {
    return Math.max(expiresAt - now() + retained, 1) * 1000
  }

  async function get (id: string): Promise<Session | null> {
    const text = await redis.run(READ, sessionKey(id))
    return text === null ? null : sessionOf(id, String(text))
  }

  async function end (id: string, reason: RevokeReason, at: EpochSeconds, ...told: string[]): Promise<boolean> {
    return await redis.run(REVOKE, sessionKey(id), endOf(reason, at), ...told) !== null
  }

  /**
   * The subject's sessions behind a place that have not been revoked, in parts. The index forgets what it need not know
   * any more. An id without a session stays for a while: its session may be about to be written.
   */
  async function * partsOf (subject: string, after: SessionPosition, size: number): AsyncGenerator<Session[]> {
    const at = now()
    for (let last: SessionPosition | undefined = after; last !== undefined;) {
      const places = placesOf(await redis.run(LIST, indexKey(subject), last.createdAt, last.id, size))
      const found = await Promise.all(places.map(({ id }) => get(id)))
      const sessions = found.filter(session => session !== null)
      const gone = places.filter(({ createdAt }, nth) => found[nth] === null && createdAt + SETTLED < at)
      const done = sessions.filter(session => isRevoked(session) || session.idleExpiresAt + SETTLED < at)
      await forget(subject, [...gone, ...done].map(({ id }) => id))
      yield sessions.filter(session => session.subject === subject && !isRevoked(session))
      last = places.length < size ? undefined : places.at(-1)
    }
  }

  async function forget (subject: string, ids: readonly string[]): Promise<void> {
    if (ids.length > 0) await redis.run(FORGET, indexKey(subject), ...ids)
  }
}

/** So many sessions are read or ended at once: more would hold up other requests. */
const PART = 200

/** One call ends about so many: far less than the time of a call allows. */
const REVOKE_BATCH = 1000

/** No write takes this long, and no access token lives longer, which might still renew a session that was idle too long. */
const SETTLED: Seconds = 86_400

/** What LIST answers: ids and scores in turn. */
function placesOf (answer: unknown): SessionPosition[] {
  const texts = (answer as unknown[]).map(String) // that script answers a list
  return texts.flatMap((id, nth) => nth % 2 === 0 ? [{ id, createdAt: Number(texts[nth + 1]) }] : [])
}

function secondsOf (retainFor: Duration): Seconds {
  const seconds = parseDuration(retainFor)
  if (seconds === null) throw new TypeError(`redisStore: the option "retainFor" is ${String(retainFor)}: set it to a duration such as '1h', or to seconds`)
  return seconds
}

/** The policy that a server names in its answer to INFO memory, unless it keeps what it has. */
function evictingPolicy (info: string): string[] {
  return /(?<=^maxmemory_policy:)(?!noeviction)\S+/m.exec(info) ?? []
}

function warnOfEviction (policy: string): void {
  process.emitWarning(`redisStore: the server's maxmemory-policy is ${policy}, so when its memory is full it drops sessions, and their users are signed out: set it to noeviction`, { type: 'RedisStoreWarning', code: 'FST_AUTH_REDIS_EVICTION' })
}

function warnOfSilence (): void {
  process.emitWarning('redisStore: SUBSCRIBE was answered, but what PUBLISH sends does not arrive, so this process does not learn of sessions that end elsewhere: connect to a server or a cluster whose messages reach all its connections', { type: 'RedisStoreWarning', code: 'FST_AUTH_REDIS_SUBSCRIBE' })
}

/** What redisStore takes: a `Redis` or `Cluster` of the package ioredis, a client or cluster of the package redis. */
export type RedisClient = Ioredis | IoredisCluster | NodeRedis | NodeRedisCluster

/** The store's commands on a client. A TypeError for what is none, and for one that runs commands late. */
export function commandsOf (client: RedisClient): RedisCommands {
  if (has(client, 'evalsha')) return ioredisCommands(client as Ioredis | IoredisCluster)
  if (has(client, 'evalSha')) return nodeRedisCommands(client as NodeRedis | NodeRedisCluster)
  throw new TypeError('redisStore: its first argument is no client: pass one of the package ioredis or of the package redis')
}

function has (client: unknown, method: string): boolean {
  return typeof Object(client)[method] === 'function'
}
