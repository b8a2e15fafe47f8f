import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'

/**
 * Runs a task once the reply is sent, and never if the client has disconnected before. A rejection
 * is logged with the message `failure`.
 */
export type AfterReply = (request: FastifyRequest, reply: FastifyReply, task: () => Promise<void>, failure: string) => void

/** `app.close()` waits for the running tasks. */
export function createAfterReply (fastify: FastifyInstance): AfterReply {
  const running = new Set<Promise<void>>()
  fastify.addHook('onClose', async () => { await Promise.all(running) })

  return ({ log }, reply, task, failure) => {
    reply.raw.once('finish', () => {
      const run = task()
        .catch((err: unknown) => log.warn({ err }, failure))
        .finally(() => running.delete(run))
      running.add(run)
    })
  }
}
