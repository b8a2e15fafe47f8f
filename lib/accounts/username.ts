/** The longest username, in characters (Unicode code points): as long as the longest e-mail address (RFC 5321). */
export const MAX_USERNAME_LENGTH = 254

// Invisible characters would let two names look the same (impersonation): control and format characters, every separator
// but the space, characters without a glyph (UAX #44, Default_Ignorable_Code_Point), and blank glyphs: the Braille pattern
// without dots, a null notehead, the blanks of Egyptian hieroglyphs, the Khitan filler, the object replacement character.
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800\ufffc\u{1d159}\u{13441}\u{13442}]|\u{16fe4}|(?! )\p{Z}/u

/**
 * Normalises a username as the routes do before they store it or look it up, for a signup or login of your own: to Unicode
 * NFKC, so that the full-width `＠` is an `@` and one name is one account, and without white space around it. Null for an
 * invalid username. Normalising twice gives the same.
 */
export function normaliseUsername (value: unknown): string | null {
  // NFKC takes seconds for a hundred thousand accents on one letter. It makes at most 6 UTF-16 units into one character.
  if (typeof value !== 'string' || value.length > 6 * MAX_USERNAME_LENGTH || !value.isWellFormed()) return null
  const name = value.normalize('NFKC').trim()
  const length = [...name].length
  return length >= 1 && length <= MAX_USERNAME_LENGTH && !INVISIBLE.test(name) ? name : null
}
