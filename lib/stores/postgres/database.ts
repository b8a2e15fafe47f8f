import { createHash } from 'node:crypto'
import { whenAborted, type Connect } from '../revocation-feed.js'

/** A database: a `Pool` of the package pg, a PGlite instance, or anything else with such a `query`. */
export interface PostgresDatabase {
  query (text: string, values: unknown[]): PromiseLike<{ readonly rows: readonly unknown[] }>
}

export type RunStatement = (text: string, values: unknown[]) => Promise<readonly unknown[]>

/** The parts of a `Pool` of pg that prepare statements and make connections. */
interface Pool {
  readonly options: { readonly connectionTimeoutMillis?: number | undefined, readonly query_timeout?: number | undefined }
  readonly Client: new (options: Pool['options']) => Connection
  query (prepared: { readonly name: string, readonly text: string, readonly values: unknown[] }): PromiseLike<{ readonly rows: readonly unknown[] }>
  connect (): Promise<PooledClient>
}

interface PooledClient extends Pick<NodeJS.EventEmitter, 'on' | 'off'> {
  query (text: string, values: unknown[]): Promise<{ readonly rows: readonly unknown[] }>
  /** `I` outside of a transaction. Older versions of pg lack it. */
  getTransactionStatus? (): string | null
  /** Ends the connection for anything true. */
  release (error?: unknown): void
}

interface Connection extends NodeJS.EventEmitter {
  connect (): Promise<unknown>
  query (statement: { readonly text: string, readonly query_timeout: number }): Promise<unknown>
  end (): Promise<unknown>
  /** Missing in old versions. */
  unref? (): void
}

interface PGlite {
  listen (channel: string, onMessage: (message: string) => void): Promise<() => Promise<void>>
}

function isPool (db: object): db is Pool {
  return 'Client' in db && typeof db.Client === 'function' && 'options' in db
}

/** A `Client` of pg, or one that was checked out of a pool. */
export function isClient (db: object): boolean {
  return 'connectionParameters' in db
}

function isPGlite (db: object): db is PGlite {
  return 'listen' in db && typeof db.listen === 'function'
}

export function hasCode (error: unknown, codes: readonly unknown[]): error is Error {
  return error instanceof Error && 'code' in error && codes.includes(error.code)
}

/**
 * invalid_sql_statement_name and duplicate_prepared_statement: a pooler (PgBouncer) changed the connection between two
 * transactions. The statement has not run.
 */
const NOT_PREPARED = ['26000', '42P05']

/**
 * A pool prepares the statements in `prepared`, since parsing takes a quarter of the time of a rotation. Those in `outside` never run
 * inside a transaction of the app, which could undo them once they are answered as done.
 */
export function statementRunner (db: PostgresDatabase, { prepared, outside }: { readonly prepared: readonly string[], readonly outside: readonly string[] }): RunStatement {
  const names = new Map(isPool(db) ? prepared.map(text => [text, `auth_${createHash('sha1').update(text).digest('hex')}`]) : [])

  const unprepared: RunStatement = async (text, values) => (await db.query(text, values)).rows

  return (text, values) => {
    if (isPool(db) && outside.includes(text)) return outsideTransactions(db, text, values)
    const name = names.get(text)
    if (name === undefined) return unprepared(text, values)
    const pool = db as unknown as Pool // only a pool's statements have names
    return Promise.resolve(pool.query({ name, text, values })).then(({ rows }) => rows, (error: unknown) => {
      if (!hasCode(error, NOT_PREPARED)) throw error
      names.clear()
      return unprepared(text, values)
    })
  }
}

async function outsideTransactions (pool: Pool, text: string, values: unknown[]): Promise<readonly unknown[]> {
  const client = await pool.connect()
  client.on('error', ignore) // a pool listens for the loss of idle connections only, and an error event without a listener ends the process
  try {
    if ((client.getTransactionStatus?.() ?? 'I') !== 'I') throw new Error('a connection of the pool was released inside a transaction: release it after COMMIT or ROLLBACK')
    const { rows } = await client.query(text, values)
    client.off('error', ignore)
    client.release()
    return rows
  } catch (error) {
    client.release(error)
    throw error
  }
}

/** The query in progress rejects with the same error. */
function ignore (): void {}

/**
 * The timeouts that a pool lacks. Without them a call whose caller gave up may run later, or keep a half-open connection.
 */
export async function missingTimeouts (db: PostgresDatabase, run: RunStatement): Promise<string[]> {
  if (!isPool(db)) return []
  const [row] = await run("SELECT current_setting('statement_timeout') AS timeout", []) as ReadonlyArray<{ timeout: string }>
  return [
    ...(row?.timeout === '0' ? ['statement_timeout'] : []),
    ...(db.options.query_timeout ? [] : ['query_timeout']),
    ...(db.options.connectionTimeoutMillis ? [] : ['connectionTimeoutMillis'])
  ]
}

/** The connection counts as lost when a reply takes longer. */
const ANSWER_WITHIN_MS = 5000

/** Opens a connection that receives the notifications of a channel. Resolves as `Connect` does. */
type Listen = (channel: string, onMessage: (message: string) => void, closing: AbortController) => ReturnType<Connect>

/**
 * LISTEN on a database; undefined if it cannot. A pool's options make a new connection for it: one that was checked out
 * would keep the pool from ending.
 */
export function listenOn (db: PostgresDatabase): Listen | undefined {
  const given: unknown = db // unchecked if it is the option "listen"
  if (typeof given !== 'object' || given === null) return undefined
  if (isPool(given)) return (...channel) => listenWithPool(given, ...channel)
  if (isPGlite(given)) return (...channel) => listenWithPGlite(given, ...channel)
  return undefined
}

async function listenWithPool (pool: Pool, ...[channel, onMessage, closing]: Parameters<Listen>): Promise<() => Promise<unknown>> {
  const client = new pool.Client(pool.options)
  whenAborted(closing.signal, () => {
    client.unref?.() // an unreachable server never confirms the end
    client.end().catch(() => {})
  })
  client.on('error', () => closing.abort())
  client.on('notification', ({ payload }: { payload: string }) => onMessage(payload))
  await client.connect()
  await client.query({ text: `LISTEN ${channel}`, query_timeout: ANSWER_WITHIN_MS })
  return () => client.query({ text: 'SELECT 1', query_timeout: ANSWER_WITHIN_MS })
}

async function listenWithPGlite (db: PGlite, ...[channel, onMessage, closing]: Parameters<Listen>): Promise<() => Promise<unknown>> {
  const stop = await db.listen(channel, onMessage)
  whenAborted(closing.signal, () => { stop().catch(() => {}) }) // fails if the database has been closed
  return async () => {} // in this process: no connection that can be lost
}
