import { createHash } from 'node:crypto'
import { whenAborted, type OpenLink } from '../reconnecting-subscription.js'

/** What the store needs of a database. A `Pool` of the package pg is one, and so is a PGlite instance. */
export interface PostgresDatabase {
  query (text: string, values: unknown[]): PromiseLike<{ readonly rows: readonly unknown[] }>
}

/** Runs a statement and gives its rows. */
export type RunStatement = (text: string, values: unknown[]) => Promise<readonly unknown[]>

/** What else a `Pool` of pg has: it can prepare statements, and make connections. */
interface Pool {
  readonly options: { readonly connectionTimeoutMillis?: number | undefined, readonly query_timeout?: number | undefined }
  readonly Client: new (options: Pool['options']) => Connection
  query (prepared: { readonly name: string, readonly text: string, readonly values: unknown[] }): PromiseLike<{ readonly rows: readonly unknown[] }>
}

interface Connection extends NodeJS.EventEmitter {
  connect (): Promise<unknown>
  query (statement: { readonly text: string, readonly query_timeout: number }): Promise<unknown>
  end (): Promise<unknown>
  /** It keeps no process alive any more. Old clients lack it. */
  unref? (): void
}

interface PGlite {
  listen (channel: string, onMessage: (message: string) => void): Promise<() => Promise<void>>
}

function isPool (db: object): db is Pool {
  return 'Client' in db && typeof db.Client === 'function' && 'options' in db
}

function isPGlite (db: object): db is PGlite {
  return 'listen' in db && typeof db.listen === 'function'
}

/** An error of PostgreSQL with one of these codes. */
export function hasCode (error: unknown, codes: readonly unknown[]): error is Error {
  return error instanceof Error && 'code' in error && codes.includes(error.code)
}

/**
 * Where a statement may not be prepared: its connection is another one for each transaction (PgBouncer), or forgot it.
 * In either case it has not run.
 */
const NOT_PREPARED = ['26000', '42P05']

/** Runs statements, of which a pool prepares those that are `hot`: a quarter of the work of a rotation is the parsing. */
export function statementRunner (db: PostgresDatabase, hot: readonly string[]): RunStatement {
  const names = new Map(isPool(db) ? hot.map(text => [text, `auth_${createHash('sha1').update(text).digest('hex')}`]) : [])

  return async (text, values) => {
    const name = names.get(text)
    if (name === undefined) return (await db.query(text, values)).rows
    try {
      const pool = db as unknown as Pool // only the statements of one have names
      return (await pool.query({ name, text, values })).rows
    } catch (error) {
      if (!hasCode(error, NOT_PREPARED)) throw error
      names.clear()
      return (await db.query(text, values)).rows
    }
  }
}

/**
 * What a pool should have so that a call that was given up neither runs later nor keeps a connection that was lost
 * without a word: the names of options that it lacks.
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

/** An answer takes no longer than this, in milliseconds, or the connection is lost. */
const ANSWER_WITHIN_MS = 5000

/** Makes a connection that receives what NOTIFY sends to a channel. Resolves as `OpenLink` does. */
export type OpenChannel = (channel: string, onMessage: (message: string) => void, over: AbortController) => ReturnType<OpenLink>

/**
 * How to listen on a database; undefined where it cannot. A pool makes a connection for that and does not count it: one
 * that was lent would have to be given back before the pool can end.
 */
export function listenOn (db: PostgresDatabase): OpenChannel | undefined {
  const given: unknown = db // checked by nobody where it is the option "listen"
  if (typeof given !== 'object' || given === null) return undefined
  if (isPool(given)) return (...channel) => listenWithPool(given, ...channel)
  if (isPGlite(given)) return (...channel) => listenWithPGlite(given, ...channel)
  return undefined
}

async function listenWithPool (pool: Pool, ...[channel, onMessage, over]: Parameters<OpenChannel>): Promise<() => Promise<unknown>> {
  const client = new pool.Client(pool.options)
  whenAborted(over.signal, () => {
    client.unref?.() // a server that is out of reach never answers the farewell
    client.end().catch(() => {})
  })
  client.on('error', () => over.abort())
  client.on('notification', ({ payload }: { payload: string }) => onMessage(payload))
  await client.connect()
  await client.query({ text: `LISTEN ${channel}`, query_timeout: ANSWER_WITHIN_MS })
  return () => client.query({ text: 'SELECT 1', query_timeout: ANSWER_WITHIN_MS })
}

async function listenWithPGlite (db: PGlite, ...[channel, onMessage, over]: Parameters<OpenChannel>): Promise<() => Promise<unknown>> {
  const stop = await db.listen(channel, onMessage)
  whenAborted(over.signal, () => { stop().catch(() => {}) }) // it fails where the database has been closed
  return async () => {} // in this process: there is nothing to lose
}
