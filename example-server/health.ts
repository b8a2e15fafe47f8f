import { type FastifyInstance } from 'fastify'
import { type Database } from './database.js'

const status = { type: 'object', properties: { status: { type: 'string' } }, required: ['status'] }

const schema = {
  operationId: 'health',
  summary: 'Whether the server, its database and its session store answer',
  tags: ['app'],
  security: [],
  response: { 200: status, 503: { description: 'A part does not answer; the log says which.', ...status } }
}

/** For load balancers. */
export async function health (app: FastifyInstance, { database }: { database: Database }): Promise<void> {
  app.get('/health', { schema, logLevel: 'warn' }, async (request, reply) => {
    reply.header('cache-control', 'no-store')
    const auth = await app.authHealth()
    const users = await database.query('SELECT 1').then(() => true, () => false)
    if (auth.ok && users) return { status: 'ok' }
    request.log.error({ auth, users }, 'not ready')
    return await reply.code(503).send({ status: 'unavailable' })
  })
}
