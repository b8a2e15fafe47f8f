import { AuthError, type AuthProblem } from './auth-error.js'
import { authRequests, type Answer } from './auth-request.js'
import { authorizedFetch } from './authorized-fetch.js'
import { exclusive } from './tab-lock.js'
import { hint } from './logout-marker.js'
import { type AuthClientOptions, type Fetch } from './options.js'
import { readClaims, type AccessClaims, type Session } from './session.js'
import { type AuthState } from './state.js'
import { unlessAborted } from './unless-aborted.js'

/** Keeps somebody signed in. Each of its functions may be passed on by itself. */
export interface AuthClient<Claims = AccessClaims> {
  /** What is known at this moment. */
  readonly state: AuthState<Claims>
  /** Finds out who is signed in, by the cookie. Never rejects: what failed is in the state, which stays 'unknown'. */
  readonly init: () => Promise<AuthState<Claims>>
  /**
   * The platform's fetch, with the access token for requests to the API, renewed as needed. Rejects with an AuthError
   * where there is no valid token and none can be had now; where nobody is signed in, it sends none.
   */
  readonly fetch: Fetch
  /** A valid access token, or null where nobody is signed in; for WebSocket and the like. Rejects as `fetch` does. */
  readonly token: () => Promise<string | null>
  /** Signs in with what /login takes. Rejects with an AuthError that says why not. */
  readonly login: (credentials: object) => Promise<AuthState<Claims>>
  /** Makes an account and signs in, with what /signup takes. Rejects with an AuthError that says why not. */
  readonly signup: (credentials: object) => Promise<AuthState<Claims>>
  /** Asks the server now; also after a login that went around this client. Rejects with an AuthError if it cannot say. */
  readonly refresh: () => Promise<AuthState<Claims>>
  /** Signs out here and in every tab at once. Rejects if the server was not reached; the next `init` tells it. */
  readonly logout: () => Promise<AuthState<Claims>>
  /** Calls back after every change of the state, until the function that it gives is called. */
  readonly subscribe: (listener: (state: AuthState<Claims>) => void) => () => void
  /** Lets go of the page: no more callbacks, no more messages from and to other tabs. */
  readonly dispose: () => void
}

/** What a tab that learnt something from the server tells the others: who is signed in, or why nobody is. */
interface Message<Claims> {
  readonly session: Session<Claims> | undefined
  readonly error: AuthProblem | undefined
}

/**
 * A client for one page. Outside of browsers it is inert: it knows nobody, stores nothing, keeps no process alive, and
 * its `fetch` is the platform's. Its login, signup, refresh and logout reject with an AuthError, since on a server they would
 * sign in everybody whom it serves as one person.
 */
