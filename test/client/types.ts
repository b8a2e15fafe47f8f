/** Compiled by `npm run typecheck`, never run: uses of the client in a page. */
import { createAuthClient, type AccessClaims, type AuthClient, type AuthState } from 'fastify-refresh-cookie/client'

interface Claims extends AccessClaims {
  readonly role: 'admin' | 'reader'
}

const auth: AuthClient<Claims> = createAuthClient<Claims>({ prefix: '/auth', leeway: 5, share: false, headers: { 'x-app': 'shop' }, fetch: undefined })
const role: 'admin' | 'reader' | undefined = auth.state.claims?.role
const subject: string | undefined = createAuthClient().state.claims?.sub

// @ts-expect-error: without a subject nobody can tell that somebody else signed in
createAuthClient<{ role: string }>()

// @ts-expect-error: a misspelt option
createAuthClient({ lockTimout: 1 })

// The status shows whether there are claims.
if (auth.state.status === 'in') {
  const { claims, expiresAt } = auth.state
  const nextRefresh: number = expiresAt - 10_000
  console.log(claims.sub, nextRefresh)
}

// @ts-expect-error: nobody but the client changes the state
auth.state.status = 'out'

// `fetch` works without its object, in place of the platform's.
const { fetch, token, login, logout, subscribe }: typeof auth = auth
const dropIn: typeof globalThis.fetch = fetch
const answer: Promise<Response> = fetch(new URL('https://app.test'), { method: 'POST', signal: AbortSignal.timeout(1) })
const value: Promise<string | null> = token()
const signedIn: Promise<AuthState<Claims>> = login({ username: 'ann', password: 'right' })
const onClick: () => void = logout

// React's useSyncExternalStore, with the same snapshot on the server.
declare function useSyncExternalStore<T> (subscribe: (onChange: () => void) => () => void, snapshot: () => T, onServer: () => T): T
const state: AuthState<Claims> = useSyncExternalStore(subscribe, () => auth.state, () => auth.state)

export { answer, dropIn, onClick, role, signedIn, state, subject, value }
