import { coversHost, matchesPath } from '../browser-rules.js'
import { FOREIGN, type Observations, type Target, clearedCookie, describeCookie, type ReceivedCookie } from './observations.js'
import { answerOf, fieldsOf, type Reply } from './connection.js'
import { finding, ok, type Row, skipped, type Verdict } from './report.js'

export type Check = (seen: Observations) => Verdict

const CHECKS: Readonly<Record<string, Check>> = {
  tls: checkTls,
  clock: checkClock,
  route: checkRoute
}

/** These need the plugin's routes. */
const ROUTE_CHECKS: Readonly<Record<string, Check>> = {
  protocol: checkProtocol,
  host: checkHost,
  origin: checkOrigin,
  'fetch metadata': checkFetchMetadata,
  cors: checkCors,
  cookie: checkCookie,
  caching: checkCaching,
  jwks: checkJwks
}

/** The rows of all checks that need no account. */
export function runChecks (seen: Observations): Row[] {
  const rows = rowsOf(CHECKS, seen)
  const isReached = rows.every(({ check, result }) => check !== 'route' || result === 'ok')
  return [...rows, ...(isReached ? rowsOf(ROUTE_CHECKS, seen) : [{ check: 'others', ...skipped('the routes were not reached') }])]
}

function rowsOf (checks: Readonly<Record<string, Check>>, seen: Observations): Row[] {
  return Object.entries(checks).map(([check, verdictOf]) => ({ check, ...verdictOf(seen) }))
}

const DAY_MS = 86_400_000
const RENEW_WITHIN_DAYS = 14

function checkTls ({ visit: { certificateEnds, isLoopback, endedAt } }: Observations): Verdict {
  if (certificateEnds === null) {
    return isLoopback
      ? skipped('plain http to this machine')
      : finding('plain http', 'Serve it over https only: on the way anybody reads and changes passwords and tokens')
  }
  const days = Math.floor((certificateEnds - endedAt) / DAY_MS)
  const seen = `https, the certificate ends in ${days} days`
  return days < RENEW_WITHIN_DAYS ? finding(seen, 'Renew the certificate, and check its automatic renewal') : ok(seen)
}

/** `Date` has whole seconds, and is written at any moment between request and reply. */
const MAX_CLOCK_DIFFERENCE_MS = 2000

function checkClock ({ visit: { headers: { date }, sentAt, endedAt } }: Observations): Verdict {
  const there = Date.parse(String(date))
  if (Number.isNaN(there)) return skipped('the reply has no Date')
  const ahead = there > endedAt ? there - endedAt : Math.min(0, there + 999 - sentAt)
  const seconds = Math.round(Math.abs(ahead) / 1000)
  if (Math.abs(ahead) <= MAX_CLOCK_DIFFERENCE_MS) return ok('Date agrees with the clock of this machine')
  return finding(`the server is ${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} this machine`, 'Synchronise both with NTP: services that verify tokens with another clock refuse them, or accept expired ones')
}

function checkRoute ({ visit, target: { page, path } }: Observations): Verdict {
  const { status, headers } = visit
  const answer = answerOf(visit)
  const seen = `POST ${path}/refresh answered ${answer}`
  if (status === 204) return ok(seen)
  if (status === 404) return checkPrefix(visit, path)
  if (status >= 300 && status < 400) return finding(`${seen} to ${headers.location}`, 'Give the URL that it redirects to, and use it in the page: browsers repeat a POST that was redirected by 301 to 303 as GET')
  if (answer === '403 FST_AUTH_CROSS_SITE') return finding(seen, `Add ${page} to trustedOrigins, and forward Host and Origin`)
  if (answer.startsWith('401 FST_AUTH_')) return finding(seen, 'The app has no such route: the proxy removes or adds a part of the path. Compare the prefix of the plugin with the path that arrives (nginx: proxy_pass without a path after the port)')
  if (status >= 500) return finding(seen, 'Check that the app runs and that the proxy reaches it; its log has the cause')
  return finding(`${seen}, ${headers['content-type'] ?? 'no content'}`, 'Something before the app answers (a page, a firewall, another route): lead this path to the app')
}

/** Fastify names the path of an unknown route in its reply. */
function checkPrefix (reply: Reply, path: string): Verdict {
  const sent = `${path}/refresh`
  const [, there] = /^Route POST:([^?\s]+)(?:\?\S*)? not found$/.exec(String(fieldsOf(reply)['message'])) ?? []
  if (there === undefined) return finding(`POST ${sent} answered 404`, 'Give the URL of the routes, with the prefix under which the plugin is registered')
  if (there === sent) return finding(`the app has no route POST ${there}`, 'Give the URL of the routes, with the prefix under which the plugin is registered')
  if (there === '/refresh' && !path.endsWith('/auth')) return finding(`the app received ${there} instead of ${sent}`, `Give the URL of the routes: ${path}/auth, if the proxy removes ${path} and the plugin has its default prefix`)
  return finding(`the app received ${there} instead of ${sent}`, `Keep the path in the proxy (nginx: proxy_pass without a path after the port), or register the plugin with the prefix that arrives and give cookie.path '${path}'`)
}

