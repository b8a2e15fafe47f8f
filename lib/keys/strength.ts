import { type KeyObject } from 'node:crypto'
import { isHashOfWord, isWellKnown } from './well-known-secrets.js'

const MIN_SECRET_BYTES = 32
const MIN_DISTINCT_BYTES = 8
/** A text that is no spelling of bytes may begin with a few characters that look like one. */
const MIN_DECODED_BYTES = 16

/** A character of it stands for half a byte. */
const HEXADECIMAL = /^[\da-f]+$/i

/** The placeholders of configuration templates, variables that nobody has set or replaced, and the names of files and commands. */
const PLACEHOLDER = /^\s*<[\w\s-]+>\s*$|^\s*\$\w+\s*$|\$\{\{?[\w\s.:-]{6,}\}|\{\{[\w\s.-]{6,}\}\}|process\.env|\[object |^(?:op|vault|arn):|^\/(?:run|etc|var)\/|openssl rand|(?<![a-z])(change|replace|edit)[\s_-]?(me|this|with)(?![a-z])|(?<![a-z])your[\s_-]([a-z\d]+[\s_-])*(secret|key)(?![a-z])|placeholder/i
const PLACEHOLDER_IN_CAMEL_CASE = /(?:Change|Replace|Edit)(?:Me|This|With)(?![a-z])|Your(?:[A-Z\d][a-z]*)*(?:Secret|Key)(?![a-z])/

/** A text that describes itself: two words that are rare beside each other in random ones, as in `my-super-secret-key`. */
const DESCRIBES_ITSELF = /(?:super|very|our|my|jwt|dev|development|test|demo|example|default|auth|access|refresh|token|session|signing|long|secure|random)[\s_-]?(?:secret|key|password)|(?:secret|password)[\s_-]?(?:key|for|that|with|which|must|should|goes|here|do[\s_-]?not|not)/i

const PRINTABLE = /^[ -~]+$/

/** The average length of the words of a text that people write by hand. In a random one the case or the kind of character changes sooner. */
const WORD_LENGTH = 3

/**
 * The weakness of a secret, or null. The sentence never holds the secret.
 * `minBytes`: the length of the hash (RFC 7518 section 3.2).
 */
export function secretWeakness (secret: string | Buffer, minBytes = MIN_SECRET_BYTES): string | null {
  const bytes = Buffer.from(secret)
  if (bytes.length < minBytes) return `has ${bytes.length} bytes and needs at least ${minBytes}`
  const text = bytes.toString()
  const digits = text.replaceAll('-', '') // a UUID has dashes
  if (HEXADECIMAL.test(digits) && digits.length / 2 < minBytes) return `is ${Math.floor(digits.length / 2)} bytes in hexadecimal and needs at least ${minBytes}`
  if (text.includes('-----BEGIN')) return 'is a PEM key, which is no shared secret'
  if (/^\s*[[{][^]*"kty"/.test(text)) return 'is a JSON Web Key as text, which is no shared secret'
  const readings = [bytes, ...decoded(text)]
  const texts = [text, ...readings.map(String).filter(reading => PRINTABLE.test(reading)), ...readings.map(reading => reading.toString('base64url'))]
  if (texts.some(isPublished) || readings.some(isHashOfWord)) return 'is a placeholder or from an example, which everybody knows'
  if (new Set(bytes).size < MIN_DISTINCT_BYTES || readings.some(isRepetition)) return 'repeats the same few characters'
  if (readings.some(isSequence)) return 'is a sequence of characters'
  return null
}

function isPublished (text: string): boolean {
  return PLACEHOLDER.test(text) || PLACEHOLDER_IN_CAMEL_CASE.test(text) || (DESCRIBES_ITSELF.test(text) && isByHand(text)) || isWellKnown(text)
}

/** The bytes of which a text is the base64 or hexadecimal spelling, which makes them no better. */
function decoded (text: string): Buffer[] {
  return [Buffer.from(text, 'base64'), Buffer.from(text, 'hex')].filter(({ length }) => length >= MIN_DECODED_BYTES)
}

/** The share of characters that show a repetition or a sequence: far more than in random texts of any alphabet. */
const MOST = 0.7

/** True for a short part that is repeated, whatever is around it. */
function isRepetition (bytes: Buffer): boolean {
  for (let period = 1; period <= Math.min(bytes.length / 2, MIN_SECRET_BYTES); period++) {
    if (shareOf(bytes, period, 0) >= MOST) return true
  }
  return false
}

/** True for a text such as an alphabet and the digits. */
function isSequence (bytes: Buffer): boolean {
  return shareOf(bytes, 1, 1) >= MOST || shareOf(bytes, 1, -1) >= MOST
}

/** The share of bytes that differ by `step` from the byte that is `distance` before them. */
function shareOf (bytes: Buffer, distance: number, step: number): number {
  const matches = bytes.subarray(distance).reduce((count, byte, index) => count + Number(byte - Number(bytes[index]) === step), 0)
  return matches / (bytes.length - distance)
}

function isByHand (text: string): boolean {
  const words = text.split(/[^a-zA-Z]+|(?<=[a-z])(?=[A-Z])/).filter(word => word !== '')
  return words.join('').length / words.length >= WORD_LENGTH
}

const GENERATOR = 65_537n

/** The moduli of ROCA keys are powers of the generator modulo each of these small primes. */
const PRIMES = [11n, 13n, 17n, 19n, 37n, 53n, 61n, 71n, 73n, 79n, 97n, 103n, 107n, 109n, 127n, 151n, 157n] as const

/**
 * Detects RSA keys that can be factored (ROCA, CVE-2017-15361), by the fingerprint of "The Return of Coppersmith's
 * Attack", Nemec et al. 2017. One in a hundred million other keys has it, too.
 */
export function isRoca (key: KeyObject): boolean {
  const { n = '' } = key.export({ format: 'jwk' })
  const modulus = BigInt(`0x0${Buffer.from(n, 'base64url').toString('hex')}`)
  return PRIMES.every(prime => isPower(modulus % prime, prime))
}

function isPower (residue: bigint, prime: bigint): boolean {
  for (let power = 1n, i = 0n; i < prime; i++, power = power * GENERATOR % prime) {
    if (power === residue) return true
  }
  return false
}
