import autocannon from 'autocannon'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const CONNECTIONS = 32

/** A subject that runs. */
export interface Running {
  readonly name: string
  readonly url: string
  readonly child: ChildProcess
}

/** What one load came to. */
export interface Load {
  /** Requests per second. */
  readonly rate: number
  /** Requests per second of processor time of the server: what counts, since the load runs beside it. */
  readonly perCpuSecond: number
}

/** Programs of other packages, which do the same work their way. */
const PEERS: Readonly<Record<string, readonly [program: string, ...args: string[]]>> = {
  'get: express + jsonwebtoken': ['express.js'],
  'get: @fastify/session, memory': ['fastify-session.js', 'memory'],
  'get: @fastify/session, Redis': ['fastify-session.js', 'redis'],
  'get: better-auth': ['better-auth.js'],
  'get: better-auth, cookie cache': ['better-auth.js', 'cookie-cache'],
  'refresh: express + jsonwebtoken': ['express.js']
}

/** Starts a subject in a process of its own. */
export async function start (name: string): Promise<Running> {
  const [peer, ...args] = PEERS[name] ?? []
  const program = peer === undefined ? new URL('./serve.js', import.meta.url) : new URL(`../peers/${peer}`, import.meta.url)
  const child = fork(fileURLToPath(program), peer === undefined ? [name] : args, { env: { ...process.env, NODE_ENV: 'production' } })
  const [{ url }] = await once(child, 'message')
  return { name, url, child }
}

/** Ends it, and what it keeps. */
export async function stop ({ child }: Running): Promise<void> {
  const ended = once(child, 'exit')
  child.disconnect()
  await ended
}

/** Loads a subject for a while. `GET /me` with an access token each, or `POST /auth/refresh` with a cookie each that follows every reply. */
export async function load ({ name, url, child }: Running, seconds: number): Promise<Load> {
  const refreshes = name.startsWith('refresh')
  const entries: Array<Record<string, string>> = []
  for (let nth = 0; nth < CONNECTIONS; nth++) entries.push(await enter(url, refreshes))

  const before = await cpuOf(child)
  const sleep = stayAwake()
  const { requests, duration, non2xx, errors } = await autocannon({
    url: `${url}${refreshes ? '/auth/refresh' : '/me'}`,
    method: refreshes ? 'POST' : 'GET',
    connections: CONNECTIONS,
    duration: seconds,
    setupClient (client) {
      client.setHeaders(entries.pop() ?? {})
      if (!refreshes) return
      client.on('headers', ({ headers }) => {
        const at = headers.findIndex(header => header.toLowerCase() === 'set-cookie')
        if (at >= 0) client.setHeaders({ cookie: pairOf(headers[at + 1]) })
      })
    }
  })
  sleep()
  if (non2xx > 0 || errors > 0) throw new Error(`${name}: ${non2xx} refused, ${errors} failed`)
  return { rate: requests.total / duration, perCpuSecond: requests.total / (await cpuOf(child) - before) }
}

/** Keeps this process from waiting: to wake it would cost the server up to as much as a request does, where the machine is a virtual one. */
function stayAwake (): () => void {
  let awake = true
  const turn = (): void => { if (awake) setImmediate(turn) }
  turn()
  return () => { awake = false }
}

async function enter (url: string, refreshes: boolean): Promise<Record<string, string>> {
  const response = await fetch(`${url}/enter`, { method: 'POST' })
  const cookie = response.headers.getSetCookie().map(pairOf).join('; ')
  const { access_token: token } = await response.json() as { access_token?: string }
  return refreshes || token === undefined ? { cookie } : { authorization: `Bearer ${token}` }
}

async function cpuOf (child: ChildProcess): Promise<number> {
  child.send('cpu')
  const [{ cpu }] = await once(child, 'message')
  return cpu
}

function pairOf (setCookie = ''): string {
  return setCookie.split(';')[0] ?? ''
}
