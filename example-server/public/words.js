/** The messages for refusals. */
const REFUSALS = {
  FST_AUTH_CREDENTIALS_INVALID: 'The username or the password is wrong.',
  FST_AUTH_USERNAME_TAKEN: 'This username is taken. Is it you? Then log in.',
  FST_AUTH_SESSION_UNKNOWN: 'That device was signed out already.',
  COOKIE_REFUSED: window.location.protocol === 'https:'
    ? 'Your browser did not keep the cookie, so you would not stay logged in. Allow cookies for this site.'
    : 'Your browser did not keep the cookie, which is for secure connections only (Safari wants https even on this machine). Use https, or another browser, or start the server with COOKIE_SECURE=false.'
}

/** The messages for sessions that ended, except by a logout in this browser. */
const ENDINGS = {
  FST_AUTH_REFRESH_TOKEN_REUSED: 'We signed you out to protect you: an old copy of your sign-in was used, so somebody else may hold one. It is worthless now. Log in again, and change your password unless it was you, for instance with a restored backup.',
  FST_AUTH_REFRESH_TOKEN_EXPIRED: 'You were away for long, so you have been signed out. Please log in again.',
  FST_AUTH_REFRESH_TOKEN_INVALID: 'The server does not know your cookie. Please log in again.',
  FST_AUTH_SESSION_ENDED: 'You were signed out from another of your devices, or your password was changed there.',
  FST_AUTH_USER_REFUSED: 'This account can no longer log in.'
}

/** The message after the end of a session; '' if it needs none. */
export function ending (problem) {
  return ENDINGS[problem?.code] ?? ''
}

/** The message for an error; `advice` follows if the error is temporary. */
export function explain ({ status, code, message, retryAfter }, advice = 'Please try again in a moment.') {
  if (REFUSALS[code]) return REFUSALS[code]
  if (status === undefined) return `The server cannot be reached. ${advice}`
  if (status === 429) return `That was too often. Please wait ${waiting(retryAfter)}.`
  if (status >= 500) return `The server has a problem right now. ${advice}`
  return `${message}.`
}

function waiting (seconds) {
  if (!seconds) return 'a moment'
  return seconds < 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`
}

/** A sentence for each type of event; `place` is the device. */
const HAPPENINGS = {
  signup: () => 'Account created',
  login: place => `Signed in from ${place}`,
  login_failed: place => `Somebody gave a wrong password, from ${place}`,
  logout: place => `Signed out from ${place}`,
  reauthenticated: () => 'Password confirmed',
  password_changed: () => 'Password changed, and every other device signed out',
  reuse: place => `Somebody used an old copy of your sign-in, from ${place}. It was ended`,
  revoked: place => `Another device was signed out, from ${place}`,
  throttled: () => 'Too many wrong passwords: further tries had to wait'
}

/** The types of events that the owner should check. */
const ALARMING = new Set(['reuse', 'login_failed', 'throttled'])

/** A line of the account's activity: its sentence, and true if it is alarming. */
export function happening ({ type, userAgent }) {
  const words = HAPPENINGS[type] ?? (() => type)
  return { sentence: words(deviceName(userAgent)), alarming: ALARMING.has(type) }
}

const BROWSERS = [['Edg/', 'Edge'], ['OPR/', 'Opera'], ['Firefox/', 'Firefox'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari'], ['curl/', 'curl']]
const SYSTEMS = [['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Android', 'Android'], ['Windows', 'Windows'], ['Mac OS', 'Mac'], ['Linux', 'Linux']]

/** The browser and the system that a User-Agent header names. */
export function deviceName (userAgent) {
  const find = names => names.find(([mark]) => userAgent?.includes(mark))?.[1]
  const browser = find(BROWSERS) ?? 'a program'
  const system = find(SYSTEMS)
  return system === undefined ? browser : `${browser} on ${system}`
}

const UNITS = [[86_400, 'day'], [3600, 'hour'], [60, 'minute']]

/** The time since an ISO date, in words. */
export function ago (iso) {
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000)
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? []
  if (unit === undefined) return 'just now'
  return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(-Math.trunc(seconds / size), unit)
}

/** Minutes and seconds. */
export function clock (milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

/** Claims as JSON, with the time of day beside each timestamp. */
export function describe (claims) {
  return JSON.stringify(claims, null, 2)
    .replace(/"(?:iat|exp|auth_time)": (\d+),?/g, (claim, seconds) => `${claim}  // ${new Date(seconds * 1000).toLocaleTimeString()}`)
}
