import { checkedOptions } from '../../options/validators.js'
import { LIST_START, type SessionListPart, type SessionStore } from '../../sessions/session.js'
import { systemClock, type Clock, type EpochSeconds } from '../../time.js'
import { hasCode, listenOn, missingTimeouts, statementRunner, type PostgresDatabase } from './database.js'
import { FIELDS, sessionOf, statementsOn, type Row } from './statements.js'
import { DEFAULT_TABLE, prepareTable, tableName, type PostgresTableOptions } from './table.js'
import { ownership } from '../ownership.js'
import { revocationFeed } from '../revocation-feed.js'

export { type PostgresDatabase } from './database.js'
export { postgresSchema, type PostgresTableOptions } from './table.js'

/** Every method of a store; `subscribe` only for a database that can LISTEN. */
export type PostgresStore = Required<Omit<SessionStore, 'subscribe'>> & Pick<SessionStore, 'subscribe'>

/** The options of `postgresStore`. */
export interface PostgresStoreOptions extends PostgresTableOptions {
  /**
   * A `Pool` of pg that connects to the server directly, for `revocation: 'immediate'`; `db` by default. Needed if `db`
   * goes through a pooler that changes connections between transactions (such as PgBouncer in transaction mode), where
   * LISTEN receives nothing. The store opens one connection with its options and checks none out.
   */
  readonly listen?: PostgresDatabase
  /** Dates revocations; the system's clock by default. */
  readonly clock?: Clock
}

/**
 * Sessions in PostgreSQL: they survive restarts, and any number of processes share them.
 *
 * `open`, or else the first call of another method, creates the table or checks it. It rejects with a TypeError if the
 * table does not fit, cannot be created, or if the user lacks a right on it; every other error is the database's own.
 * The pool stays yours: listen to its `'error'` event, and end it. `open` emits a warning for a pool without timeouts,
 * since a statement could run after its caller gave up. The store of a `Pool` or of PGlite has `subscribe`, which uses a
 * connection of its own. Throws a TypeError for wrong arguments.
 */
