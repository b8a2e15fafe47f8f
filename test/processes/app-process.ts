import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Agent, request, type IncomingMessage, type RequestOptions } from 'node:http'
import { type NetConnectOpts } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { type Test } from 'tap'
import { type EpochSeconds } from '../../lib/time.js'
import { COOKIE, payloadOf, SECRET, START } from '../support/server.js'
import { NO_COVERAGE, PLAIN_NODE } from '../support/plain-node.js'
import { mysqlDatabase, type MysqlPlace } from '../support/mysql.js'
import { postgres } from '../support/postgres.js'
import { newPrefix, redisServer } from '../support/redis.js'
import { sqliteFile } from '../support/sqlite.js'

const PROGRAM = fileURLToPath(new URL('app.js', import.meta.url))

/** The shared store of all processes of a test, as an argument of `app.js`. */
export interface SharedStore {
  readonly engine: 'ioredis' | 'mysql' | 'postgres' | 'sqlite'
  readonly connection: object
  readonly prefix?: string
}

/** A shared store, and another connection to it. */
export interface SharedServer extends SharedStore {
  readonly server: NetConnectOpts
  /** The same store through a port of this machine. */
  by (port: number): SharedStore
}

/** The servers that processes can share, by name: null if the server is not available, which skips the test. */
export const SHARED_SERVERS = {
  async ioredis (t) {
    const server = await redisServer(t)
    if (server === null) return null
    const { path, host, port = 6379, ...rest } = server.ioredis
    const shared = { engine: 'ioredis', prefix: newPrefix(t, server) } as const
    return {
      ...shared,
      connection: server.ioredis,
      server: path === undefined ? { host: host ?? '127.0.0.1', port } : { path },
      by: port => ({ ...shared, connection: { ...rest, host: '127.0.0.1', port } })
    }
  },
  async PostgreSQL (t) {
    const connectionString = await postgres(t)
    if (connectionString === null) return null
    const at = (url: URL): SharedStore => ({ engine: 'postgres', connection: { connectionString: url.href } })
    const url = new URL(connectionString)
    return {
      ...at(url),
      server: { host: url.hostname, port: Number(url.port || 5432) },
      by: port => at(Object.assign(new URL(url), { host: `127.0.0.1:${port}` }))
    }
  },
  async MariaDB (t) {
    const place = await mysqlDatabase(t)
    if (place === null) return null
    const at = (place: MysqlPlace): SharedStore => ({ engine: 'mysql', connection: place })
    return { ...at(place), server: { host: place.host, port: place.port }, by: port => at({ ...place, host: '127.0.0.1', port }) }
  }
} satisfies Record<string, (t: Test) => Promise<SharedServer | null>>

/** The places that processes can share, with or without a server. */
export const SHARED_STORES = {
  ...SHARED_SERVERS,
  SQLite: async t => ({ engine: 'sqlite', connection: { file: await sqliteFile(t) } })
} satisfies Record<string, (t: Test) => Promise<SharedStore | null>>

/** The parts of a request. */
export interface Carries {
  readonly cookie?: string | undefined
  readonly accessToken?: string | undefined
  readonly body?: object
}

/** A parsed reply. */
export interface Reply {
  readonly status: number
  /** The code of a refusal. */
  readonly code: string | undefined
  /** The refresh token of its Set-Cookie. */
  readonly cookie: string | undefined
  readonly accessToken: string | undefined
}

/** No reply: the connection was refused, reset or closed. */
export const NO_REPLY: Reply = { status: 0, code: undefined, cookie: undefined, accessToken: undefined }

/** One of the processes of an app. */
export interface AppProcess {
  /** Sends a request; `NO_REPLY` if its connection was lost. */
  get (path: string, carries?: Carries): Promise<Reply>
  post (path: string, carries?: Carries): Promise<Reply>
  /** Starts a session. */
  enter (subject: string, cookie?: string): Promise<Reply>
  refresh (cookie: string | undefined): Promise<Reply>
  logout (cookie: string | undefined): Promise<Reply>
  setTime (now: EpochSeconds): Promise<void>
  /** Kills itself at one of its next commands to the store, before or after the command takes effect. */
  dieAt (nth: number, moment: 'before' | 'after'): Promise<void>
  /** The number of commands to its store since the last `dieAt`. */
  commands (): Promise<number>
  /** Sends SIGTERM. */
  terminate (): void
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
}

/** A busy machine may take longer for a call than the default. */
const PATIENT = { call: '60s', request: '60s' }

/** Starts a process of the built package, until `t` ends at the latest. */
export async function startProcess (t: Test, store: SharedStore, options: object = {}): Promise<AppProcess> {
  const { prefix, ...where } = store
  const [execPath, ...execArgv] = PLAIN_NODE
  const child = fork(PROGRAM, [JSON.stringify({ ...where, options: { now: START, secret: SECRET, timeouts: PATIENT, prefix, ...options } })], {
    execPath,
    execArgv,
    env: { ...process.env, ...NO_COVERAGE }
  })
  const agent = new Agent({ keepAlive: true })
  const ended = once(child, 'exit').then(([code, signal]) => code ?? signal)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
    agent.destroy()
  })
  const answer = async () => (await Promise.race([once(child, 'message'), ended.then(end => { throw new Error(`the process ended: ${end}`) })]))[0].answer
  const port = await answer()

  async function send (method: string, path: string, { cookie, accessToken, body }: Carries = {}): Promise<Reply> {
    const headers = {
      ...(cookie !== undefined && { cookie: `${COOKIE}=${cookie}` }),
      ...(accessToken !== undefined && { authorization: `Bearer ${accessToken}` }),
      ...(body !== undefined && { 'content-type': 'application/json' })
    }
    try {
      return await read(await exchange({ port, host: '127.0.0.1', agent, method, path, headers }, body))
    } catch {
      return NO_REPLY
    }
  }

  async function ask (what: string, value?: unknown): Promise<unknown> {
    const answered = answer()
    child.send({ ask: what, value })
    return await answered
  }

  return {
    get: (path, carries) => send('GET', path, carries),
    post: (path, carries) => send('POST', path, carries),
    enter: (subject, cookie) => send('POST', '/enter', { cookie, body: { subject } }),
    refresh: cookie => send('POST', '/auth/refresh', { cookie }),
    logout: cookie => send('POST', '/auth/logout', { cookie }),
    async setTime (now) { await ask('time', now) },
    async dieAt (nth, moment) { await ask('last', { nth, moment }) },
    commands: async () => Number(await ask('commands')),
    terminate: () => { child.kill('SIGTERM') },
    ended
  }
}

function exchange (options: RequestOptions, body?: object): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request(options, resolve).on('error', reject).end(body && JSON.stringify(body))
  })
}

async function read (message: IncomingMessage): Promise<Reply> {
  const body = await text(message)
  const { code, access_token: accessToken } = body === '' ? {} : JSON.parse(body)
  const [, cookie] = /^[^=]+=([^;]*)/.exec(message.headers['set-cookie']?.[0] ?? '') ?? []
  return { status: message.statusCode ?? 0, code, cookie, accessToken }
}

/** The generation of a refresh token, unverified. */
export function generationOf (cookie: string | undefined): unknown {
  return payloadOf(cookie)['gen']
}
