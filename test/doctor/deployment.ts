import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { type AddressInfo } from 'node:net'
import { type FastifyInstance } from 'fastify'
import { type Test } from 'tap'
import { type RefreshCookieOptions } from '../../lib/index.js'
import { run } from '../../lib/doctor/command.js'
import { PASSWORD, server, START, type TestServer } from '../support/server.js'

/** The changes of a proxy to requests and replies. It may modify the headers in place. */
export interface Proxying {
  readonly path?: (path: string) => string
  readonly request?: (headers: IncomingHttpHeaders) => void
  readonly reply?: (headers: OutgoingHttpHeaders, request: { readonly path: string, readonly headers: IncomingHttpHeaders }) => void
  readonly body?: (body: string, path: string) => string
  /** For https. */
  readonly certificate?: { readonly key: Buffer, readonly cert: Buffer }
}

/** A proxy before a server on this machine, until `t` ends: its URL. Its replies have the time of the test. */
export async function proxy (t: Test, port: number, { path = same, request: change = () => {}, reply = () => {}, body = same, certificate }: Proxying = {}): Promise<string> {
  const listener = (certificate === undefined ? createServer() : createSecureServer(certificate)).on('request', (incoming, outgoing) => {
    const headers = { ...incoming.headers }
    change(headers)
    const sent = request({ host: '127.0.0.1', port, method: incoming.method, path: path(incoming.url ?? ''), headers, agent: false }, answer => {
      const received: OutgoingHttpHeaders = { ...answer.headers, date: new Date(START * 1000).toUTCString() }
      reply(received, { path: incoming.url ?? '', headers: incoming.headers })
      answer.setEncoding('utf8').toArray().then(pieces => {
        const text = body(pieces.join(''), incoming.url ?? '')
        outgoing.writeHead(answer.statusCode ?? 0, { ...received, ...(text !== '' && { 'content-length': Buffer.byteLength(text) }) })
        outgoing.end(text)
      }, () => outgoing.destroy())
    })
    sent.on('error', () => outgoing.writeHead(502).end())
    incoming.pipe(sent)
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => { listener.close() })
  return `${certificate === undefined ? 'http' : 'https'}://localhost:${(listener.address() as AddressInfo).port}` // it listens on TCP
}

function same (text: string): string {
  return text
}

/** An app that listens, with the user Ada. */
export async function listening (t: Test, options?: RefreshCookieOptions, extend?: (app: FastifyInstance) => void, prepare?: (app: FastifyInstance) => void): Promise<TestServer & { readonly port: number }> {
  const s = await server(t, options, {}, extend, prepare)
  await s.browser().signup('ada')
  await s.app.listen({ port: 0, host: '127.0.0.1' })
  return { ...s, port: (s.app.server.address() as AddressInfo).port }
}

export const ACCOUNT = { DOCTOR_USERNAME: 'ada', DOCTOR_PASSWORD: PASSWORD }

/** The result of a run of the command. */
export interface Run {
  readonly code: number
  readonly output: string
  readonly errors: string
}

/** Runs the command, on a clock that stands still. The limit of a request allows for a busy machine. */
export async function doctor (args: readonly string[], env: Readonly<Record<string, string>> = {}, timeoutMs = 600_000): Promise<Run> {
  const written = { output: '', errors: '' }
  const code = await run(['doctor', ...args], {
    env,
    print: text => { written.output += text },
    printError: text => { written.errors += text },
    now: () => START * 1000,
    timeoutMs
  })
  return { code, ...written }
}

/** The findings of a run, as `check: seen`, and all that was checked. */
export async function examined (args: readonly string[], env?: Readonly<Record<string, string>>): Promise<{ readonly code: number, readonly findings: string[], readonly rows: Record<string, string> }> {
  const { code, output } = await doctor([...args, '--json'], env)
  const { checks } = JSON.parse(output) as { checks: Array<{ check: string, result: string, seen: string }> }
  return {
    code,
    findings: checks.filter(({ result }) => result === 'finding').map(({ check, seen }) => `${check}: ${seen}`),
    rows: Object.fromEntries(checks.map(({ check, result, seen }) => [check, `${result}: ${seen}`]))
  }
}
