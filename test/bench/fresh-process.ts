/** Starts the app with a name, sends its processor time in microseconds, and ends. Each app loads only the modules that it needs. */
import Fastify, { type FastifyInstance } from 'fastify'

const secret = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'

/** Without login and signup the app has no table of users. */
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
