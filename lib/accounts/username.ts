/** The longest username, in characters (Unicode code points): RFC 5321's longest e-mail address. */
export const MAX_USERNAME_LENGTH = 254

// Nobody sees them, so two names could look the same: control and format characters, every separator but the space, what
// programs draw as nothing (UAX #44, Default_Ignorable_Code_Point), and signs whose picture is blank: the Braille pattern
// without dots, a null notehead, the blanks of Egyptian hieroglyphs, the Khitan filler, the place of an object.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{1d159}\u{13441}\u{13442}]|\u{16fe4}|(?! )\p{Z}/u

/**
 * A username as the routes store it and look it up, for a signup or login of your own: in Unicode NFKC, so that the
 * full-width `＠` is an `@` and one name is one account, without white space around it. Null for everything that cannot be one; what it gives, it gives again.
 */
export function normaliseUsername (value: unknown): string | null {
  // Normalising a hundred thousand accents on one letter takes seconds; NFKC makes at most 6 UTF-16 units into one character.
  if (typeof value !== 'string' || value.length > 6 * MAX_USERNAME_LENGTH || !value.isWellFormed()) return null
  const name = value.normalize('NFKC').trim()
  const length = [...name].length
  return length >= 1 && length <= MAX_USERNAME_LENGTH && !INVISIBLE.test(name) ? name : null
}
