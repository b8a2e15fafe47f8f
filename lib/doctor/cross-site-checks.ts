import { type Reply } from './connection.js'
import { FOREIGN, type Observations } from './observations.js'
import { answerOf, fieldsOf, finding, ok, type Verdict } from './verdict.js'

/** Browsers without Fetch Metadata, and pages over plain http, show their origin by `Origin` alone, which is compared with Host. */
export function checkHost ({ byOrigin, foreignOrigin, target: { page } }: Observations): Verdict {
  if (byOrigin.status === 204) return ok(`a page of ${page} is accepted by its Origin`)
  const host = explainedHost(foreignOrigin)
  const received = host === undefined ? '' : `, and the app received Host: ${host}`
  return finding(`a page of ${page} is refused by its Origin (${answerOf(byOrigin)})${received}`,
    'Forward the Host of the browser (nginx: proxy_set_header Host $http_host; Vite: changeOrigin: false), or set trustProxy where X-Forwarded-Host carries it; add the page to trustedOrigins if it has another host')
}

/** The host that an app outside production names in a refusal. */
export function explainedHost (refusal: Reply): string | undefined {
  return / its Host is (\S+?)\. /.exec(String(fieldsOf(refusal)['message']))?.[1]
}

export function checkOrigin ({ foreignOrigin, nullOrigin }: Observations): Verdict {
  const passed = [foreignOrigin, nullOrigin].find(reply => !isRefused(reply))
  if (passed === undefined) return ok('pages of other sites are refused by their Origin')
  return finding(`a page of another site got ${answerOf(passed)}`, 'Let Origin pass through the proxy unchanged: without it other sites can send requests in the name of a user (CSRF)')
}

export function checkFetchMetadata ({ crossSite }: Observations): Verdict {
  if (isRefused(crossSite)) return ok('pages of other sites are refused by Sec-Fetch-Site')
  return finding(`Sec-Fetch-Site: cross-site got ${answerOf(crossSite)}`, 'Let the Sec-Fetch-* headers pass through the proxy unchanged: they show requests of other sites (CSRF)')
}

function isRefused (reply: Reply): boolean {
  return answerOf(reply) === '403 FST_AUTH_CROSS_SITE'
}

/** Only origins that are named may read replies with credentials (Fetch standard, CORS protocol). */
export function checkCors ({ foreignPreflight, foreignOrigin, preflight, target: { page, isSameOrigin } }: Observations): Verdict {
  const granted = [foreignPreflight, foreignOrigin].map(grantOf).filter(({ credentials }) => credentials).map(({ origin }) => origin)
  if (granted.includes(FOREIGN)) return finding(`any origin may use the cookie (Access-Control-Allow-Origin: ${FOREIGN} with credentials)`, 'List your origins in @fastify/cors or in the proxy, and do not reflect the Origin of the request')
  if (granted.includes('*')) return finding('Access-Control-Allow-Origin: * with credentials, which browsers refuse', 'List your origins in @fastify/cors or in the proxy instead of *')
  if (isSameOrigin) return ok('no other origin may use the cookie')
  const { origin, credentials, headers } = grantOf(preflight)
  if (origin !== page) return finding(`${page} is not allowed (Access-Control-Allow-Origin: ${origin ?? 'nothing'})`, `Register @fastify/cors with origin: ['${page}'] and credentials: true`)
  if (!credentials) return finding(`${page} is allowed without credentials`, 'Add credentials: true to @fastify/cors, or browsers send no cookie')
  if (!/\bcontent-type\b|\*/.test(headers)) return finding(`${page} may not send Content-Type`, 'Allow the header Content-Type, which a login in JSON needs')
  return ok(`${page} alone may use the cookie`)
}

interface Grant {
  readonly origin: string | undefined
  readonly credentials: boolean
  readonly headers: string
}

function grantOf ({ headers }: Reply): Grant {
  return {
    origin: headers['access-control-allow-origin'],
    credentials: headers['access-control-allow-credentials'] === 'true',
    headers: (headers['access-control-allow-headers'] ?? '').toLowerCase()
  }
}
