/**
 * A header's text without the optional whitespace around it: spaces and tabs (RFC 9110 section 5.6.3), nothing else.
 * `trim` also removes U+00A0, which Node makes of the byte 0xA0, so a cookie that begins with it would pass for ours.
 */
export function withoutWhitespace (text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isWhitespace(text[start])) start++
  while (end > start && isWhitespace(text[end - 1])) end--
  return text.slice(start, end)
}

/** A name whose case does not matter, in lower case. `toLowerCase` also makes a "k" of U+212A, the Kelvin sign. */
export function lowerCaseAscii (text: string): string {
  return text.replace(/[A-Z]+/g, letters => letters.toLowerCase())
}

function isWhitespace (character: string | undefined): boolean {
  return character === ' ' || character === '\t'
}
