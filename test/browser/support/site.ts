import { type AddressInfo } from 'node:net'
import { type FastifyInstance } from 'fastify'
import { type Test } from 'tap'
import { type AuthEvent, type RefreshCookieOptions } from '../../../lib/index.js'
import { type Duration } from '../../../lib/time.js'
import { forget, PASSWORD, server, START, type TestServer } from '../../support/server.js'
import { type Browser, type Tab } from './browsers.js'
import { network, type Certificate, type Network } from './network.js'
import { pages } from './pages.js'

/** The credentials of a new user. */
export const ADA = { username: 'ada', password: PASSWORD }
export const BOB = { username: 'bob', password: PASSWORD }

export const REFRESH = '/auth/refresh'
export const LOGOUT = '/auth/logout'

/** The default host of the site. */
export const HOST = '127.0.0.1'

/** An app for real browsers, with its clock, its events and its network under the control of the test. */
export interface Site extends TestServer {
  readonly network: Network
  /** A URL of the site: of a page by default. */
  url (path?: string, host?: string): string
  /** The number of refreshes so far by outcome, `reuse` included. */
  outcomes (): Record<string, number>
  /** Moves the time, here and in pages: the machine slept, or the user was away. */
  sleep (duration: Duration, ...tabs: readonly Tab[]): Promise<void>
  /** Opens a page in which Ada has signed up; the lists of events and requests are empty afterwards. */
  signedUp (browser: Browser, url?: string): Promise<Tab>
}

/** Options that differ from the defaults. */
export interface SiteOptions {
  /** Adds things to the app before the plugin. */
  readonly prepare?: (app: FastifyInstance) => void
  /** For https. */
  readonly certificate?: Certificate
  /** Adds routes. */
  readonly extend?: (app: FastifyInstance) => void
}

/** A site on this machine until `t` ends, with a page, /me, and /api/echo, which returns the request. */
export async function site (t: Test, options: RefreshCookieOptions = {}, { prepare, extend, certificate }: SiteOptions = {}): Promise<Site> {
  const between = network(certificate)
  const s = await server(t, options, { serverFactory: between.serverFactory, forceCloseConnections: true }, app => {
    pages(app, () => (s.clock() - START) * 1000)
    app.register(echo, { prefix: '/api' })
    extend?.(app)
  }, prepare)
  await s.app.listen({ port: 0, host: HOST })
  const { port } = s.app.server.address() as AddressInfo // it listens on TCP

  const self: Site = {
    ...s,
    network: between,
    url: (path = '/page', host = HOST) => `${certificate ? 'https' : 'http'}://${host}:${port}${path}`,
    outcomes: () => outcomesOf(s.events),
    async sleep (duration, ...tabs) {
      const before = s.clock()
      s.wait(duration)
      const milliseconds = (s.clock() - before) * 1000
      await Promise.all(tabs.map(tab => tab.run(milliseconds => skip(milliseconds), milliseconds)))
    },
    async signedUp (browser, url = self.url()) {
      const tab = await browser.open(url)
      await tab.run(async person => {
        await auth.init()
        await auth.signup(person)
        heard.length = 0
      }, ADA)
      forget(s.events, between.arrivals)
      return tab
    }
  }
  return self
}

/** A protected route that returns the subject and the request. */
async function echo (app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', app.authenticate)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.post('/echo', async ({ auth, headers, body }) => ({ sub: auth.claims?.sub, type: headers['content-type'] ?? null, body }))
}

/** The number of refreshes by outcome, reuse included. */
function outcomesOf (events: readonly AuthEvent[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const event of events) {
    const name = event.type === 'refresh' ? event.outcome : event.type
    if (event.type === 'refresh' || event.type === 'reuse') counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}
