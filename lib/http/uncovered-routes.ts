import { subscribe } from 'node:diagnostics_channel'
import { type FastifyInstance } from 'fastify'
import { logWarning } from '../warnings.js'

// Global symbols, since one process may load two copies of this package.
/** Marks the hooks that an app imports. */
export const IMPORTED = Symbol.for('fastify-refresh-cookie.imported')
const WATCHED = Symbol.for('fastify-refresh-cookie.watched')

/** The largest number of routes in the warning. */
const MAX_NAMED = 10

/**
 * Warns in onReady of routes with an imported hook that no registration covers: they answer 500. `registered` is the request
 * decorator of a registration. A plugin sees no routes outside its context, so each instance is watched from its creation.
 */
export function warnOfUncoveredRoutes (registered: symbol): void {
  subscribe('fastify.initialization', message => {
    const { fastify } = message as { readonly fastify: FastifyInstance } // Fastify's documentation, Hooks, diagnostics channel
    if (!fastify.hasDecorator(WATCHED)) watch(fastify, registered)
  })
}

function watch (fastify: FastifyInstance, registered: symbol): void {
  const routes: Array<{ readonly context: FastifyInstance, readonly url: string }> = []
  fastify.decorate(WATCHED, true)
  fastify.addHook('onRoute', function ({ url, onRequest, preParsing, preValidation, preHandler }) {
    const hooks = [onRequest, preParsing, preValidation, preHandler].flat()
    if (hooks.some(hook => hook !== undefined && IMPORTED in hook)) routes.push({ context: this, url })
  })
  fastify.addHook('onReady', async () => {
    const uncovered = routes.filter(({ context }) => !context.hasRequestDecorator(registered))
    const urls = [...new Set(uncovered.map(({ url }) => url))]
    if (urls.length > 0) logWarning(fastify.log, { code: 'FST_AUTH_WARN_UNCOVERED_ROUTES', routes: urls.slice(0, MAX_NAMED), more: urls.length > MAX_NAMED })
  })
}
