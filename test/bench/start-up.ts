import fastifyCookie from '@fastify/cookie'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import refreshCookie from 'fastify-refresh-cookie'
import { timed } from './statistics.js'

const ROUNDS = 300
const COLD = 50
const secret = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'

/** Milliseconds from `Fastify()` until the app is ready: with the packages that the plugin stands on, and with the plugin. */
export async function measureStarts (): Promise<{ readonly bare: readonly number[], readonly ours: readonly number[] }> {
  const [bare, ours]: [number[], number[]] = [[], []]
  for (let round = 0; round < ROUNDS; round++) {
    bare.push(await timed(startBare))
    ours.push(await timed(startOurs))
  }
  return { bare: bare.slice(COLD), ours: ours.slice(COLD) }
}

async function startBare (): Promise<void> {
  const app = Fastify()
  app.register(fastifyCookie)
  app.register(fastifyJwt, { secret, namespace: 'access' })
  app.register(fastifyJwt, { secret, namespace: 'refresh' })
  await app.ready()
}

async function startOurs (): Promise<void> {
  const app = Fastify()
  app.register(refreshCookie, { secret, users: { findByUsername: () => null } })
  await app.ready()
}
