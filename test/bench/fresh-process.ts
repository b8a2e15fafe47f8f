/** Starts an app of a name, sends the processor time that it took in microseconds, and ends. Modules are loaded as the app needs them. */
import Fastify, { type FastifyInstance } from 'fastify'

const secret = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'

/** Without logins, sessions of an app's own way to log in; with them, a table of users. */
const STARTS: Readonly<Record<string, (app: FastifyInstance) => Promise<void>>> = {
  async 'start: Fastify alone' () {},

  async 'start: @fastify/cookie, @fastify/jwt twice' (app) {
    const [{ default: fastifyCookie }, { default: fastifyJwt }] = [await import('@fastify/cookie'), await import('@fastify/jwt')]
    app.register(fastifyCookie)
    app.register(fastifyJwt, { secret, namespace: 'access' })
    app.register(fastifyJwt, { secret, namespace: 'refresh' })
  },

  async 'start: ours' (app) {
    const { default: refreshCookie } = await import('fastify-refresh-cookie')
    app.register(refreshCookie, { secret })
  },

  async 'start: ours, login and signup' (app) {
    const { default: refreshCookie } = await import('fastify-refresh-cookie')
    app.register(refreshCookie, { secret, users: { findByUsername: () => null, findById: () => null, create: () => null, updatePasswordHash: () => true } })
  }
}

const app = Fastify()
await STARTS[process.argv[2] ?? '']?.(app)
await app.ready()
const { user, system } = process.cpuUsage()
process.send?.({ cpu: user + system }, () => process.exit())
