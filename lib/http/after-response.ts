import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'

/**
 * Runs a task when the reply to a request has been handed over, and not at all where the client left before. `failure` is
 * the sentence for the log where it fails.
 */
export type AfterReply = (request: FastifyRequest, reply: FastifyReply, task: () => Promise<void>, failure: string) => void

/** Builds what runs tasks after replies. Nobody waits for them but `app.close()`; one that fails is logged. */
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
