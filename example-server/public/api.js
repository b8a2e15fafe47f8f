import { AuthError, createAuthClient } from '/client/index.js'

/** `isOurs` is true if this tab fetched the newest access token, false if another tab shared it. */
export const newest = { isOurs: false }

/** The client of this page. Keep the default `leeway` in an app: the example uses a token to its last second, to show how it expires. */
export const auth = createAuthClient({
  leeway: 0,
  async fetch (input, init) {
    const answer = await fetch(input, init)
    if (String(input).endsWith('/auth/refresh')) newest.isOurs = answer.ok
    return answer
  }
})

/** Sends a request to the API, with `json` as its body, and resolves to the JSON of the reply. Rejects with an AuthError. */
export async function call (path, { json, ...options } = {}) {
  const body = json && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(json) }
  const answer = await auth.fetch(path, { cache: 'no-store', ...body, ...options }).catch(cause => {
    throw cause instanceof AuthError ? cause : new AuthError({ cause })
  })
  if (answer.status === 204) return null
  const content = await answer.json().catch(() => ({})) // not our server: a proxy, or the login page of a network
  if (answer.ok) return content
  throw new AuthError({ ...content, status: answer.status, retryAfter: Number(answer.headers.get('retry-after')) || 0 })
}

/** Logs in or signs up, and checks that the browser kept the cookie. */
export async function enter (verb, credentials) {
  await auth[verb](credentials)
  await auth.refresh().catch(() => {}) // after a temporary failure the next renewal checks it
  if (auth.state.error?.code === 'FST_AUTH_REFRESH_TOKEN_MISSING') throw new AuthError({ code: 'COOKIE_REFUSED' })
}

/** Reauthenticates the user. */
export async function prove (password) {
  await call('/auth/reauthenticate', { method: 'POST', json: { password } })
  await auth.refresh() // for an access token with the new `auth_time`
}

/** Changes the password. keepalive: if the page is left meanwhile, the browser still stores the new session's cookie. */
export async function changePassword (currentPassword, newPassword) {
  await call('/auth/password', { method: 'POST', keepalive: true, json: { currentPassword, newPassword } })
  await auth.refresh()
}
