import { randomId } from '../random.js'
import { answerOf, fieldsOf, type Reply, type Send } from './connection.js'
import { clearedCookie, describeCookie, isSamePlace, refreshCookie, type ReceivedCookie, browserHeaders, type Account, type Target } from './observations.js'
import { finding, ok, type Row, skipped, type Verdict } from './report.js'

/** An address of documentation (RFC 5737): the app sees it only if it accepts X-Forwarded-For of clients. */
const SPOOFED = '192.0.2.123'

const NOT_LOGGED_IN = ['address', 'refresh', 'grace', 'logout', 'session end']

/** Logs in, refreshes and logs out; `cookieName` is undefined if the app did not show it. The session is ended. The failed logins before it are counted; the login resets that count. */
export async function walk (send: Send, target: Target, account: Account, cookieName: string | undefined): Promise<Row[]> {
  const browser = browserHeaders(target)
  const post = async (path: string, cookie?: ReceivedCookie): Promise<Reply> =>
    await send({ method: 'POST', path, headers: { ...browser, ...(cookie && { cookie: `${cookie.name}=${cookie.value}` }) } })

  const timing = await timeFailedLogins(send, browser, account)
  const login = await send({ method: 'POST', path: '/login', headers: { ...browser, 'x-forwarded-for': SPOOFED }, json: { [account.field]: account.username, password: account.password } })
  const cookie = refreshCookie(login, cookieName)
  const started: Row[] = [{ check: 'timing', ...timing }, { check: 'login', ...judgeLogin(login, cookie) }]
  if (cookie === undefined) return [...started, ...NOT_LOGGED_IN.map(check => ({ check, ...skipped('the login set no cookie') }))]

  const address = await checkAddress(send, login)
  const first = await post('/refresh', cookie)
  const second = await post('/refresh', cookie)
  const last = refreshCookie(second, cookieName) ?? refreshCookie(first, cookieName) ?? cookie
  const logout = await post('/logout', last)
  const after = await post('/refresh', last)
  return [
    ...started,
    { check: 'address', ...address },
    { check: 'refresh', ...judgeRefresh(first) },
    { check: 'grace', ...judgeSecondRefresh(second, refreshCookie(first, cookieName) !== undefined) },
    { check: 'logout', ...judgeLogout(logout, cookie) },
    { check: 'session end', ...(logout.status === 404 ? skipped('no logout') : judgeAfterLogout(after)) }
  ]
}

function judgeLogin (login: Reply, cookie: ReceivedCookie | undefined): Verdict {
  const seen = `POST /login answered ${answerOf(login)}`
  if (login.status === 429) return finding(seen, 'Wait until the rate limit of the account or of this address allows it, and run again')
  if (login.status !== 200) return finding(seen, 'Check DOCTOR_USERNAME and DOCTOR_PASSWORD, and --username-field if the field has another name; an account with a second factor cannot be used')
  if (accessTokenOf(login) === null && (cookie === undefined || 'access_token' in fieldsOf(login))) return finding(`${seen} without a usable access_token`, 'Let the reply pass through the proxy unchanged: no header can carry this token')
  if (cookie !== undefined) return ok(`${seen} with ${describeCookie(cookie)}`)
  if (typeof fieldsOf(login)['refresh_token'] === 'string') return ok(`${seen} with the refresh token in its body`)
  return finding(`${seen} without a refresh cookie`, 'Let Set-Cookie pass through the proxy')
}

/** The access token of a login; null if it has none that the header Authorization can carry (RFC 6750 section 2.1). */
function accessTokenOf (login: Reply): string | null {
  const { access_token: token } = fieldsOf(login)
  return typeof token === 'string' && /^[\w.~+/-]+=*$/.test(token) ? token : null
}

/** Checks the client address that the app sees, by which it counts failed logins. */
async function checkAddress (send: Send, login: Reply): Promise<Verdict> {
  if (login.isLoopback) return skipped('not judged from the machine of the server')
  const token = accessTokenOf(login)
  if (token === null) return skipped('the login gave no usable access_token')
  const listed = await send({ method: 'GET', path: '/sessions', headers: { authorization: `Bearer ${token}` } })
  const { ip } = Object(Object.values(fieldsOf(listed)).find(session => Object(session).current === true))
  if (typeof ip !== 'string') return skipped('GET /sessions does not show it')
  if (ip === SPOOFED) return finding('the app accepts any X-Forwarded-For', 'Set trustProxy to the address of the proxy instead of true: rate limits count by an address that an attacker chooses')
  if (PRIVATE_ADDRESS.test(ip)) return finding(`the app sees the address ${ip}`, 'Set trustProxy to the address of the proxy, and let it send X-Forwarded-For: all users share one rate limit')
  return ok(`the app sees ${ip}`)
}