export function postgresStore (db: PostgresDatabase, options: PostgresStoreOptions = {}): PostgresStore {
  const { table = DEFAULT_TABLE, clock = systemClock, listen = db } = checkedOptions('postgresStore', options, ['table', 'clock', 'listen'])
  if (typeof db?.query !== 'function') throw new TypeError('postgresStore: its first argument has no method "query": pass a Pool of pg or a PGlite instance')
  if (listen !== db && listenOn(listen) === undefined) throw new TypeError('postgresStore: the option "listen" cannot LISTEN: pass a Pool of pg or a PGlite instance, or leave it out')
  tableName(table, 'postgresStore')

  const sql = statementsOn(table)
  const query = statementRunner(db, [sql.get, sql.advance])
  const listenTo = listenOn(listen)
  const feed = revocationFeed()
  const owned = ownership({
    async read () {
      await prepared()
      const [row] = await run(sql.readMarker, [])
      return row === undefined ? null : String(row.marker)
    },
    async replace (found, next) {
      const rows = found === null ? await run(sql.addMarker, [next]) : await run(sql.replaceMarker, [next, found])
      return rows.length > 0
    },
    place: `postgresStore: the table "${table}"`,
    option: 'the option "table" of postgresStore',
    removal: sql.removeMarker
  })
  let opening: Promise<void> | undefined
  return {
    open: prepared,

    claim: owned.claim,

    async create (session) {
      await open()
      await run(sql.create, FIELDS.map(field => session[field] ?? null))
    },

    async get (id) {
      const [row] = await rowsOf(id, sql.get)
      return row === undefined ? null : sessionOf(row)
    },

    async advance (id, fromGeneration, { generation, previous, rotatedAt, idleExpiresAt, authTime }) {
      const [row] = await rowsOf(id, sql.advance, fromGeneration, generation, previous, rotatedAt, idleExpiresAt, authTime ?? null)
      return row === undefined ? null : sessionOf(row)
    },

    async revoke (id, reason) {
      const ended = await rowsOf(id, sql.revoke, now(), reason, feed.messageOf({ id }))
      feed.notify({ id }) // also if it was revoked before: the reply to that call may have been lost
      return ended.length > 0
    },

    async revokeAll (subject, reason, exceptId) {
      const at = now()
      const revocation = { subject, at, ...(exceptId !== undefined && { exceptId }) }
      const [ended] = await rowsOf(subject, sql.revokeAll, at, reason, feed.messageOf(revocation), exceptId ?? null, REVOKE_BATCH)
      feed.notify(revocation)
      return Number(ended?.count ?? 0)
    },

    async list (subject, { limit, after = LIST_START, liveAt = -1 }: Partial<SessionListPart> = {}) {
      const rows = await rowsOf(subject, sql.list, after.createdAt, after.id, liveAt, limit ?? null)
      return rows.map(sessionOf)
    },

    async purgeExpired (before) {
      await open()
      let count = 0
      let deleted
      do {
        deleted = await run(sql.purge, [before, PURGE_BATCH])
        count += deleted.length
      } while (deleted.length === PURGE_BATCH)
      return count
    },

    async now () {
      await open()
      const [row] = await run(sql.now, [])
      return Number(row?.now)
    },

    ...(listenTo !== undefined && {
      subscribe: feed.subscribeOver({
        connect: onMessage => async closing => await listenTo(await channelName(), onMessage, closing),
        async send (message) { await run(sql.send, [message]) },
        onSilence: warnOfSilence
      })
    })
  }

  function now (): EpochSeconds {
    return Math.floor(clock())
  }

  async function channelName (): Promise<string> {
    await open()
    const [row] = await run(sql.channel, [])
    return String(row?.channel)
  }

  /** Concurrent calls share one attempt; the next call after a failed one tries again. */
  function prepared (): Promise<void> {
    opening ??= prepare().catch(error => {
      opening = undefined
      throw error
    })
    return opening
  }

  /** No statement runs before the table's owner is known. */
  async function open (): Promise<void> {
    await prepared()
    await owned.resolveClaims()
  }

  async function prepare (): Promise<void> {
    await prepareTable(table, sql, run)
    const missing = await missingTimeouts(db, query)
    if (missing.length > 0) warnOfMissing(missing)
  }

  /** The rows of one session or one subject. */
  async function rowsOf (key: string, statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    await open()
    // PostgreSQL's text cannot hold NUL: no row has such a key, and a query with it would be an error.
    return key.includes('\0') ? [] : await run(statement, [key, ...values])
  }

  /** Each statement is a transaction of its own, so it can simply run again after a rollback. */
  async function run (statement: string, values: unknown[], attempts = MAX_ATTEMPTS): Promise<readonly Row[]> {
    try {
      return await query(statement, values) as Row[] // objects keyed by column name
    } catch (error) {
      if (attempts === 1 || !hasCode(error, ROLLED_BACK)) throw error
      return await run(statement, values, attempts - 1)
    }
  }
}

const PURGE_BATCH = 1000
/** Takes less than a second on a busy server, for statement timeouts. */
const REVOKE_BATCH = 1000
const MAX_ATTEMPTS = 3

/** Errors of PostgreSQL: serialization_failure and deadlock_detected. */
const ROLLED_BACK = ['40001', '40P01']

function warnOfMissing (timeouts: readonly string[]): void {
  process.emitWarning(`postgresStore: its pool has no ${timeouts.join(' and no ')}, so a call could run, or keep its connection, minutes after its caller gave up: make the pool with ${timeouts.map(name => `${name}: 5000`).join(', ')}${timeouts.includes('statement_timeout') ? ", or where a pooler refuses statement_timeout, ALTER ROLE app SET statement_timeout = '5s'" : ''}`, { type: 'PostgresStoreWarning', code: 'FST_AUTH_POSTGRES_TIMEOUT' })
}

function warnOfSilence (): void {
  process.emitWarning('postgresStore: LISTEN succeeded, but messages of NOTIFY are not delivered, as behind PgBouncer in transaction mode, so this process does not learn of sessions that other processes revoke: set the option "listen" to a Pool of pg that connects to the server directly, such as postgresStore(pool, { listen: new pg.Pool({ connectionString: directUrl }) })', { type: 'PostgresStoreWarning', code: 'FST_AUTH_POSTGRES_LISTEN' })
}
