import autocannon from 'autocannon'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { tokenCountOf, tokenOf } from './many-tokens.js'
import { type Sample } from './samples.js'

const CONNECTIONS = 32
const LONGEST_LOAD = 120

/** A running subject. */
export interface Running {
  readonly name: string
  readonly url: string
  readonly child: ChildProcess
}

/** Programs that do the same work with other packages. */
const PEERS: Readonly<Record<string, readonly [program: string, ...args: string[]]>> = {
  'get: express + jsonwebtoken': ['express.js'],
  'get: hono/jwt': ['hono.js'],
  'get: @fastify/session, memory': ['fastify-session.js', 'memory'],
  'get: @fastify/session, Redis': ['fastify-session.js', 'redis'],
  'get: @fastify/secure-session': ['fastify-secure-session.js'],
  'get: better-auth': ['better-auth.js'],
  'get: better-auth, cookie cache': ['better-auth.js', 'cookie-cache'],
  'refresh: express + jsonwebtoken': ['express.js'],
  'refresh: hono/jwt': ['hono.js']
}

/** Starts a subject in a process of its own. */
export async function start (name: string): Promise<Running> {
  const [peer, ...args] = PEERS[name] ?? []
  const program = peer === undefined ? new URL('./serve.js', import.meta.url) : new URL(`../peers/${peer}`, import.meta.url)
  const child = fork(fileURLToPath(program), peer === undefined ? [name] : args, { env: { ...process.env, NODE_ENV: 'production' } })
  const [{ url }] = await once(child, 'message')
  return { name, url, child }
}

/** Ends the process of a subject. */
export async function stop ({ child }: Running): Promise<void> {
  const ended = once(child, 'exit')
  child.disconnect()
  await ended
}

/**
 * Loads a subject until it has used `cpuSeconds` of processor time, so that other work on the machine does not shorten its warm-up.
 * Sends `GET /me` with an access token, or `POST /auth/refresh` with the cookie of the last reply.
 */
export async function load ({ name, url, child }: Running, cpuSeconds: number): Promise<Sample> {
  const refreshes = name.startsWith('refresh')
  const tokens = tokenCountOf(name)
  const entries: Array<Record<string, string>> = []
  for (let nth = 0; nth < CONNECTIONS; nth++) entries.push(tokens === null ? await enter(url, refreshes) : anyOf(tokens))

  let answered = 0
  const before = await cpuOf(child)
  const start = performance.now()
  const sleep = stayAwake()
  const cannon = autocannon({
    url: `${url}${refreshes ? '/auth/refresh' : '/me'}`,
    method: refreshes ? 'POST' : 'GET',
    connections: CONNECTIONS,
    duration: LONGEST_LOAD,
    sampleInt: 100, // autocannon also checks for `stop` at this interval
    setupClient (client) {
      client.setHeaders(entries.pop() ?? {})
      client.on('headers', ({ headers }) => {
        answered++
        if (tokens !== null) client.setHeaders(anyOf(tokens))
        const at = refreshes ? headers.findIndex(header => header.toLowerCase() === 'set-cookie') : -1
        if (at >= 0) client.setHeaders({ cookie: pairOf(headers[at + 1]) })
      })
    }
  })
  let sample: Sample
  let cpu = 0
  do {
    await new Promise(resolve => setTimeout(resolve, 50))
    cpu = await cpuOf(child) - before
    sample = { cpu: 1e6 * cpu / answered, rate: 1000 * answered / (performance.now() - start) }
  } while (cpu < cpuSeconds)
  cannon.stop()
  const { non2xx, errors } = await cannon
  sleep()
  if (non2xx > 0 || errors > 0) throw new Error(`${name}: ${non2xx} refused, ${errors} failed`)
  return sample
}

/** Keeps this process busy: on a virtual machine, waking it can cost the server as much as a request. */
function stayAwake (): () => void {
  let awake = true
  const turn = (): void => { if (awake) setImmediate(turn) }
  turn()
  return () => { awake = false }
}

/** The header with a random one of `tokens` tokens. */
function anyOf (tokens: number): Record<string, string> {
  return { authorization: `Bearer ${tokenOf(Math.floor(Math.random() * tokens))}` }
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
