/**
 * What the plugin adds to the start of an app, beside the packages that it stands on.
 *
 *     npm run bench:build && node test/bench/dist/start-up.js
 */
import fastifyCookie from '@fastify/cookie'
import fastifyJwt from '@fastify/jwt'
import Fastify from 'fastify'
import refreshCookie from 'fastify-refresh-cookie'
import { median, timed } from './statistics.js'

const ROUNDS = 60
const secret = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'

const ratios: number[] = []
for (let round = 0; round < ROUNDS; round++) {
  const bare = await timed(async () => {
    const app = Fastify()
    app.register(fastifyCookie)
    app.register(fastifyJwt, { secret, namespace: 'access' })
    app.register(fastifyJwt, { secret, namespace: 'refresh' })
    await app.ready()
  })
  const whole = await timed(async () => {
    const app = Fastify()
    app.register(refreshCookie, { secret, users: { findByUsername: () => null } })
    await app.ready()
  })
  if (round >= ROUNDS / 6) ratios.push(whole / bare) // the first rounds warm up
}
console.log(`register and ready, beside @fastify/cookie and @fastify/jwt twice: ${median(ratios).toFixed(2)}, goal at most 1.5`)