/** Loopback, RFC 1918, RFC 6598 (shared by carriers and some load balancers) and RFC 4193. */
const PRIVATE_ADDRESS = /^(?:127\.|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|::1$|f[cd])/

function judgeRefresh (reply: Reply): Verdict {
  const seen = `POST /refresh answered ${answerOf(reply)}`
  return reply.status === 200 ? ok(seen) : finding(seen, 'Check that all instances share one store and one secret, and that the proxy forwards Cookie')
}

/** Judges the reply to a second use of one refresh token, as another tab or a retry sends it. */
function judgeSecondRefresh (reply: Reply, isReplaced: boolean): Verdict {
  const seen = `the ${isReplaced ? 'replaced' : 'same'} refresh token again: ${answerOf(reply)}`
  if (reply.status === 200) return ok(seen)
  if (answerOf(reply) === '401 FST_AUTH_REFRESH_TOKEN_REUSED') return finding(seen, 'Set refreshToken.grace to 10s or more, unless each token must work only once: two tabs, or one lost reply, log the user out')
  return finding(seen, 'Check that all instances share one store and one secret')
}

function judgeLogout (reply: Reply, cookie: ReceivedCookie): Verdict {
  const seen = `POST /logout answered ${answerOf(reply)}`
  const cleared = clearedCookie(reply)
  if (reply.status === 404) return skipped('POST /logout is not served: the session of this check lives on until it expires')
  if (reply.status !== 204) return finding(seen, 'Check that the store is reachable; the log of the app has the cause')
  if (cleared === undefined || !isSamePlace(cleared, cookie)) return finding(`${seen}, and browsers keep the cookie`, 'Let Set-Cookie pass through the proxy unchanged: name, Path and Domain must be those of the login')
  return ok(`${seen} and cleared the cookie`)
}

function judgeAfterLogout (reply: Reply): Verdict {
  const seen = `a refresh after the logout answered ${answerOf(reply)}`
  return reply.status === 401 ? ok(seen) : finding(seen, 'Use a store that all instances share: a copied cookie outlives the logout')
}

/** Three of each stay below the limit of failures of an account, 10 in 15 minutes by default. */
const SAMPLES = 3

/** A difference below this is noise of the network. */
const NOISE_MS = 20

/** Compares failed logins of a known and of an unknown name, in turn: neither replies nor times may differ (user enumeration). */
async function timeFailedLogins (send: Send, headers: Readonly<Record<string, string>>, { field, username }: Account): Promise<Verdict> {
  const attempt = async (name: string): Promise<Reply> => await send({ method: 'POST', path: '/login', headers, json: { [field]: name, password: randomId() } })
  const known: Reply[] = []
  const unknown: Reply[] = []
  for (let sample = 0; sample < SAMPLES; sample++) {
    unknown.push(await attempt(`doctor-${randomId()}`))
    known.push(await attempt(username))
  }
  const answers = [known, unknown].map(replies => [...new Set(replies.map(answerOf))].join(', '))
  const [ofKnown, ofUnknown] = answers
  if (answers.some(answer => answer.includes('429'))) return skipped('too many attempts: wait for the rate limit, and run again')
  if (ofKnown !== ofUnknown) return finding(`a failed login answers ${ofKnown} for a known name and ${ofUnknown} for an unknown one`, 'Answer both alike, or anybody can find out who has an account')

  if (known.some(({ status }) => status !== 401)) return skipped(`a failed login answered ${ofKnown}`)

  const times = { known: fastest(known), unknown: fastest(unknown) }
  const seen = `${times.known} ms for a known name, ${times.unknown} ms for an unknown one`
  const [short, long] = [times.known, times.unknown].sort((one, other) => one - other) as [number, number] // two numbers
  if (long <= 2 * short + NOISE_MS) return ok(`no difference beyond noise: a failed login takes ${seen}`)
  return finding(`a failed login takes ${seen}`, 'Let the plugin verify the password, which hashes for unknown names too, and rehash old hashes: the time shows who has an account')
}

/** The fastest of several replies has the least noise. */
function fastest (replies: readonly Reply[]): number {
  return Math.min(...replies.map(({ sentAt, endedAt }) => endedAt - sentAt))
}
