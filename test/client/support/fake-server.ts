import { type FakeTime } from './fake-time.js'

/** A request as it arrived. */
export interface Arrival {
  readonly method: string
  readonly url: string
  readonly path: string
  readonly headers: Headers
  readonly body: string
  /** The second argument of fetch. */
  readonly init: RequestInit | undefined
  /** The subject of a valid access token, null without one. */
  readonly sub: string | null
}

/** A reply, or 'offline': fetch rejects. */
export type Reply = Response | 'offline'

/** The origin of the pages and of the API. */
export const ORIGIN = 'https://app.test'

/** A claim whose bytes need every character of base64url. */
export const NAME = 'Zoë ✓ ~~~~ ????'

/** The lifetime of an access token, in seconds. */
export const LIFETIME = 600

/** A server, and the cookie jar of its browser. */
export interface FakeServer {
  /** Stands in for the platform's fetch. */
  readonly fetch: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>
  /** All requests, in order. */
  readonly arrivals: Arrival[]
  /** The number of requests for a path. */
  count (path: string): number
  /** The next requests for a path get these replies; after them the server answers again. */
  script (path: string, ...replies: Array<Reply | (() => Reply)>): void
  /** Delays the next request for a path until the returned function is called. */
  hold (path: string): () => void
  /** The refresh cookie: the user of its session. */
  cookie: string | null
  /** The refusal code of an ended session, else null. */
  ended: string | null
  /** Invalidates all access tokens, as a change of keys does. */
  forgetTokens (): void
}

/**
 * A server with the routes of the plugin at /auth. All other routes reply with the subject of the token and the body. Access
 * tokens are JWTs with a claim outside of ASCII; they expire by the given time.
 */
export function fakeServer (time: FakeTime): FakeServer {
  const scripts = new Map<string, Array<Reply | (() => Reply)>>()
  const held = new Map<string, Array<Promise<void>>>()
  const tokens = new Map<string, { sub: string, endsAt: number }>()
  let issued = 0

  const server: FakeServer = {
    arrivals: [],
    cookie: null,
    ended: null,
    forgetTokens () { tokens.clear() },
    count: path => server.arrivals.filter(arrival => arrival.path === path).length,
    script (path, ...replies) { scripts.set(path, [...scripts.get(path) ?? [], ...replies]) },
    hold (path) {
      const { promise, resolve } = gate()
      held.set(path, [...held.get(path) ?? [], promise])
      return resolve
    },
    fetch: async (input, init) => {
      const arrival = await arrive(input, init)
      server.arrivals.push(arrival)
      await Promise.race([held.get(arrival.path)?.shift() ?? null, aborted(input, init)])
      const scripted = scripts.get(arrival.path)?.shift()
      const reply = typeof scripted === 'function' ? scripted() : scripted ?? answer(arrival)
      if (reply === 'offline') throw new TypeError('Failed to fetch')
      return reply
    }
  }
  return server

  async function arrive (input: RequestInfo | URL, init: RequestInit | undefined): Promise<Arrival> {
    const request = new Request(input instanceof Request ? input : new URL(String(input), ORIGIN), { ...init, duplex: 'half' } as RequestInit) // Node requires it for streams
    const token = tokens.get(request.headers.get('authorization')?.replace('Bearer ', '') ?? '')
    return {
      method: request.method,
      url: request.url,
      path: new URL(request.url).pathname,
      headers: request.headers,
      body: await request.text(),
      init,
      sub: token !== undefined && time.now() < token.endsAt ? token.sub : null
    }
  }

  function answer (arrival: Arrival): Response {
    switch (arrival.path) {
      case '/auth/login':
      case '/auth/signup': return logIn(JSON.parse(arrival.body))
      case '/auth/refresh': return refresh(new URL(arrival.url).searchParams.get('optional') === 'true')
      case '/auth/logout': return logOut()
    }
    if (arrival.sub === null) return refusal(401, 'FST_AUTH_ACCESS_TOKEN_INVALID')
    return Response.json({ sub: arrival.sub, body: arrival.body })
  }

  function logIn ({ username, password }: Record<string, string>): Response {
    if (password !== 'right' || username === undefined) return refusal(401, 'FST_AUTH_CREDENTIALS_INVALID')
    server.cookie = username
    server.ended = null
    return grant(username)
  }

  function refresh (optional: boolean): Response {
    if (server.cookie === null && optional) return new Response(null, { status: 204 })
    if (server.cookie === null) return refusal(401, 'FST_AUTH_REFRESH_TOKEN_MISSING')
    if (server.ended !== null) return refusal(401, server.ended)
    return grant(server.cookie)
  }

  function logOut (): Response {
    server.cookie = null
    return new Response(null, { status: 204 })
  }

  function grant (sub: string): Response {
    const claims = { sub, sid: `session of ${sub}`, jti: String(++issued), name: NAME }
    const token = ['{"alg":"HS256"}', JSON.stringify(claims), String(issued)].map(part => Buffer.from(part).toString('base64url')).join('.')
    tokens.set(token, { sub, endsAt: time.now() + LIFETIME * 1000 })
    return Response.json({ access_token: token, token_type: 'Bearer', expires_in: LIFETIME })
  }
}

/** The body of a refusal, as the plugin sends it. */
export function refusal (status: number, code: string, headers: Record<string, string> = {}): Response {
  return Response.json({ statusCode: status, code, error: 'Error', message: `This is ${code}` }, { status, headers })
}

function gate (): { promise: Promise<void>, resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>(_resolve => { resolve = _resolve })
  return { promise, resolve }
}

/** Rejects when the caller aborts the request. */
function aborted (input: RequestInfo | URL, init: RequestInit | undefined): Promise<never> {
  const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined)
  signal?.throwIfAborted()
  return new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason))
  })
}
