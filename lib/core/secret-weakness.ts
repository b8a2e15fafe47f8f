import { isWellKnown } from './well-known-secrets.js'

const MIN_SECRET_BYTES = 32
const MIN_DISTINCT_BYTES = 8

/** What a file of settings says before somebody has filled it in. */
const PLACEHOLDER = /^\s*<.*>\s*$|(?<![a-z])(change|replace|edit)[\s_-]?(me|this|with)(?![a-z])|(?<![a-z])your[\s_-]([a-z\d]+[\s_-])*(secret|key)(?![a-z])|placeholder/i

/**
 * Why a secret is too weak to sign with, or null when it is not. The sentence never holds the secret.
 * `minBytes`: as many as its hash has (RFC 7518 section 3.2).
 */
export function secretWeakness (secret: string | Buffer, minBytes = MIN_SECRET_BYTES): string | null {
  const bytes = Buffer.from(secret)
  if (bytes.length < minBytes) return `has ${bytes.length} bytes and needs at least ${minBytes}`
  const text = bytes.toString()
  if (text.includes('-----BEGIN')) return 'is a PEM key, which is no shared secret'
  if (/^\s*[[{][^]*"kty"/.test(text)) return 'is a JSON Web Key as text, which is no shared secret'
  if (new Set(bytes).size < MIN_DISTINCT_BYTES) return 'repeats the same few characters'
  if (PLACEHOLDER.test(text) || isWellKnown(text)) return 'is a placeholder or from an example, which everybody knows'
  return null
}
