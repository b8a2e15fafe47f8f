import { type FastifyInstance } from 'fastify'
import { type Database } from './database.js'

const status = { type: 'object', properties: { status: { type: 'string' } }, required: ['status'] }

const schema = {
  operationId: 'health',
  summary: 'Whether the server and its database answer',
  tags: ['app'],
  security: [],
  response: { 200: status, 503: { description: 'The database does not answer.', ...status } }
}

/** For load balancers. */
export async function health (app: FastifyInstance, { database }: { database: Database }): Promise<void> {
  app.get('/health', { schema, logLevel: 'warn' }, async (request, reply) => {
    reply.header('cache-control', 'no-store')
    try {
      await database.query('SELECT 1')
      return { status: 'ok' }
    } catch (error) {
      request.log.error(error)
      return await reply.code(503).send({ status: 'unavailable' })
    }
  })
}