/** Only an app outside production explains its refusals. It explains this one if the cookie is Secure and the protocol http. */
function checkProtocol ({ missing, foreignOrigin, target: { base } }: Observations): Verdict {
  if (!base.startsWith('https:')) return skipped('only https is judged')
  if (String(fieldsOf(missing)['message']).includes('plain http')) return finding('the app takes the request for plain http', 'Let the proxy send X-Forwarded-Proto, and set trustProxy to the address of the proxy')
  if (answerOf(missing) !== '401 FST_AUTH_REFRESH_TOKEN_MISSING') return skipped('the request was refused before its protocol matters: see the other findings')
  return explainedHost(foreignOrigin) === undefined ? skipped('an app in production does not show it') : ok('the app takes the request for https')
}

function checkCaching ({ visit, missing, logout }: Observations): Verdict {
  for (const { headers } of [visit, missing, logout].filter(({ status }) => status !== 404)) {
    const control = headers['cache-control'] ?? 'nothing'
    const isStored = Number(headers.age ?? 0) > 0 || /\bhit\b/i.test(String(headers['x-cache'] ?? headers['cf-cache-status']))
    if (isStored) return finding('a reply came from a cache', 'Exclude the routes from caching: one user receives the token of another')
    if (!/\bno-store\b/.test(control)) return finding(`Cache-Control: ${control}`, 'Leave Cache-Control: no-store of the app as it is: a cache may give the token of one user to another')
  }
  return ok('Cache-Control: no-store')
}

type Fault = readonly [isWrong: boolean, seen: string, advice: string]

const BY_PROXY = 'Let Set-Cookie pass through the proxy unchanged (nginx: no proxy_cookie_flags, proxy_cookie_path or proxy_cookie_domain)'

/** A logout without a cookie clears it, which shows its attributes. */
function checkCookie ({ logout, logoutByBody, target }: Observations): Verdict {
  const cookie = clearedCookie(logout)
  if (cookie !== undefined) return judgeCookie(cookie, target)
  if (logout.status === 404) return skipped('POST /logout is not served')
  if (logoutByBody.status === 204) return skipped('refresh tokens are sent in bodies')
  return finding('a logout sets no cookie', BY_PROXY)
}

function judgeCookie (cookie: ReceivedCookie, target: Target): Verdict {
  const seen = describeCookie(cookie)
  const [fault] = faultsOf(cookie, target).filter(([isWrong]) => isWrong)
  return fault === undefined ? ok(seen) : finding(`${seen}: ${fault[1]}`, fault[2])
}

/** The most serious first. */
function faultsOf ({ name, attributes }: ReceivedCookie, { base, path, page, site }: Target): Fault[] {
  const { hostname } = new URL(base)
  const hasAll = (...names: readonly string[]): boolean => names.every(attribute => attributes.has(attribute))
  return [
    [!hasAll('httponly'), 'scripts can read it', `HttpOnly was removed. ${BY_PROXY}`],
    [!hasAll('secure'), 'it is sent over plain http too', `Set cookie.secure to true. If it is: ${BY_PROXY}`],
    [!hasAll('samesite'), 'it has no SameSite', `SameSite was removed. ${BY_PROXY}`],
    [site === 'cross-site' && attributes.get('samesite')?.toLowerCase() !== 'none', `browsers do not keep it for ${page}, which is of another site`,
      "Serve pages and routes from one site, for example through a proxy, or set cookie: { sameSite: 'none', partitioned: true }"],
    [name.startsWith('__Host-') && (hasAll('domain') || attributes.get('path') !== '/'), 'browsers reject this name with a Domain or a Path', BY_PROXY],
    [!coversHost(attributes.get('domain'), hostname), `browsers reject this Domain from ${hostname}`, `Leave cookie.domain out, or set it to ${hostname} or a parent of it. If it is right: ${BY_PROXY}`],
    [!matchesPath(`${path}/`, attributes.get('path') ?? path), `browsers do not send it to ${path}/refresh`, `Set cookie.path to '${path}', the path that the browser sees, or leave it out`] // by default it is the folder of the request
  ]
}

/** The private members of a JSON Web Key (RFC 7518 section 6). */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

