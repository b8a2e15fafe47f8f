import { type AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { type Test } from 'tap'
import { network, type Network } from './network.js'

/** Another origin than that of the app: another site, or another app of the same owner. */
export interface OtherSite {
  readonly network: Network
  /** A URL of that origin: its root by default. */
  url (path?: string, host?: string): string
}

/** Pages on this machine until `t` ends: an empty one at /, and the additions of `extend`. */
export async function otherSite (t: Test, extend: (app: FastifyInstance) => void = () => {}): Promise<OtherSite> {
  const between = network()
  const app = Fastify({ serverFactory: between.serverFactory, forceCloseConnections: true })
  app.get('/', async (_request, reply) => await reply.type('text/html').send('<!doctype html><title>Elsewhere</title><link rel="icon" href="data:,">'))
  extend(app)
  t.teardown(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo // it listens on TCP
  return { network: between, url: (path = '/', host = 'localhost') => `http://${host}:${port}${path}` }
}
