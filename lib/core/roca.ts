import { type KeyObject } from 'node:crypto'

const GENERATOR = 65_537n

/** Small primes; the moduli of those keys are powers of the generator modulo each of them. */
const PRIMES = [11n, 13n, 17n, 19n, 37n, 53n, 61n, 71n, 73n, 79n, 97n, 103n, 107n, 109n, 127n, 151n, 157n] as const

/**
 * Whether an RSA key was made by a generator whose keys can be factored (CVE-2017-15361): the fingerprint of "The Return
 * of Coppersmith's Attack", Nemec et al. 2017. Another key has it once in a hundred million times.
 */
export function isRoca (key: KeyObject): boolean {
  const { n = '' } = key.export({ format: 'jwk' })
  const modulus = BigInt(`0x0${Buffer.from(n, 'base64url').toString('hex')}`)
  return PRIMES.every(prime => isPower(modulus % prime, prime))
}

/** Whether a number is a power of the generator modulo a prime. */
function isPower (residue: bigint, prime: bigint): boolean {
  for (let power = 1n, i = 0n; i < prime; i++, power = power * GENERATOR % prime) {
    if (power === residue) return true
  }
  return false
}
