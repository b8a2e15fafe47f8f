import { type Fetch } from './options.js'
import { type Session } from './session.js'
import { unlessAborted } from './unless-aborted.js'

type Person = Session<{ readonly sub: string }>

/**
 * A fetch that sends the access token with requests to the API's origin, the plugin's own routes included, and after a
 * 401 repeats a request once with a newer one. Requests to other origins and with their own Authorization pass as they
 * are. A request is only ever sent as the person who made it: if somebody else signed in meanwhile, it ends with the 401.
 */
export function authorizedFetch (send: Fetch, base: URL | null, current: () => Person | undefined, ready: () => Promise<Person | undefined>): Fetch {
  return async (input, init) => {
    const request = input as Partial<Request>
    const headers = new Headers(init?.headers ?? request.headers)
    if (!base || headers.has('authorization') || new URL(request.url ?? `${input}`, document.baseURI).origin !== base.origin) return send(input, init)

    const signal = init?.signal ?? request.signal
    const caller = current()
    const known = await unlessAborted(ready(), signal)
    const sender = caller && !isSame(caller, known) ? caller : known
    const attempt = (target: typeof input, person: Person | undefined) => {
      if (person) headers.set('authorization', `Bearer ${person.token}`)
      return send(target, { ...init, headers })
    }
    const response = await attempt(request.clone?.() ?? input, sender)
    // A stream is spent: some browsers would send its name in its place.
    if (!sender || response.status !== 401 || init?.body instanceof ReadableStream) return response
    // A password that is wrong stays wrong, and would count as two failures.
    if ((await response.clone().text()).includes('FST_AUTH_CREDENTIALS_INVALID')) return response
    sender.expiresAt = 0
    const renewed = await unlessAborted(ready(), signal)
    return isSame(sender, renewed) ? attempt(input, renewed) : response
  }
}

function isSame (person: Person, other: Person | undefined): boolean {
  return person.claims.sub === other?.claims.sub
}
