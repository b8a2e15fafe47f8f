import { type Fetch } from './options.js'
import { type Session } from './session.js'
import { unlessAborted } from './unless-aborted.js'

type Person = Session<{ readonly sub: string }>

/**
 * A fetch that sends the access token with requests to the API's origin, the plugin's own routes included, and after a
 * 401 repeats a request once with a newer one. Requests to other origins and with their own Authorization pass as they
 * are. A request is only ever sent as the person who made it: if somebody else signed in meanwhile, it ends with the 401.
 */
export function authorizedFetch (send: Fetch, base: URL | undefined, current: () => Person | undefined, ready: () => Promise<Person | undefined>): Fetch {
  return async (input, init) => {
    const request = input as Partial<Request>
    const headers = new Headers(init?.headers ?? request.headers)
    if (!base || headers.has('authorization') || new URL(request.url ?? input as string | URL, document.baseURI).origin !== base.origin) return send(input, init)

    let sender = current()
    let response
    for (const target of [request.clone?.() ?? input, input]) {
      if (response) sender!.expiresAt = 0 // a 401: that token is not good any more
      const known = await unlessAborted(ready(), init?.signal ?? request.signal)
      if (!sender || sender.claims.sub === known?.claims.sub) sender = known
      else if (response) break
      if (sender) headers.set('authorization', 'Bearer ' + sender.token)
      response = await send(target, { ...init, headers })
      // A stream is spent: some browsers would send its name in its place.
      if (!sender || response.status !== 401 || init?.body instanceof ReadableStream) break
      // A password that is wrong stays wrong, and would count as two failures.
      if ((await response.clone().text()).includes('FST_AUTH_CREDENTIALS_INVALID')) break
    }
    return response as Response
  }
}
