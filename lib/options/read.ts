import { type User } from '../accounts/user.js'
import { nameCookies } from './cookie-options.js'
import { canList, MAX_PER_USER, optionTable, type RefreshCookieOptions, type Settings } from './schema.js'
import { combinations } from './sentences.js'

/**
 * Validates the options and adds the defaults. An unknown name, a wrong value or a dangerous combination is a TypeError that
 * names the option, the value (never a secret) and the way out.
 */
export function readOptions (options: RefreshCookieOptions, production: boolean): Settings {
  const read = optionTable(options, '')
  const settings: Settings = Object.freeze({
    ...read,
    cookie: nameCookies(read.cookie),
    sessions: Object.freeze({ ...read.sessions, maxPerUser: read.sessions.maxPerUser ?? (canList(read.store) && MAX_PER_USER) })
  })
  for (const [wrong, sentence] of combinations(settings, options.cookie !== undefined, production)) {
    if (wrong) throw new TypeError(sentence)
  }
  return settings
}

/**
 * Returns the options unchanged, typed by the app's own users: the parameter of `accessToken.claims` has the type that
 * `users.findById` returns. For TypeScript: `app.register(refreshCookie, refreshCookieOptions({ … }))`.
 */
export function refreshCookieOptions<U extends User> (options: RefreshCookieOptions<U>): RefreshCookieOptions {
  return options as object // the plugin calls `claims` only with users that `users` returned
}
