import Fastify, { type FastifyInstance } from 'fastify'
import refreshCookie from 'fastify-refresh-cookie'
import { type ActivityLog } from './activity.js'
import { describeApi } from './api-document.js'
import { type Database } from './database.js'
import { inWordsOfEnvironment } from './environment-error.js'
import { type Environment } from './environment.js'
import { me } from './me.js'
import { page } from './page.js'
import { type OpenSessionStore } from './session-store.js'
import { type UserTable } from './users.js'

/** What the app is made of. */
export interface Parts {
  readonly environment: Environment
  readonly secret: string
  readonly database: Database
  readonly sessions: OpenSessionStore
  readonly users: UserTable
  readonly activity: ActivityLog
}

/** The app, ready to listen once the database is open. An EnvironmentError says which variables do not go together. */
export async function buildApp ({ environment, secret, database, sessions, users, activity }: Parts): Promise<FastifyInstance> {
  const { logLevel, accessTtl, refreshIdle, refreshAbsolute, grace, recoverLostReply, trustedOrigins, cookieSecure, revocation, rateLimit } = environment
  const app = Fastify({ trustProxy: '127.0.0.1', logger: { level: logLevel } })
  app.addHook('onClose', async () => {
    await sessions.close()
    await database.close()
  })

  await describeApi(app)
  try {
    await app.register(refreshCookie, {
      secret,
      users,
      store: sessions.store,
      trustedOrigins,
      accessToken: { expiresIn: accessTtl, claims: ({ username }) => ({ username }) },
      refreshToken: { idle: refreshIdle, absolute: refreshAbsolute, grace, recoverLostReply },
      cookie: { secure: cookieSecure },
      revocation,
      rateLimit: rateLimit ? undefined : false,
      onEvent: activity.note
    })
  } catch (error) {
    throw inWordsOfEnvironment(error)
  }
  await app.register(page)
  await app.register(me, { users, activity, freshFor: accessTtl })
  healthRoute(app, database)
  if (sessions.store.purgeExpired !== undefined) purgeNowAndThen(app)
  return app
}

/** For load balancers: whether requests can be served. */
function healthRoute (app: FastifyInstance, database: Database): void {
  const answer = { type: 'object', properties: { status: { type: 'string' } }, required: ['status'] }
  const schema = {
    operationId: 'health',
    summary: 'Whether the server and its database answer',
    tags: ['app'],
    security: [],
    response: { 200: answer, 503: { description: 'The database does not answer.', ...answer } }
  }
  app.get('/health', { schema, logLevel: 'warn' }, async (request, reply) => {
    reply.header('cache-control', 'no-store')
    try {
      await database.query('SELECT 1')
      return { status: 'ok' }
    } catch (error) {
      request.log.error(error, 'the database does not answer')
      return await reply.code(503).send({ status: 'unavailable' })
    }
  })
}

/** Rows of sessions that nobody needs any more would otherwise stay for ever. */
function purgeNowAndThen (app: FastifyInstance): void {
  const purge = () => app.sessions.purgeExpired().catch(error => app.log.error(error, 'expired sessions could not be purged'))
  const timer = setInterval(purge, 3_600_000).unref()
  app.addHook('onClose', async () => clearInterval(timer))
}
