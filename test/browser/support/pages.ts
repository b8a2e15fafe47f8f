import { type FastifyInstance } from 'fastify'
import { type AccessClaims, type AuthClient, type AuthClientOptions, type AuthState } from '../../../lib/client/index.js'
import { bundle } from '../../client/support/bundle.js'
import { type Tab } from './browsers.js'

type State = AuthState<AccessClaims>

/** Globals of functions that run in a page. */
declare global {
  const auth: AuthClient<AccessClaims>
  /** Returns the status and the body of a response. */
  const ask: (input: RequestInfo | URL, init?: RequestInit) => Promise<[status: number, body: unknown]>
  /** Waits for a state. */
  const until: (status: State['status']) => Promise<State>
  /** Waits until the client has a token again, with retries. */
  const recovery: () => Promise<string | null>
  /** The statuses that the client reported since the page was loaded, in order. */
  const heard: Array<State['status']>
  /** Moves the page's clock without running timers, as sleep does. Milliseconds. */
  const skip: (milliseconds: number) => void
}

let client: Promise<string> | undefined

/**
 * Adds pages with the client, below /page: their query is the client's options as JSON. Their clocks are ahead of
 * the machine's by the milliseconds that the function returns.
 */
export function pages (app: FastifyInstance, ahead: () => number = () => 0): void {
  app.get('/client.js', async (_request, reply) => await reply.type('text/javascript').send(await (client ??= bundle('export * from "./index.ts"'))))
  app.get('/page', async (_request, reply) => await reply.type('text/html').send(`<!doctype html>
    <html lang="en"><title>A page</title><link rel="icon" href="data:,"><script type="module">
      import { createAuthClient } from '/client.js'
      const now = Date.now
      let ahead = ${ahead()}
      Date.now = () => now() + ahead
      const auth = createAuthClient(JSON.parse(decodeURIComponent(location.search.slice(1)) || '{}'))
      const ask = async (...request) => {
        const answer = await auth.fetch(...request)
        const text = await answer.text()
        return [answer.status, text && JSON.parse(text)]
      }
      const until = status => new Promise(resolve => {
        const look = () => auth.state.status === status && resolve(auth.state)
        auth.subscribe(look)
        look()
      })
      const recovery = async () => {
        for (;;) {
          await new Promise(resolve => setTimeout(resolve, 50))
          try { return await auth.token() } catch {}
        }
      }
      const heard = []
      auth.subscribe(({ status }) => heard.push(status))
      Object.assign(globalThis, { auth, ask, until, recovery, heard, skip: milliseconds => { ahead += milliseconds } })
      auth.init().then(({ status }) => parent.postMessage(status, '*')) // for who holds it in a frame
    </script></html>`))
}

/** Waits until a page holds no lock: browsers keep no other page in their back/forward cache. */
export async function idle (tab: Tab): Promise<void> {
  await tab.run(async () => {
    for (;;) {
      const { held = [], pending = [] } = await navigator.locks.query()
      if (held.length + pending.length === 0) return
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  })
}

/** The path of a page whose client has these options. */
export function pageWith (options: Omit<AuthClientOptions, 'fetch'>): string {
  return `/page?${encodeURIComponent(JSON.stringify(options))}`
}

/** The states of these pages once they are known, as plain copies, since drivers represent errors differently. */
export async function states (...tabs: readonly Tab[]): Promise<State[]> {
  return await Promise.all(tabs.map(tab => tab.run(async () => {
    const { error, ...state } = await auth.init()
    return { ...state, error: error && { ...error, message: error.message } }
  })))
}

/** The statuses of these pages once they are known. */
export async function statuses (...tabs: readonly Tab[]): Promise<Array<State['status']>> {
  return (await states(...tabs)).map(({ status }) => status)
}
