import { type FastifyInstance } from 'fastify'
import { type Duration } from 'fastify-refresh-cookie'
import type { ActivityLog } from './activity.js'
import type { UserTable } from './users.js'

/** What the routes of a signed-in person need. */
export interface MeOptions {
  readonly users: UserTable
  readonly activity: ActivityLog
  /** How long after the password was given the account's data may be read. */
  readonly freshFor: Duration
}

const text = { type: 'string' }
const textOrNull = { type: ['string', 'null'] }
const moment = { type: 'string', format: 'date-time' }
const person = { id: text, username: text }

const activityList = {
  type: 'array',
  items: {
    type: 'object',
    properties: { type: text, reason: textOrNull, at: moment, userAgent: textOrNull, ip: textOrNull },
    required: ['type', 'reason', 'at', 'userAgent', 'ip']
  }
}

const deviceList = { type: 'array', items: { type: 'object', additionalProperties: true } } // as GET /auth/sessions says

/** The body of an error, as Fastify writes it. */
const refusal = (description: string) => ({
  description,
  type: 'object',
  properties: { statusCode: { type: 'integer' }, code: text, error: text, message: text }
})

const refusedToken = refusal('There is no valid access token: refresh it and repeat.')

/**
 * Routes that need a login. The plugin marks them so in the API's document. Hooks are in brackets, since Fastify ignores an
 * undefined hook that stands alone: if the plugin is not loaded yet, [undefined] stops the start and the route is never open.
 */
export async function me (app: FastifyInstance, { users, activity, freshFor }: MeOptions): Promise<void> {
  const schemaOf = (operationId: string, summary: string, answer: object, more: object = {}) =>
    ({ operationId, summary, tags: ['app'], response: { 200: answer, 401: refusedToken, ...more } })

  app.get('/me', {
    schema: schemaOf('me', 'Who am I?', { type: 'object', properties: person, required: ['id', 'username'] }),
    onRequest: [app.authenticate]
  }, async ({ auth: { claims } }) => ({ id: claims.sub, username: claims['username'] }))

  app.get('/me/activity', {
    schema: schemaOf('activity', 'What happened to my account, newest first', activityList),
    onRequest: [app.authenticate]
  }, async ({ auth: { claims } }) => await activity.of(claims.sub))

  app.get('/me/data', {
    schema: schemaOf('data', 'Everything that is kept about me',
      { type: 'object', properties: { ...person, createdAt: moment, devices: deviceList, activity: activityList }, required: ['id', 'username', 'createdAt', 'devices', 'activity'] },
      { 403: refusal('The password was given too long ago: ask for it, send it to /auth/reauthenticate and repeat.') }),
    onRequest: [app.requireFreshLogin(freshFor)]
  }, async ({ auth }) => ({
    ...await users.dataOf(auth.claims.sub),
    devices: await auth.sessions(),
    activity: await activity.of(auth.claims.sub)
  }))
}
