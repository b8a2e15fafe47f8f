import { AuthError, createAuthClient } from '/client/index.js'

/** Whether the newest access token was brought by this tab, so that the page can tell; another one may have shared it. */
export const newest = { isOurs: false }

/** Who is signed in. An app leaves `leeway` alone: here a token is used to its last second, so that one can watch it end. */
export const auth = createAuthClient({
  leeway: 0,
  async fetch (input, init) {
    const answer = await fetch(input, init)
    if (String(input).endsWith('/auth/refresh')) newest.isOurs = answer.ok
    return answer
  }
})

/** Sends a request to the API, with JSON if there is any, and gives the JSON of the answer. Rejects with an AuthError. */
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

/** Logs in or signs up, and makes sure that the browser kept the cookie. */
export async function enter (verb, credentials) {
  await auth[verb](credentials)
  await auth.refresh().catch(() => {}) // if it cannot be found out now, the next renewal will tell
  if (auth.state.error?.code === 'FST_AUTH_REFRESH_TOKEN_MISSING') throw new AuthError({ code: 'COOKIE_REFUSED' })
}

/** Proves once more who is there. */
export async function prove (password) {
  await call('/auth/reauthenticate', { method: 'POST', json: { password } })
  await auth.refresh() // for an access token that says so
}

/** Changes the password. keepalive: if the page is left meanwhile, the browser still stores the new session's cookie. */
export async function changePassword (currentPassword, newPassword) {
  await call('/auth/password', { method: 'POST', keepalive: true, json: { currentPassword, newPassword } })
  await auth.refresh()
}