export function createAuthClient<Claims extends { readonly sub: string } = AccessClaims> (options: AuthClientOptions = {}): AuthClient<Claims> {
  const { prefix = '/auth', leeway = 10, lockTimeout = 5000, timeout = 15_000, share = true, headers, fetch: send = (...request) => fetch(...request) } = options
  const base: URL | undefined = globalThis.document && new URL(prefix.replace(/\/*$/, '/'), document.baseURI)
  const name = 'auth:' + base
  const post = authRequests(send, base, headers)
  const listeners = new Set<(state: AuthState<Claims>) => void>()
  let channel: BroadcastChannel | undefined

  let state: AuthState<Claims> = { status: 'unknown' }
  let session: Session<Claims> | undefined
  /** Counts what changed who is signed in, so that an answer to an older question can be told. */
  let epoch = 0
  /** The renewal under way. One that failed stays for a while, so that the server is left alone. */
  let flight: Promise<AuthState<Claims>> | undefined
  /** Ends the wait for an answer, since another tab has one. */
  let wake = () => {}

  const publish = (status: AuthState<Claims>['status'], error: AuthProblem | undefined): void => {
    state = { status, claims: session?.claims, expiresAt: session?.expiresAt, error }
    // Each by itself, so that one that throws is reported and stops nothing.
    for (const listener of listeners) Promise.resolve(state).then(listener)
  }

  /** Takes over what is newer than all that was known: a person, or that there is none. */
  const adopt = (next?: Session<Claims>, error?: AuthProblem, status: AuthState<Claims>['status'] = next ? 'in' : 'out'): void => {
    // Claims without a token are no answer to whoever waits for one.
    if (!next || next.token) {
      epoch++
      flight = undefined
      wake()
    }
    if (next || status !== state.status || error !== state.error) {
      session = next
      publish(status, error)
    }
  }

  /** Adopts what this tab learnt from the server, and tells the others; of a renewal only if they share the token. */
  const settle = (next?: Session<Claims>, error?: AuthProblem, isLogin?: boolean): AuthState<Claims> => {
    if (!base) return state
    adopt(next, error)
    hint(name, next ? '' : 'out')
    if (share || !next || isLogin) {
      channel?.postMessage({
        session: share ? next : next && { claims: next.claims, expiresAt: 0 },
        error: error && { ...error, message: error.message } // of an Error, only its own fields would arrive
      } satisfies Message<Claims>)
    }
    return state
  }

  /** Does what changes the cookie while no other tab does, and tells it whether it had to wait for one. */
  const alone = (work: (waited: boolean) => Promise<unknown>): Promise<AuthState<Claims>> =>
    unlessAborted(exclusive(name, lockTimeout, work), AbortSignal.timeout(timeout)).then(() => state, cause => {
      throw cause instanceof AuthError ? cause : new AuthError({ cause })
    })

  /** The end is counted from when the request was sent, by the same clock that judges it: a wrong one does no harm. */
  const grant = async (route: string, body?: object): Promise<Session<Claims> | undefined> => {
    const sentAt = Date.now()
    const answer = await post(route, body) as Answer // without one, and with a session, this throws
    // Without content (204): nobody is signed in. Where somebody is, no server of ours says so.
    return (answer || session) && { claims: await readClaims(answer.access_token), token: answer.access_token, expiresAt: sentAt + answer.expires_in * 1000 }
  }

  const signIn = (route: string) => (credentials: object) =>
    alone(async () => settle(await grant(route, credentials), undefined, true))

  const logout = (): Promise<AuthState<Claims>> => {
    settle()
    hint(name, 'leaving')
    return alone(async () => {
      await post('logout')
      // Again: the token of a renewal that ended just before may have reached tabs after they heard of this.
      settle()
    })
  }

  const renew = (): Promise<AuthState<Claims>> => {
    const seen = epoch
    flight ??= Promise.race([new Promise<void>(resolve => { wake = resolve }), alone(async waited => {
      // The other tab's message may come after its lock: within 4 ms, as measured in three browsers.
      if (waited && epoch === seen) await new Promise(resolve => setTimeout(resolve, 50))
      if (epoch !== seen) return
      // A visitor who never logged in has no cookie, which is no error: the server answers this with 204.
      const next = await grant(session ? 'refresh' : 'refresh?optional=true')
      if (epoch === seen) settle(next)
    })]).then(() => state, error => {
      // Only the server itself can say so: a proxy's 401 says nothing about the session.
      if (error.status === 401 && /^FST_AUTH_/.test(error.code)) {
        // Other routes for the refresh, and older servers, answer a visitor without a cookie with a 401.
        return settle(undefined, !session && /MISSING/.test(error.code) ? undefined : error)
      }
      publish(state.status, error)
      setTimeout(() => { if (epoch === seen) flight = undefined }, (error.retryAfter || 1 + Math.random()) * 1000)
      throw error
    })
    return flight
  }

  /** Finds out who is signed in, unless that is known; again if it was forgotten meanwhile. */
  const start = async (): Promise<AuthState<Claims>> => {
    if (!base || state.status !== 'unknown') return state
    const known = hint(name)
    if (!known) await renew()
    else if (known === 'out') adopt()
    else await logout().catch(() => {})
    return start()
  }

  /** Who is signed in, with a token that may be sent. */
  const ready = async (): Promise<Session<Claims> | undefined> => {
    await start()
    const held = session
    if (held && Date.now() >= held.expiresAt - leeway * 1000) {
      await renew().catch(error => {
        if (Date.now() >= held.expiresAt) throw error
      })
    }
    return session
  }

  /** A page that comes back from the back/forward cache has heard nothing while it was away. */
  const comeBack = ({ persisted }: PageTransitionEvent): void => {
    if (!persisted) return
    adopt(undefined, undefined, 'unknown')
    start().catch(() => {})
  }

  if (base) {
    try {
      addEventListener('pageshow', comeBack)
      channel = new BroadcastChannel(name)
      channel.onmessage = ({ data: { session, error } }: MessageEvent<Message<Claims>>) => adopt(session, error)
    } catch {
      // The browser grants no storage, and so no messages: each tab goes on by itself.
    }
  }

  return {
    get state () { return state },
    init: () => start().catch(() => state),
    fetch: authorizedFetch(send, base, () => session, ready),
    token: async () => (await ready())?.token ?? null,
    login: signIn('login'),
    signup: signIn('signup'),
    refresh: renew,
    logout,
    subscribe (listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    dispose () {
      if (!base) return
      channel?.close()
      channel = undefined
      listeners.clear()
      removeEventListener('pageshow', comeBack)
    }
  }
}
