import { execFile } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type FastifyServerFactory } from 'fastify'
import { type Test } from 'tap'

/** The place of a fault: `before` the server saw the request, or `after` it did its work, before the reply left. */
export type Moment = 'before' | 'after'

/** A request as it arrived. */
export interface Arrival {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly isAnswered: boolean
}

/** A request that is held. */
export interface Held {
  /** Resolves once a request has reached this place. */
  readonly arrived: Promise<void>
  /** Releases the request, and resolves once its reply has left. */
  release (): Promise<void>
}

/** The network between browsers and a server. */
export interface Network {
  /** Fastify's option of that name. */
  readonly serverFactory: FastifyServerFactory
  /** All requests so far, in order; a test may empty it. */
  readonly arrivals: Arrival[]
  /** The number of requests for a path, without preflights. */
  count (path: string): number
  /** Resolves once a request for a path in the list has had its reply. */
  answered (path: string): Promise<void>
  /** Holds the next request for a path at this place. */
  hold (path: string, moment?: Moment): Held
  /** Drops the next request for a path, or its reply: the connection ends. */
  lose (path: string, moment?: Moment): void
  /** Answers the next request for a path in place of the server. */
  answer (path: string, status: number, body: string, headers?: Record<string, string>): void
}

type Fault = (request: IncomingMessage, response: ServerResponse, pass: () => void) => void

/** The certificate of a server over https. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** A self-signed certificate for browsers that accept any; if it cannot be created, `t` is skipped with the reason. */
export async function selfSigned (t: Test): Promise<Certificate | undefined> {
  const folder = t.testdir()
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  try {
    await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout', keyFile, '-out', certFile])
  } catch (error) {
    t.pass('needs a certificate', { skip: `needs the program openssl (${String(error).split('\n', 1)[0]})` })
    return undefined
  }
  return { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8') }
}

/** The first byte of a TLS connection (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16

/** A port of one host with two servers, for https and for http, as somebody on the network can make one. */
export async function portOfBoth (t: Test, ports: { readonly https: number, readonly http: number }): Promise<number> {
  const server = createTcpServer(socket => {
    socket.once('data', first => {
      const upstream = connect(first[0] === TLS_HANDSHAKE ? ports.https : ports.http, '127.0.0.1')
      for (const end of [socket, upstream]) end.on('error', () => {}).on('close', () => { socket.destroy(); upstream.destroy() })
      upstream.write(first)
      socket.pipe(upstream).pipe(socket)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => { server.close() })
  return (server.address() as AddressInfo).port // it listens on TCP
}

/**
 * A network that works until a test breaks it, with a certificate over https. Each connection has one request, since
 * browsers would retry lost ones on a reused connection.
 */
export function network (certificate?: Certificate): Network {
  const arrivals: Arrival[] = []
  const faults = new Map<string, Fault[]>()
  const answers = new EventEmitter()
  const next = (path: string, fault: Fault): void => { faults.set(path, [...faults.get(path) ?? [], fault]) }

  return {
    arrivals,
    count: path => arrivals.filter(arrival => arrival.path === path && arrival.method !== 'OPTIONS').length,
    async answered (path) {
      while (!arrivals.some(arrival => arrival.path === path && arrival.isAnswered)) await once(answers, 'answer')
    },
    hold (path, moment = 'before') {
      const [arrived, released, ended] = [gate(), gate(), gate()]
      next(path, (request, response, pass) => {
        response.once('close', ended.open)
        at(moment, async go => {
          arrived.open()
          await released.opened
          go()
        })(request, response, pass)
      })
      return {
        arrived: arrived.opened,
        async release () {
          released.open()
          await ended.opened
        }
      }
    },
    lose (path, moment = 'before') {
      next(path, (request, response, pass) => at(moment, () => { request.socket.destroy() })(request, response, pass))
    },
    answer (path, status, body, headers = {}) {
      next(path, (_request, response) => response.writeHead(status, headers).end(body))
    },
    serverFactory: handler => serve(certificate, (request, response) => {
      const { method = '', url = '', headers } = request
      const path = new URL(url, 'http://host').pathname
      const arrival = { method, path, headers, isAnswered: false }
      arrivals.push(arrival)
      response.shouldKeepAlive = false
      response.once('close', () => {
        arrival.isAnswered = true
        answers.emit('answer')
      })
      const fault = method === 'OPTIONS' ? undefined : faults.get(path)?.shift()
      const pass = (): void => handler(request, response)
      if (fault === undefined) pass()
      else fault(request, response, pass)
    })
  }
}

function serve (certificate: Certificate | undefined, listener: RequestListener) {
  return certificate === undefined ? createServer(listener) : createTlsServer(certificate, listener)
}

/** Applies a fault to a request before the server sees it, or to its reply before it leaves. */
function at (moment: Moment, act: (go: () => void) => void): Fault {
  return (_request, response, pass) => {
    if (moment === 'before') return act(pass)
    const { end } = response
    response.end = (...content: unknown[]) => {
      act(() => { Reflect.apply(end, response, content) })
      return response
    }
    pass()
  }
}

function gate (): { opened: Promise<void>, open: () => void } {
  let open = (): void => {}
  const opened = new Promise<void>(resolve => { open = resolve })
  return { opened, open }
}
