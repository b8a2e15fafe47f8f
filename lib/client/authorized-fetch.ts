import { type Fetch, type Session } from './requests.js'

type AnySession = Session<{ readonly sub: string }>

/**
 * A fetch that sends the access token with requests to the API's origin, the plugin's own routes included, and repeats a
 * request once with a new token if the server refused it. It sends and stores the cookies of an API on another origin too, unless
 * `init.credentials` says otherwise. Requests to other origins, and those with their own Authorization header, pass unchanged,
 * so no token leaks. A request is only sent as the user who made it: if another user has logged in meanwhile, the 401 is its
 * response.
 */
export function authorizedFetch (send: Fetch, base: URL | undefined, current: () => AnySession | undefined, validSession: () => Promise<AnySession | undefined>, underLock: (work: () => Promise<Response>) => Promise<Response>): Fetch {
  return async (input, init) => {
    const request = input as Partial<Request>
    const headers = new Headers(init?.headers ?? request.headers)
    const url = base && new URL(request.url ?? input as string | URL, document.baseURI)
    if (!url || headers.has('authorization') || url.origin !== base.origin) return send(input, init)

    let sender = current()
    let response
    for (const target of [request.clone?.() ?? input, input]) {
      if (response) sender!.expiresAt = 0 // a 401: the server refuses this token
      const session = await unlessAborted(validSession(), init?.signal ?? request.signal)
      if (!sender || sender.claims.sub === session?.claims.sub) sender = session
      else if (response) break
      if (sender) headers.set('authorization', 'Bearer ' + sender.token)
      // By default browsers drop the cookies of another origin's replies, such as that of a password change. On the page's own
      // origin 'include' would change nothing but redirects, which then need CORS with credentials.
      const work = (): Promise<Response> => send(target, { ...(self.origin !== base.origin && { credentials: 'include' }), ...init, headers })
      // A password change replaces the cookie: no refresh of another tab may run beside it.
      response = await (url.href.startsWith(base.href) ? underLock(work) : work())
      // A stream is consumed: some browsers would send its name in its place.
      if (!sender || response.status !== 401 || init?.body instanceof ReadableStream) break
      // Only for a refused token, by its challenge, which another origin may hide, or its code. A wrong password stays wrong and
      // would count as two failures, and 401s of the app's own would use up the refreshes of the session.
      if (!/invalid_token|FST_AUTH_[AS]/.test([...response.headers] + await response.clone().text())) break
    }
    return response as Response
  }
}

/** Waits for shared work, until this caller's signal is aborted. */
export function unlessAborted<T> (work: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal!.reason)
    if (signal?.aborted) abort()
    signal?.addEventListener('abort', abort)
    work.then(resolve, reject).then(() => signal?.removeEventListener('abort', abort))
  })
}
