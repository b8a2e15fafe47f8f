import { type Observations } from './observations.js'
import { clearedCookie, describeCookie, type ReceivedCookie } from './set-cookie.js'
import { finding, ok, skipped, type Verdict } from './verdict.js'

type Fault = readonly [isWrong: boolean, seen: string, advice: string]

const BY_PROXY = 'Let Set-Cookie pass through the proxy unchanged (nginx: no proxy_cookie_flags, proxy_cookie_path or proxy_cookie_domain)'

/** A logout without a cookie clears it, which shows its attributes. */
export function checkCookie ({ logout, logoutByBody, target: { path } }: Observations): Verdict {
  const cookie = clearedCookie(logout)
  if (cookie !== undefined) return judgeCookie(cookie, path)
  if (logoutByBody.status === 204) return skipped('refresh tokens are sent in bodies')
  return finding('a logout sets no cookie', BY_PROXY)
}

function judgeCookie (cookie: ReceivedCookie, path: string): Verdict {
  const seen = describeCookie(cookie)
  const [fault] = faultsOf(cookie, path).filter(([isWrong]) => isWrong)
  return fault === undefined ? ok(seen) : finding(`${seen}: ${fault[1]}`, fault[2])
}

/** The most serious first. */
function faultsOf ({ name, attributes }: ReceivedCookie, path: string): Fault[] {
  const hasAll = (...names: readonly string[]): boolean => names.every(attribute => attributes.has(attribute))
  const sentBelow = (attributes.get('path') ?? path).replace(/\/?$/, '/') // by default the folder of the request
  return [
    [!hasAll('httponly'), 'scripts can read it', `HttpOnly was removed. ${BY_PROXY}`],
    [!hasAll('secure'), 'it is sent over plain http too', `Set cookie.secure to true. If it is: ${BY_PROXY}`],
    [!hasAll('samesite'), 'it has no SameSite', `SameSite was removed. ${BY_PROXY}`],
    [name.startsWith('__Host-') && (hasAll('domain') || attributes.get('path') !== '/'), 'browsers reject this name with a Domain or a Path', BY_PROXY],
    [!`${path}/`.startsWith(sentBelow), `browsers do not send it to ${path}/refresh`, `Set cookie.path to '${path}', the path that the browser sees, or leave it out`]
  ]
}
