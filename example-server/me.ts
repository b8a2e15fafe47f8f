import { type FastifyInstance } from 'fastify'
import { authenticate, requireFreshLogin, type Duration } from 'fastify-refresh-cookie'
import { type ActivityLog } from './activity.js'
import { activityList, error, user, userData } from './me-schemas.js'
import { type UserTable } from './users.js'

export interface MeOptions {
  readonly users: UserTable
  readonly activity: ActivityLog
  /** The time after a login in which the account's data can be read without the password. */
  readonly freshFor: Duration
}

/** Routes that need a login. */
export async function me (app: FastifyInstance, { users, activity, freshFor }: MeOptions): Promise<void> {
  app.get('/me', {
    schema: { operationId: 'me', summary: 'Who am I?', tags: ['app'], response: { 200: user, 401: error } },
    onRequest: authenticate
  }, async ({ auth: { claims } }) => ({ id: claims.sub, username: claims.username }))

  app.get('/me/activity', {
    schema: { operationId: 'activity', summary: 'What happened to my account, newest first', tags: ['app'], response: { 200: activityList, 401: error } },
    onRequest: authenticate
  }, async ({ auth: { claims } }) => await activity.list(claims.sub))

  app.get('/me/data', {
    schema: { operationId: 'data', summary: 'Everything that is kept about me', tags: ['app'], response: { 200: userData, 401: error, 403: error } },
    onRequest: requireFreshLogin(freshFor)
  }, async ({ auth }, reply) => {
    const found = await users.findById(auth.claims.sub)
    if (!found) return reply.callNotFound()
    const { id, username, createdAt } = found
    return { id, username, createdAt, devices: await auth.sessions(), activity: await activity.list(id) }
  })
}
