import { once } from 'node:events'
import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as requestHttps } from 'node:https'
import { TLSSocket } from 'node:tls'

export interface DoctorRequest {
  readonly method: 'GET' | 'POST' | 'OPTIONS'
  /** Appended to the URL of the connection. */
  readonly path: string
  /** Sent as they are: `fetch` forbids Origin, Cookie and Sec-Fetch-Site. */
  readonly headers?: Readonly<Record<string, string>>
  readonly json?: object
}

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** At most the first 64 KiB. */
  readonly body: string
  /** Milliseconds since the epoch, before the request and after the reply. */
  readonly sentAt: number
  readonly endedAt: number
  /** The server is this machine. */
  readonly isLoopback: boolean
  /** The end of the certificate in milliseconds since the epoch; null without TLS. */
  readonly certificateEnds: number | null
}

/** Sends one request and follows no redirect. Rejects with a `TimeoutError`, or with the error of Node, whose `code` names the cause. */
export type Send = (request: DoctorRequest) => Promise<Reply>

const MAX_BODY_BYTES = 64 * 1024

/** Sends requests below `base`, a URL without a slash at its end, each on a connection of its own. */
export function openConnection (base: string, { now, timeoutMs }: { readonly now: () => number, readonly timeoutMs: number }): Send {
  const open = base.startsWith('https:') ? requestHttps : requestHttp
  const exchange = async ({ method, path, headers = {}, json }: DoctorRequest, signal: AbortSignal): Promise<Reply> => {
    const sentAt = now()
    const outgoing = open(base + path, {
      method,
      agent: false,
      signal,
      headers: { 'user-agent': 'fastify-refresh-cookie doctor', ...(json && { 'content-type': 'application/json' }), ...headers }
    })
    outgoing.end(json && JSON.stringify(json))
    outgoing.once('upgrade', (_response, socket) => {
      socket.destroy()
      outgoing.emit('error', new Error('it switched to another protocol'))
    })
    const [response] = await once(outgoing, 'response', { signal }) as [IncomingMessage] // as documented
    const { statusCode = 0, headers: received, socket } = response
    const isLoopback = /^(?:::ffff:)?127\.|^::1$/.test(String(socket.remoteAddress))
    const certificateEnds = socket instanceof TLSSocket ? Date.parse(socket.getPeerCertificate().valid_to) : null
    const body = await readBody(response)
    return { status: statusCode, headers: received, body, sentAt, endedAt: now(), isLoopback, certificateEnds }
  }
  return async request => {
    const signal = AbortSignal.timeout(timeoutMs)
    try {
      return await exchange(request, signal)
    } catch (error) {
      signal.throwIfAborted() // Node reports a body that it stopped to read as ECONNRESET
      throw error
    }
  }
}

async function readBody (response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of response) {
    pieces.push(piece)
    bytes += piece.length
    if (bytes > MAX_BODY_BYTES) break
  }
  return Buffer.concat(pieces).subarray(0, MAX_BODY_BYTES).toString()
}

/** The fields of a JSON object; an empty object for any other body. */
export function fieldsOf ({ body }: Pick<Reply, 'body'>): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(body))
  } catch {
    return {}
  }
}

/** The status, and the error code if there is one. */
export function answerOf (reply: Reply): string {
  const { code } = fieldsOf(reply)
  return typeof code === 'string' ? `${reply.status} ${code}` : String(reply.status)
}
