import { AuthError, type AuthProblem } from './auth-error.js'
import { type Fetch } from './options.js'

/** The body of an answer: a grant (RFC 6749 section 5.1), where the route gives one. */
export interface Answer {
  readonly access_token: string
  readonly expires_in: number
}

/**
 * A function that sends a POST to one of the plugin's routes; a refusal is thrown as an AuthError. An answer without
 * content (204) is undefined. keepalive lets the
 * browser store the cookie even if the page goes away meanwhile; nothing aborts the request, since the server may have
 * rotated the cookie already. The content type is one for which browsers ask first (CORS) if it goes to another origin.
 */
export function authRequests (send: Fetch, base: URL | undefined, headers?: Readonly<Record<string, string>>) {
  return async (route: string, body = {}): Promise<Answer | undefined> => {
    const response = await send(new URL(route, base as URL), { // throws outside of browsers, where nobody may sign in
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      credentials: 'include',
      cache: 'no-store',
      redirect: 'error',
      keepalive: true
    })
    const json = await response.json().catch(Object) as Answer & AuthProblem // no JSON: the page of a captive portal
    if (response.status === 204) return
    if (response.ok) return json
    throw new AuthError({ ...json, status: response.status, retryAfter: +response.headers.get('retry-after')! || 0 })
  }
}
