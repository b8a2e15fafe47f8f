import { LIST_START, type SessionListPart, type SessionStore } from '../../sessions/session.js'
import { systemClock, type Clock, type EpochSeconds } from '../../time.js'
import { hasCode, listenOn, missingTimeouts, statementRunner, type PostgresDatabase } from './database.js'
import { FIELDS, sessionOf, statementsOn, type Row } from './statements.js'
import { DEFAULT_TABLE, prepareTable, tableName, type PostgresTableOptions } from './table.js'
import { ownership } from '../ownership.js'
import { revocationFeed } from '../revocation-feed.js'
import { checkedOptions } from '../options.js'

export { type PostgresDatabase } from './database.js'
export { postgresSchema, type PostgresTableOptions } from './table.js'

/** Every method of a store; `subscribe` only where the database can tell what happens in other processes. */
export type PostgresStore = Required<Omit<SessionStore, 'subscribe'>> & Pick<SessionStore, 'subscribe'>

/** How a PostgreSQL store is made. */
export interface PostgresStoreOptions extends PostgresTableOptions {
  /**
   * A `Pool` of pg whose connections reach the server itself, for `revocation: 'immediate'`. Needed where `db` goes
   * through a pooler that gives each transaction another connection (PgBouncer in transaction mode, and others), since
   * there LISTEN receives nothing. One connection is made with its options; none of its own is taken. `db` by default.
   */
  readonly listen?: PostgresDatabase
  /** Tells the time of a revocation; the system's clock by default. */
  readonly clock?: Clock
}

/**
 * Sessions in PostgreSQL: they outlive restarts, and any number of processes share them.
 *
 * `open` makes the table if it is missing, else checks it; where `open` is not called, the first call of another
 * method does it. A TypeError says that the table does not fit, may not be made, or that its user lacks a right on it; every other failure is the
 * database's own error. The pool stays yours: listen to its `'error'` event, and end it. One without timeouts is warned
 * of, since a call that was given up could run when nobody waits for it. The store of a `Pool` or of PGlite can be
 * subscribed to, over a connection of its own.
 */
export function postgresStore (db: PostgresDatabase, options: PostgresStoreOptions = {}): PostgresStore {
  const { table = DEFAULT_TABLE, clock = systemClock, listen = db } = checkedOptions('postgresStore', options, ['table', 'clock', 'listen'])
  if (typeof db?.query !== 'function') throw new TypeError('postgresStore: its first argument has no method "query": pass a Pool of pg or a PGlite instance')
  if (listen !== db && listenOn(listen) === undefined) throw new TypeError('postgresStore: the option "listen" is nothing that can listen: pass a Pool of pg or a PGlite instance, or leave it out')
  tableName(table, 'postgresStore')

  const sql = statementsOn(table)
  const query = statementRunner(db, [sql.get, sql.advance])
  const openChannel = listenOn(listen)
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
      feed.tell({ id }) // also where it had ended: the answer to the call that ended it may have been lost
      return ended.length > 0
    },

    async revokeAll (subject, reason, exceptId) {
      const at = now()
      const revocation = { subject, at, ...(exceptId !== undefined && { exceptId }) }
      const [ended] = await rowsOf(subject, sql.revokeAll, at, reason, feed.messageOf(revocation), exceptId ?? null, REVOKE_BATCH)
      feed.tell(revocation)
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

    ...(openChannel !== undefined && {
      subscribe: feed.over({
        open: onMessage => async over => await openChannel(await channelName(), onMessage, over),
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

  /** Calls that come while the table is being prepared wait for that attempt; after a failed one the next call tries again. */
  function prepared (): Promise<void> {
    opening ??= prepare().catch(error => {
      opening = undefined
      throw error
    })
    return opening
  }

  /** No call reaches the table before it is known whose it is. */
  async function open (): Promise<void> {
    await prepared()
    await owned.settle()
  }

  async function prepare (): Promise<void> {
    await prepareTable(table, sql, run)
    const missing = await missingTimeouts(db, query)
    if (missing.length > 0) warnOfMissing(missing)
  }

  /** The rows of one session or one subject. */
  async function rowsOf (key: string, statement: string, ...values: unknown[]): Promise<readonly Row[]> {
    await open()
    // PostgreSQL's text holds no NUL, so nothing is stored under such a key; asking for it would be an error.
    return key.includes('\0') ? [] : await run(statement, [key, ...values])
  }

  /** Runs one statement, a transaction of its own: rolled back in favour of another one, it can simply run again. */
  async function run (statement: string, values: unknown[], attempts = MAX_ATTEMPTS): Promise<readonly Row[]> {
    try {
      return await query(statement, values) as Row[] // each is an object with the columns' names
    } catch (error) {
      if (attempts === 1 || !hasCode(error, ROLLED_BACK)) throw error
      return await run(statement, values, attempts - 1)
    }
  }
}

const PURGE_BATCH = 1000
/** Small enough for a statement timeout of a second on a busy server. */
const REVOKE_BATCH = 1000
const MAX_ATTEMPTS = 3

/** Errors of PostgreSQL: serialization_failure and deadlock_detected. */
const ROLLED_BACK = ['40001', '40P01']

function warnOfMissing (timeouts: readonly string[]): void {
  process.emitWarning(`postgresStore: its pool has no ${timeouts.join(' and no ')}, so a call that was given up could run, or hold its connection, minutes later: make the pool with ${timeouts.map(name => `${name}: 5000`).join(', ')}${timeouts.includes('statement_timeout') ? ", or where a pooler refuses statement_timeout, ALTER ROLE app SET statement_timeout = '5s'" : ''}`, { type: 'PostgresStoreWarning', code: 'FST_AUTH_POSTGRES_TIMEOUT' })
}

function warnOfSilence (): void {
  process.emitWarning('postgresStore: LISTEN was answered, but what NOTIFY sends does not arrive, as behind PgBouncer in transaction mode, so this process does not learn of sessions that end elsewhere: give the option "listen", a Pool of pg that reaches the server itself, such as postgresStore(pool, { listen: new pg.Pool({ connectionString: directUrl }) })', { type: 'PostgresStoreWarning', code: 'FST_AUTH_POSTGRES_LISTEN' })
}
