import { checkedOptions } from '../../options/validators.js'
import { type SessionStore } from '../../sessions/store.js'
import { type Clock } from '../../time.js'
import { revocationFeed } from '../revocation-feed.js'
import { DEFAULT_TABLE, tableName } from '../sql/session-table.js'
import { sqlStore, type SqlStore } from '../sql/store.js'
import { listenOn, type PostgresDatabase } from './database.js'
import { PostgresTable, type PostgresTableOptions } from './session-table.js'

export { type PostgresDatabase } from './database.js'
export { postgresSchema, type PostgresTableOptions } from './session-table.js'

/** Every method of a store; `subscribe` only for a database that can LISTEN. */
export type PostgresStore = SqlStore & Pick<SessionStore, 'subscribe'>

/** The options of `postgresStore`. */
export interface PostgresStoreOptions extends PostgresTableOptions {
  /**
   * A `Pool` of pg that connects to the server directly, for `revocation: 'immediate'`; `db` by default. Needed if `db`
   * goes through a pooler that changes connections between transactions (such as PgBouncer in transaction mode), where
   * LISTEN receives nothing. The store opens one connection with its options and checks none out.
   */
  readonly listen?: PostgresDatabase | undefined
  /** Dates revocations; the system's clock by default. */
  readonly clock?: Clock | undefined
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
  const { table = DEFAULT_TABLE, clock, listen = db } = checkedOptions('postgresStore', options, ['table', 'clock', 'listen'])
  if (typeof db?.query !== 'function') throw new TypeError('postgresStore: its first argument has no method "query": pass a Pool of pg or a PGlite instance')
  if (listen !== db && listenOn(listen) === undefined) throw new TypeError('postgresStore: the option "listen" cannot LISTEN: pass a Pool of pg or a PGlite instance, or leave it out')
  tableName(table, 'postgresStore')

  const feed = revocationFeed()
  const sessions = new PostgresTable(db, table)
  const store = sqlStore({ name: 'postgresStore', table, sessions, clock, notify: feed.notify })
  const listenTo = listenOn(listen)
  return {
    ...store,
    ...(listenTo !== undefined && {
      subscribe: feed.subscribeOver({
        connect: onMessage => async closing => {
          await store.open()
          return await listenTo(await sessions.channel(), onMessage, closing)
        },
        send: message => sessions.send(message),
        onUndelivered: warnOfSilence
      })
    })
  }
}

function warnOfSilence (): void {
  process.emitWarning('postgresStore: LISTEN succeeded, but messages of NOTIFY are not delivered, as behind PgBouncer in transaction mode, so this process does not learn of sessions that other processes revoke: set the option "listen" to a Pool of pg that connects to the server directly, such as postgresStore(pool, { listen: new pg.Pool({ connectionString: directUrl }) })', { type: 'PostgresStoreWarning', code: 'FST_AUTH_POSTGRES_LISTEN' })
}
