import { type KeyObject } from 'node:crypto'
import { isWellKnown } from './well-known-secrets.js'

const MIN_SECRET_BYTES = 32
const MIN_DISTINCT_BYTES = 8

/** A character of it stands for half a byte. */
const HEXADECIMAL = /^[\da-f]+$/i

/** The placeholders of configuration templates, and variables that nobody has set or replaced. */
const PLACEHOLDER = /^\s*<.*>\s*$|^\s*\$\{?\w+\}?\s*$|process\.env|(?<![a-z])(change|replace|edit)[\s_-]?(me|this|with)(?![a-z])|(?<![a-z])your[\s_-]([a-z\d]+[\s_-])*(secret|key)(?![a-z])|placeholder/i

/** Words with up to three short numbers, as people write by hand. */
const WORDS = /^[a-z\s_.-]*(?:\d{1,4}[a-z\s_.-]+){0,2}\d{0,4}$/i

/** A text that describes itself. */
const NAMES_ITSELF = /(?=.*(?:secret|key|password))(?=.*(?:super|dev|test|demo|example|default|jwt|long|random|secure|chars|bytes|bits|prod))/i

/**
 * The weakness of a secret, or null. The sentence never holds the secret.
 * `minBytes`: the length of the hash (RFC 7518 section 3.2).
 */
export function secretWeakness (secret: string | Buffer, minBytes = MIN_SECRET_BYTES): string | null {
  const bytes = Buffer.from(secret)
  if (bytes.length < minBytes) return `has ${bytes.length} bytes and needs at least ${minBytes}`
  const text = bytes.toString()
  if (HEXADECIMAL.test(text) && text.length / 2 < minBytes) return `is ${Math.floor(text.length / 2)} bytes in hexadecimal and needs at least ${minBytes}`
  if (text.includes('-----BEGIN')) return 'is a PEM key, which is no shared secret'
  if (/^\s*[[{][^]*"kty"/.test(text)) return 'is a JSON Web Key as text, which is no shared secret'
  if (new Set(bytes).size < MIN_DISTINCT_BYTES || periodOf(bytes) < Math.min(minBytes, bytes.length)) return 'repeats the same few characters'
  if (PLACEHOLDER.test(text) || (WORDS.test(text) && NAMES_ITSELF.test(text)) || isWellKnown(text)) return 'is a placeholder or from an example, which everybody knows'
  return null
}

/** The length of the part that bytes repeat, at least twice; their own length if they repeat nothing. */
function periodOf (bytes: Buffer): number {
  for (let period = 1; period <= bytes.length / 2; period++) {
    if (bytes.subarray(period).equals(bytes.subarray(0, -period))) return period
  }
  return bytes.length
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
