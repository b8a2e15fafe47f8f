import { authorizedFetch, unlessAborted } from './authorized-fetch.js'
import { AuthError, authRequests, type AuthProblem, type Fetch, type TokenResponse, readClaims, type AccessClaims, type AuthState, type Session } from './requests.js'
import { logoutMarker, withTabLock } from './tabs.js'

/** The options of `createAuthClient`; all are optional. */
export interface AuthClientOptions {
  /** The URL of the plugin's routes, '/auth' by default; 'https://api.example.com/auth' for an API on another origin. */
  readonly prefix?: string | undefined
  /**
   * Seconds, 10 by default: a token that expires sooner is refreshed before it is used. Keep it far below the lifetime of
   * the tokens, or every request refreshes.
   */
  readonly leeway?: number | undefined
  /** Milliseconds to wait for the refresh of another tab, 5000 by default; then this tab refreshes, too. */
  readonly lockTimeout?: number | undefined
  /** Milliseconds until a function rejects without a response, 15000 by default; the request itself is never aborted. */
  readonly timeout?: number | undefined
  /** True, the default, shares the access token between tabs; with false each tab gets its own. */
  readonly share?: boolean | undefined
  /** Additional headers for the requests to the plugin's routes. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Sends all requests, instead of the platform's fetch. */
  readonly fetch?: Fetch | undefined
}

/** Keeps the user logged in. Its functions need no `this`. */
export interface AuthClient<Claims = AccessClaims> {
  /** The current state. */
  readonly state: AuthState<Claims>
  /** Determines the user by the cookie. Never rejects: after a failure the state stays 'unknown' and has the error. */
  readonly init: () => Promise<AuthState<Claims>>
  /**
   * The platform's fetch, with the access token in requests to the API (RFC 6750 section 2.1), refreshed as needed. It sends and
   * stores the API's cookies, also on another origin, unless its second argument has other `credentials`.
   * Without a login it sends no token. Rejects with an AuthError if the token has expired and the refresh fails.
   */
  readonly fetch: Fetch
  /** A valid access token, or null without a login; for WebSocket and the like. Rejects as `fetch` does. */
  readonly token: () => Promise<string | null>
  /** Logs in with the body of /login. Rejects with an AuthError. */
  readonly login: (credentials: object) => Promise<AuthState<Claims>>
  /** Creates an account and logs in, with the body of /signup. Rejects with an AuthError. */
  readonly signup: (credentials: object) => Promise<AuthState<Claims>>
  /** Refreshes now, as after a login without this client. Rejects with an AuthError after a temporary failure. */
  readonly refresh: () => Promise<AuthState<Claims>>
  /** Logs out, in every tab at once. Rejects with an AuthError if the server was not reached; the next page load then retries. */
  readonly logout: () => Promise<AuthState<Claims>>
  /** Calls the listener after every change of the state, until the returned function is called. */
  readonly subscribe: (listener: (state: AuthState<Claims>) => void) => () => void
  /** Ends all callbacks, and messages from and to other tabs. */
  readonly dispose: () => void
}

/** From one tab to the others, after a response of the server: the session, or the reason why there is none. */
type Message<Claims> = [session: Session<Claims> | undefined, error: AuthProblem | undefined]

