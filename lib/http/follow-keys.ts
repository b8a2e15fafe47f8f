import { type FastifyInstance } from 'fastify'
import { type KeySource } from '../core/key-source.js'
import { type Seconds } from '../core/time.js'

/** Reads the keys again and again, from when the app is ready until it closes. */
export function followKeys (fastify: FastifyInstance, { reload }: KeySource, period: Seconds): void {
  let timer: NodeJS.Timeout | undefined
  fastify.addHook('onReady', async () => {
    // What fails has been told, and is tried again.
    timer = setInterval(() => { reload().catch(() => {}) }, period * 1000).unref()
  })
  fastify.addHook('onClose', async () => clearInterval(timer))
}
