/** The longest username, in characters (Unicode code points): RFC 5321's longest e-mail address. */
export const MAX_USERNAME_LENGTH = 254

// Nobody sees them, so two names could look the same: control and format characters, line and paragraph separators.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

/**
 * A username as it is stored and looked up: in Unicode NFKC, so that the full-width `＠` is an `@` and one name
 * is one account, without white space around it. Null for everything that cannot be one; what it gives, it gives again.
 */
export function normaliseUsername (value: unknown): string | null {
  // Normalising a hundred thousand accents on one letter takes seconds; NFKC makes at most 6 UTF-16 units into one character.
  if (typeof value !== 'string' || value.length > 6 * MAX_USERNAME_LENGTH || !value.isWellFormed()) return null
  const name = value.normalize('NFKC').trim()
  const length = [...name].length
  return length >= 1 && length <= MAX_USERNAME_LENGTH && !INVISIBLE.test(name) ? name : null
}