/**
 * Creates the client of one page. Outside of browsers the state stays 'unknown' and `fetch` is the platform's. Login, signup,
 * refresh and logout reject with an AuthError there, since on a server all visitors would share one login. See docs/client.md.
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
  /** Increases with every change of the session, so that the response to an earlier request is recognised as stale. */
  let epoch = 0
  /** The refresh in progress. A failed one stays until the next may be sent (back-off). */
  let refreshing: Promise<AuthState<Claims>> | undefined
  /** Resolves the refresh in progress, since another tab has sent its result. */
  let stopWaiting = () => {}

  const publish = (status: AuthState<Claims>['status'], error: AuthProblem | undefined): void => {
    state = { status, claims: session?.claims, expiresAt: session?.expiresAt, error } as AuthState<Claims> // 'in' is published with a session only
    // Each listener runs in a promise, so that its error is reported and does not stop the others.
    for (const listener of listeners) Promise.resolve(state).then(listener)
  }

  /** Sets a newer session, or none. */
  const adopt = (next?: Session<Claims>, error?: AuthProblem, status: AuthState<Claims>['status'] = next ? 'in' : 'out'): void => {
    epoch++
    refreshing = undefined
    stopWaiting()
    if (next || status !== state.status || error !== state.error) {
      session = next
      publish(status, error)
    }
  }

  /** Adopts the server's response and sends it to the other tabs; after a refresh only if they share the token. */
  const adoptAndShare = (next?: Session<Claims>, error?: AuthProblem, isLogin?: boolean): AuthState<Claims> => {
    if (!base) return state
    adopt(next, error)
    logoutMarker(name, next ? '' : 'out')
    if (share || !next || isLogin) {
      channel?.postMessage([
        share ? next : next && { claims: next.claims, expiresAt: 0 },
        error && { ...error, message: error.message } // structured clone drops an Error's custom fields
      ] satisfies Message<Claims>)
    }
    return state
  }

  /** The expiry is counted from the time of the request by this machine's own clock, so a wrong clock does no harm. */
  const requestSession = async (route: string, body?: object): Promise<Session<Claims> | undefined> => {
    const sentAt = Date.now()
    const response = await post(route, body) as TokenResponse // undefined for 204
    // 204: nobody is logged in. During a session it is no response of the plugin, and the next line throws.
    return (response || session) && { claims: readClaims(response.access_token), token: response.access_token, expiresAt: sentAt + response.expires_in * 1000 }
  }

  const signIn = (route: string) => (credentials: object) =>
    locked(async () => adoptAndShare(await requestSession(route, credentials), undefined, true))

  const logout = (): Promise<AuthState<Claims>> => {
    adoptAndShare()
    logoutMarker(name, 'logout')
    return locked(async () => {
      await post('logout')
      // Again: other tabs may have received the token of an earlier refresh after the message above.
      adoptAndShare()
    })
  }

  const refresh = (): Promise<AuthState<Claims>> => {
    const seen = epoch
    refreshing ??= Promise.race([new Promise<void>(resolve => { stopWaiting = resolve }), locked(async waited => {
      // The other tab's message may arrive up to 4 ms after its lock is released, as measured in three browsers.
      if (waited && epoch === seen) await new Promise(resolve => setTimeout(resolve, 50))
      if (epoch !== seen) return
      // The server answers 204, and no error, to a visitor without a cookie.
      const next = await requestSession(session ? 'refresh' : 'refresh?optional=true')
      if (epoch === seen) adoptAndShare(next)
    })]).then(() => state, error => {
      // Only the plugin's own 401 ends the session, not that of a proxy.
      if (error.status === 401 && /^FST_AUTH_/.test(error.code)) {
        // Older servers and other refresh routes answer 401 to a visitor without a cookie.
        return adoptAndShare(undefined, !session && /MISSING/.test(error.code) ? undefined : error)
      }
      publish(state.status, error)
      setTimeout(() => { if (epoch === seen) refreshing = undefined }, (error.retryAfter || 1 + Math.random()) * 1000)
      throw error
    })
    return refreshing
  }

  /** Determines the user, unless the state is known. */
  const start = async (): Promise<AuthState<Claims>> => {
    if (!base || state.status !== 'unknown') return state
    const marker = logoutMarker(name)
    if (!marker) await refresh()
    else if (marker === 'out') adopt()
    else await logout().catch(() => state)
    return start()
  }

  /** The session, refreshed if its token is about to expire. */
  const validSession = async (): Promise<Session<Claims> | undefined> => {
    await start()
    const held = session
    if (held && Date.now() >= held.expiresAt - leeway * 1000) {
      await refresh().catch(error => {
        if (Date.now() >= held.expiresAt) throw error
      })
    }
    // A login from a tab with `share: false` has no token, and has made a refresh in progress stale.
    return session && !session.token ? validSession() : session
  }

  /** A page in the back/forward cache receives no messages. */
  const onPageShow = ({ persisted }: PageTransitionEvent): void => {
    if (!persisted) return
    adopt(undefined, undefined, 'unknown')
    start().catch(() => state)
  }

  /** Runs what changes the cookie under the tab lock, within the timeout. */
  const locked = (work: (waited?: boolean) => Promise<unknown>): Promise<AuthState<Claims>> =>
    unlessAborted(withTabLock(name, lockTimeout, work), AbortSignal.timeout(timeout)).then(() => state, cause => {
      throw cause instanceof AuthError ? cause : new AuthError({ cause })
    })

  if (base) {
    try {
      addEventListener('pageshow', onPageShow)
      channel = new BroadcastChannel(name)
      channel.onmessage = ({ data }: MessageEvent<Message<Claims>>) => adopt(...data)
    } catch {
      // The browser blocks storage, and so messages between tabs: each tab refreshes for itself.
    }
  }

  return {
    get state () { return state },
    init: () => start().catch(() => state),
    fetch: authorizedFetch(send, base, () => session, validSession, work => withTabLock(name, lockTimeout, work)),
    token: async () => (await validSession())?.token ?? null,
    login: signIn('login'),
    signup: signIn('signup'),
    refresh,
    logout,
    subscribe (listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    dispose () {
      channel?.close()
      channel = undefined
      listeners.clear()
      if (base) removeEventListener('pageshow', onPageShow)
    }
  }
}
