import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { logWarning, type WarningCode } from '../warnings.js'
import { isOwnOrigin, type OriginPolicy } from './csrf.js'

/** It collects routes by a hook, which Fastify does not call for routes that exist already. */
export const SWAGGER = '@fastify/swagger'

/** Warns in onReady if the context did not have @fastify/swagger when this plugin was registered, and has it now. */
export function warnOfLateSwagger (fastify: FastifyInstance): void {
  if (fastify.hasPlugin(SWAGGER)) return
  fastify.addHook('onReady', async () => {
    if (fastify.hasPlugin(SWAGGER)) logWarning(fastify.log, { code: 'FST_AUTH_WARN_PLUGIN_LATE', plugin: SWAGGER })
  })
}

type Finding = (request: FastifyRequest, reply: FastifyReply, policy: OriginPolicy) => boolean

/** Mistakes that only a request shows. */
const FINDINGS: ReadonlyArray<readonly [code: WarningCode, isFound: Finding]> = [
  ['FST_AUTH_WARN_TRUST_PROXY', ignoresProxy],
  ['FST_AUTH_WARN_CORS', sharesWithStrangers]
]

/** Logs each mistake once, at the first request to one of our routes that shows it. */
export function warnAtRequests (scope: FastifyInstance, policy: OriginPolicy): void {
  const pending = new Map(FINDINGS)
  scope.addHook('onRequest', (request, reply, done) => {
    for (const [code, isFound] of pending) {
      if (!isFound(request, reply, policy)) continue
      pending.delete(code)
      logWarning(request.log, { code })
    }
    done()
  })
}

/** Fastify sets `ips` only where trustProxy is on. */
function ignoresProxy ({ headers, ips }: FastifyRequest): boolean {
  return headers['x-forwarded-for'] !== undefined && ips === undefined
}

/** The app's CORS headers let pages of any origin, or of this untrusted one, use the cookie and read the response. */
function sharesWithStrangers ({ headers: { origin }, host }: FastifyRequest, reply: FastifyReply, { trustedOrigins }: OriginPolicy): boolean {
  if (origin === undefined || String(reply.getHeader('access-control-allow-credentials')) !== 'true') return false
  const allowed = reply.getHeader('access-control-allow-origin')
  return allowed === '*' || (allowed === origin && !trustedOrigins.has(origin) && !isOwnOrigin(origin, host))
}
