import { type Test } from 'tap'
import { type KeyOptions, type RefreshCookieOptions } from '../../lib/index.js'
import { authErrorCodes } from '../../lib/errors.js'
import { COOKIE, HOST, server, type TestServer } from '../support/server.js'
import { newSession } from '../support/session.js'

/** The two entry points of a token. */
export type Door = 'bearer' | 'cookie'

export const DOORS: readonly Door[] = ['bearer', 'cookie']

const CODES: ReadonlySet<string> = new Set(authErrorCodes)

/** A server for hostile tokens, and the results. */
export interface Doors extends TestServer {
  /** 'ok', 'refused' for a 401 of the plugin, or any other reply, which is a defect. */
  send (door: Door, token: string): Promise<string>
  /** The number of tokens, and of each result. */
  readonly tally: Map<string, number>
  /** Log lines of level error and above. */
  readonly loud: string[]
}

/** Opens both entry points of a server with more access keys; its users and sessions exist. */
export async function openDoors (t: Test, keys?: readonly KeyOptions[], options: RefreshCookieOptions = {}): Promise<Doors> {
  const loud: string[] = []
  const tally = new Map<string, number>()
  const stream = { write (line: string) { if (JSON.parse(line).level >= 50) loud.push(line) } }
  const s = await server(t, { keys, ...options }, { logger: { level: 'error', stream } })
  await s.users.create({ username: 'ada', passwordHash: 'x' })
  await s.store.create(newSession({ id: 'session-1', subject: '1' }))

  async function send (door: Door, token: string): Promise<string> {
    const { statusCode, headers, body } = door === 'bearer'
      ? await s.app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })
      : await s.app.inject({ method: 'POST', url: '/auth/refresh', headers: { host: HOST, cookie: `${COOKIE}=${token}` } })
    const verdict = statusCode === 200 ? 'ok' : statusCode === 401 && CODES.has(JSON.parse(body).code) && headers['set-cookie'] === undefined ? 'refused' : `${statusCode} ${body}`
    tally.set(verdict, (tally.get(verdict) ?? 0) + 1)
    return verdict
  }
  return { ...s, send, tally, loud }
}

/** Sums over several servers, for one line at the end. */
export function addUp (total: Map<string, number>, { tally }: Pick<Doors, 'tally'>): void {
  for (const [verdict, count] of tally) total.set(verdict, (total.get(verdict) ?? 0) + count)
}

/** "612 sent: 610 refused, 2 ok". */
export function inWords (tally: ReadonlyMap<string, number>): string {
  const sent = [...tally.values()].reduce((sum, count) => sum + count, 0)
  return `${sent} sent: ${[...tally].map(([verdict, count]) => `${count} ${verdict}`).join(', ')}`
}