function checkJwks ({ jwks }: Observations): Verdict {
  if (jwks.status === 401 || jwks.status === 404) return skipped('GET /jwks is not served') // an app may answer 401 to each unknown path
  if (/\bhtml\b/.test(String(jwks.headers['content-type']))) return skipped('GET /jwks answers with a page, as an app may to each unknown path')
  const { keys } = fieldsOf(jwks)
  if (!Array.isArray(keys)) return finding(`GET /jwks answered ${answerOf(jwks)} without keys`, 'Lead this path to the app: services that verify tokens read their keys there')
  const published = keys.map(key => Object.keys(Object(key)))
  if (published.some(members => members.some(member => PRIVATE.includes(member)))) {
    return finding('GET /jwks publishes a private key', 'Take it offline now, and replace this key: anybody can sign tokens')
  }
  const complete = published.filter(members => ['kid', 'alg'].every(member => members.includes(member)))
  if (complete.length === 0) return finding('GET /jwks has no key with kid and alg', 'Lead this path to the app: services that verify tokens read their keys there')
  return ok(`${complete.length} public ${complete.length === 1 ? 'key' : 'keys'}`)
}

/** Browsers without Fetch Metadata, and pages over plain http, show their origin by `Origin` alone, which is compared with Host. */
function checkHost ({ byOrigin, foreignOrigin, target: { page } }: Observations): Verdict {
  if (byOrigin.status === 204) return ok(`a page of ${page} is accepted by its Origin`)
  const host = explainedHost(foreignOrigin)
  const received = host === undefined ? '' : `, and the app received Host: ${host}`
  return finding(`a page of ${page} is refused by its Origin (${answerOf(byOrigin)})${received}`,
    'Forward the Host of the browser (nginx: proxy_set_header Host $http_host; Vite: changeOrigin: false), or set trustProxy where X-Forwarded-Host carries it; add the page to trustedOrigins if it has another host')
}

/** The host that an app outside production names in a refusal. */
function explainedHost (refusal: Reply): string | undefined {
  return / its Host is (\S+?)\. /.exec(String(fieldsOf(refusal)['message']))?.[1]
}

function checkOrigin ({ foreignOrigin, nullOrigin }: Observations): Verdict {
  const passed = [foreignOrigin, nullOrigin].find(reply => !isRefused(reply))
  if (passed === undefined) return ok('pages of other sites are refused by their Origin')
  return finding(`a page of another site got ${answerOf(passed)}`, 'Let Origin pass through the proxy unchanged: without it other sites can send requests in the name of a user (CSRF)')
}

function checkFetchMetadata ({ crossSite }: Observations): Verdict {
  if (isRefused(crossSite)) return ok('pages of other sites are refused by Sec-Fetch-Site')
  return finding(`Sec-Fetch-Site: cross-site got ${answerOf(crossSite)}`, 'Let the Sec-Fetch-* headers pass through the proxy unchanged: they show requests of other sites (CSRF)')
}

function isRefused (reply: Reply): boolean {
  return answerOf(reply) === '403 FST_AUTH_CROSS_SITE'
}

/** Only origins that are named may read replies with credentials (Fetch standard, CORS protocol). */
function checkCors ({ foreignPreflight, foreignOrigin, nullOrigin, preflight, target: { page, site } }: Observations): Verdict {
  const granted = [foreignPreflight, foreignOrigin].map(grantOf).filter(({ credentials }) => credentials).map(({ origin }) => origin)
  if (granted.includes(FOREIGN)) return finding(`any origin may use the cookie (Access-Control-Allow-Origin: ${FOREIGN} with credentials)`, 'List your origins in @fastify/cors or in the proxy, and do not reflect the Origin of the request')
  if (grantOf(nullOrigin).origin === 'null' && grantOf(nullOrigin).credentials) return finding('pages without an origin may use the cookie (Access-Control-Allow-Origin: null with credentials)', 'List your origins in @fastify/cors or in the proxy: each sandboxed frame has the origin null')
  if (granted.includes('*')) return finding('Access-Control-Allow-Origin: * with credentials, which browsers refuse', 'List your origins in @fastify/cors or in the proxy instead of *')
  if (site === 'same-origin') return ok('no other origin may use the cookie')
  const { origin, credentials, headers } = grantOf(preflight)
  if (origin !== page) return finding(`${page} is not allowed (Access-Control-Allow-Origin: ${origin ?? 'nothing'})`, `Register @fastify/cors with origin: ['${page}'] and credentials: true`)
  if (!credentials) return finding(`${page} is allowed without credentials`, 'Add credentials: true to @fastify/cors, or browsers send no cookie')
  if (!/\bcontent-type\b/.test(headers)) return finding(`${page} may not send Content-Type`, 'Allow the header Content-Type, which a login in JSON needs')
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
