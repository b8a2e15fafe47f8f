/** Why a request did not work: `status` 0 and no code when there was no answer from the server. */
export class Problem extends Error {
  constructor ({ statusCode = 0, code = '', message = '' } = {}, retryAfter = null) {
    super(message)
    this.status = statusCode
    this.code = code
    this.retryAfter = Number(retryAfter) || null
  }
}

const HINT = 'signed-out'

/**
 * The login of this page. The access token is in memory alone and the refresh token in a cookie that no script sees, so
 * after a reload the cookie brings a new token. Only a 401 from /refresh means "signed out": whatever else fails, the
 * session stays. `onChange(state)` is told of every new state.
 */
export function createAuth ({ prefix = '/auth', onChange }) {
  let state = { status: 'unknown' }
  let refreshing = null
  let last = Promise.resolve()

  const auth = {
    get state () { return state },

    /** Signs in silently through the cookie, unless this browser is known to be signed out. */
    async init () {
      if (hint.get()) change({ status: 'out' })
      else await auth.refresh()
    },

    signup: credentials => inTurn(() => enter('/signup', credentials)),
    login: credentials => inTurn(() => enter('/login', credentials)),

    /** Swaps the cookie for a new access token: one request, however many wait for it. */
    refresh () {
      refreshing ??= inTurn(() => state.status === 'out' ? undefined : renew()).finally(() => { refreshing = null })
      return refreshing
    },

    logout: () => inTurn(async () => {
      await post('/logout')
      leave('')
    }),

    /** As `fetch`, with a valid access token. A 401 is answered by one refresh and one repetition. */
    async fetch (url, options = {}) {
      if (!isFresh()) await auth.refresh()
      const used = state.token
      const answer = await send(url, withToken(options))
      if (answer.status !== 401) return answer
      if (state.token === used) await auth.refresh()
      return state.status === 'in' ? await send(url, withToken(options)) : answer
    },

    /** As `fetch`, for JSON; rejects with a Problem when refused. */
    call: async (url, options) => await read(await auth.fetch(url, options)),

    /** Throws the access token away, as a reload would. */
    forget: () => change({ ...state, token: null, expiresAt: 0 })
  }

  // Another tab has signed out, or in.
  window.addEventListener('storage', ({ key }) => {
    if (key !== HINT) return
    if (hint.get()) change({ status: 'out' })
    else if (state.status === 'out') comeBack()
  })
  // A page that comes back from the browser's cache has missed such news.
  window.addEventListener('pageshow', ({ persisted }) => { if (persisted) comeBack() })

  return auth

  function comeBack () {
    change({ status: 'unknown' })
    auth.init().catch(() => {})
  }

  // A refresh that ends after a logout, or a login of somebody else, would bring back who was there before.
  function inTurn (work) {
    const turn = last.then(work)
    last = turn.catch(() => {})
    return turn
  }

  async function enter (path, credentials) {
    const asked = Date.now()
    const grant = await post(path, credentials)
    hint.clear()
    try {
      await renew() // the cookie has come back if this works
    } catch {
      adopt(grant, asked) // nothing is known of the cookie
    }
    if (state.reason === 'FST_AUTH_REFRESH_TOKEN_MISSING') throw new Problem({ code: 'COOKIE_REFUSED' })
  }

  async function renew () {
    const asked = Date.now()
    try {
      adopt(await post('/refresh'), asked)
      hint.clear()
    } catch (problem) {
      if (problem.status !== 401) throw problem
      leave(problem.code)
    }
  }

  // Counted from the moment of the request, so a wrong clock does no harm and the token is never thought fresher than it is.
  function adopt ({ access_token: token, expires_in: lifetime }, asked) {
    change({ status: 'in', token, lifetime, expiresAt: asked + lifetime * 1000, claims: claimsOf(token) })
  }

  function leave (reason) {
    hint.set()
    change({ status: 'out', reason })
  }

  function change (next) {
    const before = state
    state = next
    onChange(state, before)
  }

  function isFresh () {
    return state.status === 'in' && Date.now() < state.expiresAt
  }

  function withToken (options) {
    return { ...options, headers: { ...options.headers, ...(state.token && { authorization: `Bearer ${state.token}` }) } }
  }

  // keepalive: when the page is left meanwhile, the browser still stores the new cookie.
  async function post (path, body) {
    const json = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    return await read(await send(prefix + path, { method: 'POST', keepalive: true, ...json }))
  }
}

async function send (url, options) {
  try {
    return await fetch(url, { cache: 'no-store', redirect: 'error', ...options })
  } catch {
    throw new Problem()
  }
}

async function read (answer) {
  if (answer.status === 204) return null
  const body = await answer.json().catch(() => { throw new Problem() }) // not our server: a proxy or a login page of a network
  if (!answer.ok) throw new Problem(body, answer.headers.get('retry-after'))
  return body
}

/** Unsigned base64url in the middle: to be looked at, never to be trusted. */
function claimsOf (token) {
  const bytes = atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/'))
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, letter => letter.charCodeAt(0))))
}

/** The only thing that outlives the page, so that somebody who is signed out causes no 401 at every reload. */
const hint = {
  get: () => attempt(() => localStorage.getItem(HINT) !== null),
  set: () => attempt(() => localStorage.setItem(HINT, 'yes')),
  clear: () => attempt(() => localStorage.removeItem(HINT))
}

/** Storage can be forbidden: then nothing is remembered. */
function attempt (work) {
  try {
    return work()
  } catch {
    return null
  }
}
