import { type Test } from 'tap'
import { type KeyOptions, type RefreshCookieOptions } from '../../lib/index.js'
import { authErrorCodes } from '../../lib/errors.js'
import { COOKIE, HOST, server, type TestServer } from '../support/server.js'
import { newSession } from '../support/session.js'

/** The two entry points of a token. */
export type EntryPoint = 'bearer' | 'cookie'

export const ENTRY_POINTS: readonly EntryPoint[] = ['bearer', 'cookie']

const CODES: ReadonlySet<string> = new Set(authErrorCodes)

/** A server for hostile tokens, and the results. */
export interface EntryPoints extends TestServer {
  /** 'ok', 'refused' for a 401 of the plugin, or any other reply, which is a defect. */
  send (entryPoint: EntryPoint, token: string): Promise<string>
  /** The number of tokens, and of each result. */
  readonly counts: Map<string, number>
  /** Log lines of level error and above. */
  readonly errorLines: string[]
}

/** Opens both entry points of a server with more access keys; its users and sessions exist. */
export async function openEntryPoints (t: Test, keys?: readonly KeyOptions[], options: RefreshCookieOptions = {}): Promise<EntryPoints> {
  const errorLines: string[] = []
  const counts = new Map<string, number>()
  const stream = { write (line: string) { if (JSON.parse(line).level >= 50) errorLines.push(line) } }
  const s = await server(t, { keys, ...options }, { logger: { level: 'error', stream } })
  await s.users.create({ username: 'ada', passwordHash: 'x' })
  await s.store.create(newSession({ id: 'session-1', subject: '1' }))

  async function send (entryPoint: EntryPoint, token: string): Promise<string> {
    const { statusCode, headers, body } = entryPoint === 'bearer'
      ? await s.app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })
      : await s.app.inject({ method: 'POST', url: '/auth/refresh', headers: { host: HOST, cookie: `${COOKIE}=${token}` } })
    const verdict = statusCode === 200 ? 'ok' : statusCode === 401 && CODES.has(JSON.parse(body).code) && headers['set-cookie'] === undefined ? 'refused' : `${statusCode} ${body}`
    counts.set(verdict, (counts.get(verdict) ?? 0) + 1)
    return verdict
  }
  return { ...s, send, counts, errorLines }
}

/** Sums over several servers, for one line at the end. */
export function addUp (total: Map<string, number>, { counts }: Pick<EntryPoints, 'counts'>): void {
  for (const [verdict, count] of counts) total.set(verdict, (total.get(verdict) ?? 0) + count)
}

/** "612 sent: 610 refused, 2 ok". */
export function summaryOf (counts: ReadonlyMap<string, number>): string {
  const sent = [...counts.values()].reduce((sum, count) => sum + count, 0)
  return `${sent} sent: ${[...counts].map(([verdict, count]) => `${count} ${verdict}`).join(', ')}`
}
