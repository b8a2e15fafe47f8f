import Fastify, { type FastifyInstance } from 'fastify'
import refreshCookie from 'fastify-refresh-cookie'
import { openActivityLog } from './activity.js'
import { describeApi } from './api-document.js'
import { ownSecret } from './data-folder.js'
import { openDatabase } from './database.js'
import { type Environment } from './environment.js'
import { health } from './health.js'
import { me } from './me.js'
import { page } from './page.js'
import { openSessionStore } from './session-store.js'
import { openUsers } from './users.js'

/** The app, ready to listen. */
export async function buildApp (environment: Environment): Promise<FastifyInstance> {
  const app = Fastify({ trustProxy: '127.0.0.1', logger: { level: environment.LOG_LEVEL } })
  const database = openDatabase(app, environment)
  const users = await openUsers(database)
  const activity = await openActivityLog(database)

  await describeApi(app)
  await app.register(refreshCookie, {
    secret: environment.AUTH_SECRET ?? ownSecret(environment.DATA_DIR),
    users,
    store: await openSessionStore(app, environment, database),
    trustedOrigins: environment.TRUSTED_ORIGINS,
    accessToken: { expiresIn: environment.ACCESS_TTL, claims: ({ username }) => ({ username }) },
    refreshToken: {
      idle: environment.REFRESH_IDLE,
      absolute: environment.REFRESH_ABSOLUTE,
      grace: environment.GRACE,
      recoverLostReply: environment.GRACE !== '0s' // without a grace period each refresh token works once
    },
    cookie: { secure: environment.COOKIE_SECURE === 'true' },
    revocation: environment.REVOCATION,
    rateLimit: environment.RATE_LIMIT === 'on' ? undefined : false,
    onEvent: activity.add
  })
  await app.register(page)
  await app.register(me, { users, activity, freshFor: environment.ACCESS_TTL })
  await app.register(health, { database })
  return app
}
