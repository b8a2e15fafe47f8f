import { type FastifyInstance } from 'fastify'
import { logWarning } from '../warnings.js'

/** Plugins that work by hooks, which Fastify does not add to the routes of a context that is loaded already. */
const WORK_BY_HOOKS = ['@fastify/cors', '@fastify/swagger']

/** Warns in onReady of plugins that the context did not have when this plugin was registered. */
export function warnOfLatePlugins (fastify: FastifyInstance): void {
  const absent = WORK_BY_HOOKS.filter(plugin => !fastify.hasPlugin(plugin))
  fastify.addHook('onReady', async () => {
    for (const plugin of absent) if (fastify.hasPlugin(plugin)) logWarning(fastify.log, { code: 'FST_AUTH_WARN_PLUGIN_LATE', plugin })
  })
}
