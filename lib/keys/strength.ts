import { type KeyObject, createHash } from 'node:crypto'

const MIN_SECRET_BYTES = 32
const MIN_DISTINCT_BYTES = 8
/** Fewer bytes do not count: a few characters of any text look like base64 or hexadecimal. */
const MIN_DECODED_BYTES = 16

/** Each digit encodes half a byte. */
const HEXADECIMAL = /^[\da-f]+$/i

/** The placeholders of configuration templates, variables that nobody has set or replaced, and the names of files and commands. */
const PLACEHOLDER = /^\s*<[\w\s-]+>\s*$|^\s*\$\w+\s*$|\$\{\{?[\w\s.:-]{6,}\}|\{\{[\w\s.-]{6,}\}\}|process\.env|\[object |^(?:op|vault|arn):|^\/(?:run|etc|var)\/|openssl rand|(?<![a-z])(change|replace|edit)[\s_-]?(me|this|with)(?![a-z])|(?<![a-z])your[\s_-]([a-z\d]+[\s_-])*(secret|key)(?![a-z])|placeholder/i
const PLACEHOLDER_IN_CAMEL_CASE = /(?:Change|Replace|Edit)(?:Me|This|With)(?![a-z])|Your(?:[A-Z\d][a-z]*)*(?:Secret|Key)(?![a-z])/

/** A text that describes itself: two words that are rare beside each other in random ones, as in `my-super-secret-key`. */
const DESCRIBES_ITSELF = /(?:super|very|our|my|jwt|dev|development|test|demo|example|default|auth|access|refresh|token|session|signing|long|secure|random)[\s_-]?(?:secret|key|password)|(?:secret|password)[\s_-]?(?:key|for|that|with|which|must|should|goes|here|do[\s_-]?not|not)/i

/** Phrases that everybody knows, whatever separates their words. */
const FAMOUS_PHRASE = /correct[^a-z]*horse[^a-z]*battery[^a-z]*staple|quick[^a-z]*brown[^a-z]*fox|lorem[^a-z]*ipsum/i

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
  return PLACEHOLDER.test(text) || FAMOUS_PHRASE.test(text) || PLACEHOLDER_IN_CAMEL_CASE.test(text) || (DESCRIBES_ITSELF.test(text) && isByHand(text)) || isWellKnown(text)
}

/** The bytes that a text encodes in base64 or hexadecimal; the encoding does not make them stronger. */
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

const PREFIX_BYTES = 4

/** Examples of RFC 7515 and RFC 7520, of @fastify/session and @fastify/secure-session, of jwt.io, and of earlier versions of this package; the rows of a keyboard. */
const EXAMPLES: ReadonlySet<string> = new Set([
  'a secret with minimum length of 32 characters',
  'averylogphrasebiggerthanthirtytwochars',
  'a-string-secret-at-least-256-bits-long',
  'a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long',
  'AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow',
  'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg',
  'qwertyuiopasdfghjklzxcvbnm1234567890',
  'only for tests: aGVsbG8gd29ybGQh+yB3ZWxjb21l'
])

/** The SHA-256 of words that people hash by hand, or by a variable that is empty. */
const HASHES = new Set(['', 'password', 'secret', 'test', 'admin', 'changeme', 'key', 'jwt', '123456'].map(word => createHash('sha256').update(word).digest('base64')))

function isHashOfWord (bytes: Buffer): boolean {
  return HASHES.has(bytes.toString('base64'))
}

/**
 * True if a secret is published, in documentation, templates or the lists that attackers try first.
 * One in two million other secrets is a false positive.
 */
function isWellKnown (secret: string): boolean {
  if (EXAMPLES.has(secret.trim())) return true
  const prefix = createHash('sha256').update(secret.trim()).digest().subarray(0, PREFIX_BYTES)
  let at = PREFIXES.indexOf(prefix) // a loop over the entries takes 1 ms at start
  while (at !== -1 && at % PREFIX_BYTES !== 0) at = PREFIXES.indexOf(prefix, at + 1)
  return at !== -1
}

/**
 * The first bytes of the SHA-256 of each entry of at least 32 bytes of a public list of secrets found in the wild
 * (wallarm/jwt-secrets at 99e2360), sorted, in base64: enough to recognise the entries, and not to recover them.
 */
const PREFIXES = Buffer.from(`
  ABQeiwAs2lgAPqjxAEptyABPx3EAfbCEAMiIwADKf0sA4PthAOMsmQEysj0BcH5PAYy8kQG5Pq0BvUKQAchyNQJnXl8CadKdAoYjNAKdqqIDTefP
  A242GgOdsKQD58RGBGvJwQR3nh4E1O57BOAbbATlRrwFO+mUBVuojQVnvzkFkVdvBbYmyAXXx7oGOJ+ZBk9NZQZVauMGcBGRBnDqgwZzj9oGfTEG
  BqNX2gatZIkHIkQqByWfOgeBVPkHlY8TB5u0SAepK90H+mRNB//dUAiuQN0IscZUCMG84AjLrP0I1tLxCPGOIQkrIXsJMnKFCTyXpQl+/34JnaR1
  CbrkYwnKluUJ5c9zCgpu1Qo66vEKYqpVCoJBhgqrNhUKz+EYC0oSYgt2CcALogegC9vTegwwbQAMPcCpDESmxgxo9MoMjqeBDKAEQAzi/O0M/7wv
  DQfcSg0f8aENVbjLDX5Y5A2GJOINnfRpDfpjwg37U1UPT0i2D2jfxg+XBGMPooV+D8cWIQ/H/tEPyV0rEAJ2KhAL6g4QNITBEDgp9RB+uPUQ2nwM
  EN1nPxDiQnQRECDzEXnVuhGVWA4RsEYOEbSToRHREYASCPkWEhmdaxJOoXwSW3ZvEoQoxRKOJiMSlSF6EtELlhLT+6kTRlh+E2qBjBOJaHkTzJYp
  E9MelhPsvHcUB+BjFEaepxRXIdwUtymaFLngnxTZloQU52SmFX7DdRWQOQYVqRz/FbT3+RW8ATAVzZFAFh1kPxY6k1QWdICsFnlfTxZ92asWigZl
  FvwlqRb+DNwXHMG9Fx0x+xcrIzwXSfjIF04cNRfntNsYCmdXGDnPcRhtjEoYh+snGIlHEBiRLh0Yqgx7GSCJXBkxFaUZlnOIGaMiCRm1z58ZxPqg
  GfItxxo98o8agNbyGrozEhrknbcbB74DG2/8IxuVn1gbsCPDG7VKKhu9zkYbz1lUG9iw5RvfbF8b4ybMG+xiNxwWg3UcMAIQHDl/rhxpL68crBHV
  HLfwkhzDiXUdC8TiHRfVRx0rZYwdaiZeHWu5NR1s8dwdcXeIHXspuh3Rwq4eBjoAHh4A8B5Nsn4eXoiDHqYE9h6tGXsetgk3Hr4BtR8B6JwfB8tD
  Hy8KWB+L/dAfpwPuH6kZix+tYasf0VD2H+y/7h/vYmkf/f5yIDl/RCBq5aYgbHvDINH5vyDsbzMhA2GcIRvsRSFlbPghpCclIbEHeSGxMwghugFT
  IhV01CJk4vIih/9OIo+cLiK7mcYizb4zIxM5JCMZMjgjI2QKI2TatiNnfnQjbm6zI3jTFCOHm94jnwdpI6bhvSO9O44j+Z02JE69ZCRyNVQkkiEq
  JJY/gSS1OhEk1DToJRLjzCUkmRYlKhP4JWe2aCXowdcmAs2KJhRS9CYVoFsmHMPjJlOs+yZUwjcme+LfJp8VJya7rrIm5apsJwkTsCdJ/EonbRJn
  J3JwMCeDuD4nxa5gKDIG4igzoQQoYvn9KG4TQSiGSUgoomglKLgdLyjm1KQo89/HKTuTmSk+oqwpX009Ketbsiojqc0qOo0GKm4tGyp+/skqvvRd
  Ksm6XisLcH8rVNhnK5EIHyuThdIrwe8pLEAoKyyPDSwsj87lLM7fkyzwF/stCPjLLUd6li1buq8tc6cbLZE+Fy2lTT8uAO+7Lhc1Vi4f34IuQJC2
  LvYHMi8Ya3Eva+0BL5J9sTAa+3IwlKr9MJYeLTDE1ukw2WLaMTQOdDE1cLYxSWKhMWXthjGdCEMxroHIMh7a4DIsTFoyP446MkQ3IDJmP74ykKqW
  MpOozjLG34wy2mz/MuH2AzLs6+Ey9XlEMvX+TjL4QoIy/RsEMwnUVjM6FOwzSUUUM1TPzzNb2iozbL6UM9REczPZLRoz4mrCM/nKjDRPiQ00Y0mT
  NG314jSvbPk09GAbNTlHdzU5iKA1QfaqNV/1+DVrg8k1bwlkNb8y7TXJeFw159dINgaolTYRYHU2czTVNpKRaDapJ2Q24B8GNwPrADcgWZw3f5es
  N+nUYTf2/BI4QtIvOEr56DhjQzQ4krK5OKxzizi7a8c4wBflONHQijlbPnA5sm54Ob+MyTnDKgE596KEOgGrMzofIi46PfdEOlUktzpf3H86ZGHp
  Om3Xuzp0NwY6elYGOr0L2TrBrN060v0UOutOFzr9CQs7BKs9OwUbzDsMD2M7PFrSO0zi+jtRgTo7jGQbO6P19Duod6s7x8FpPBqS4zwuSd08M6wg
  PKljJjzf/uM84qd2PO6Iwj0BQSk9KQW4PTzf9T1jUyc9gj9WPYqPCD2R1zk9lcenPdsJqz3gUVc+EQgRPmCE+z5zKGk+mAl7PprEUz7RNXI+2wUq
  Puk5Jj7q4To/HTStPx1pGT8n9Fc/bgvzP65tCz/CmDBAOEcyQDh3PEBCIQlAVZydQLpj2EDqnvJA+XubQP1NWEEXFG9BHDZKQR529EElEldBSZ2T
  QXwzOUGKyWBBosPbQe2GskINRMRCDdMUQh130kI8ynJCkhApQtFN4ELXOatDAb11QygImkMquu1DO7bkQz2X2ENI3jhDkxyMQ9cVsEQO49JEUtMe
  RGIE50R/HdFEoW23RLJ37kSz1dpEzLQjRMzAfUTvUC1E9DorRd2YxEXvoVlF/lShRhjENkZY+D5Gbm4oRrKRDkbY8nRHBBPkRyKueUdaFddHeyTN
  R4tcjkeWcINHssZ8R7UuyEfw06RIGSL0SD7YUkhAzQBIQQmxSLclM0jOxXVJHEdkSSS8x0lI6LZJVjhISboQKUoHx7FKCZloShffDkol+W1KQiQ2
  Smgbm0r0KxhLAjkeSxP9d0sVf8BLXo2lS2hx2kuU2KBLmX4aS/EfTEwVe1RMR5tHTICTgkyx+HxM6VmaTWfXRE2luD9Np09dTcI5RE39lv1OC1T4
  TiE6xU8IZkFPVOU8T2JmQU+YuLZPm9FfT67Xf1Ai0/tQMenOUFk4alBp+bpQbtbuUIgiEFCXJelQt8y8UNbUylD/TVlREZgjURgln1G964pRxAFB
  UdtMuFIfxqlSLYdSUjD5k1JxA3ZSe+saUrgITFLRzmZS+tjrUvsMAlMJnIVTMdAAU2FoaFN+M6tTqa9qU6q1JlOvuHdTsLVrU7uDoVPFG/xT/9zS
  VCYjZVRUbmZUYbZvVHnfEFSlyVBUrB3LVMFFTVTo6SZVMk10VUH2CFVGATlVpGtyVbRtIFW09MlVwIleVf38vlYk0YFWJrTgVif8QVY5lklWQRI3
  Vmv5l1ZvtdhWhTvYVoy0PVaTnNBWrUs/VrRodVa0dSRW50qQVw2tQ1c0a3RXQbIiV/JcRFgsx5xYPmm2WGWdBFhwYuZYd01DWHwxR1ip0vpYxaSw
  WQmV8FlLKgZZfjMYWZnO7FnJ3cJZ14oZWhSoOlorTnNaK5kwWnHQ+1qB2j9ahOzpWpRb4VrKhVpa2pHBWxQNfFs/P9ZbXO4VW2httVuEKSxbkGj8
  W7MatVvWPIxb5cxoW/zT/1xTeVNc2FkhXcpwFF3/CupeJSAEXlXz1l66XoteyDWyXuUTm18HygVfEuRqXyrU/18q9slfPQq/X2NB2V95+VdfguZl
  X48SeF/E/edf3ymOYAy6AmBoHFVg95h6YP+yUWEdSelhbfr8YXEoVmGzCn1hvyzPYlVFfWJh9OdieryaYo0gemLmj/RjYp+wY6wEw2PBeYBkAGas
  ZDIoDWRubFhkfZrSZLPuw2TIYD9k0tzlZNfHoGTfskdk9r1DZQXO62Uq0Cxld1EHZZVWaWYHJvJmDM2VZpmGNGbTT7pm33PDZymuhGddFENnkIcE
  Z5afUGe4pnBnuuDDZ93gQWf6ql9oWe4JaGuQc2h/l0NoiPT1aOXUbGkCTyFpCLBCaSGKgmk5U5FpaSOAaY0GZmmWizxp23zmajv8S2pYmatqXz1Y
  aoF6C2qHqj1qk7SYaq7bZ2sDvl5rGrtba2YEFmuKvYZrmoMea6PwyGvBfIpry8iza95PWGviMPxsFeVbbEc89mxMnvVsZ7hFbGsi+WyYv6Jsq8hc
  bLD012y7pvBs8CkhbTt+l21TPCFtmU2dbaM+EG3WrgZt3sGhbnT8km6H9nBui44wbq6E3G7Gp79uzp0Fbv6cX28THnpvGuQFbyuIxG9vPUJvju7j
  b+uHHnA4CSNwPzUQcHFHXXB+N15wihrgcJPfI3CVQppwynnZcNZYt3DrbI9xG82HcTwA8nFHsBpxVN6DcaFc6HGjhIxxrKkBccJ9snHpjoJx6xCX
  chh9FHI/FXxyemgXcp7ffnK0wuxyuRoNct/0K3LgPLpy7NKYcva6ZnM9jXhzayqWc4eIcXQJ4EZ0HrHBdE+EI3SJPMx0m83mdLD4YHS3S4B1MEtk
  dTEH+HU9c3F1bBIndW5pfXV3tpJ1iB8/dYo8lXXF0gZ2EDCsdl5Sb3aDiYx21645duKxLHbvRUB2+swEdyzNyndiiaV3bPcJd4paJ3fXIch4OnxE
  eI8CxXiXZ+148b1reQ1FXXlbklt5javwebncXHniATN565ncejfoD3pp07B6d92Per9dGnrUdxd68ZhBev8pqnsSlkd7FYvYex9Yk3sk85V7Qb28
  e43O0Xuq/uN8KaalfGDBWHxhydR8maFSfK6JJnzoPjx9E8BMfRojPH2hEyl9uFy5fd5G5X3+6mB+PJ4bfnjlBn6RTh5+t9uJfwFgV387zoJ/VHqy
  f3ELjn967wt/xmd7f9PSt4ATAWiAHxb5gEqxkoBMXROAT6AYgFKem4Ctp0KAzQQGgOnusoD1wPSBSFSIgVLp64FkMLWBr2L7gkxo84JkCHGCkxYO
  grDdwILR662C0gHcgtrnXoMQ55KDINyygznQ4oM/fNKDTiJbg1kZbYNcv5uDi3+Eg7PxTYO+y3eDzua0hA8mBYQXSsSEUNFGhFiLj4Rnf12EdGIW
  hIfIDISMze6EqkCOhSBnUoUudjGFQU9ahZHp84XU77qGFEkYhhnqaYY2UQ6GqR84hryXoocGm2WHLD1Xhz+wiYdRNFiHa4wNh4Ym3oeOO5CHwOvK
  h8pIPYfpsamIKW8uiDis6IhKz92IeLnmiId41IiQQeiI4uhWiOSwKojrwxqJKPaziXANUIlzSa+J/lj0ijCT7opbUMGKXY7FinwMgYqA07iKpv+C
  irKxC4q155OKyBwPislzWYryUfmLGlECixsXqYsxeJ+LNyvBi3q/OYuw/tOLuPsfi7qpJIwDDAaMF0zPjLpXYIzDKPKM0ZPxjQgnG40W0sGNIvwL
  jX+ZtI3ZsouN3EYMjeAXyI3+1ryOARbpjjQH8I56GYOOf1XDjpPBho6irA6PBQPhjwa1HI9ouCGPjGC5j669/I+5B+SP56BhkA9dvpAm09GQMtfQ
  kDsm3ZBZ946QnQxikKLgH5C1QSiRDILGkQyvmZE2+oORW4CRkWMXNpFxQwmRkWJSkg/jAJInTj2SprEcktC1j5MGG1eTCLbFkxWejJMapXKTKrI6
  ky/W3ZNuuOiTbzRelCklgpRrYr6UlpCAlJcjRZS84KeU39U7lRW52ZUkd46V1bI8ldt1oZamDKWW7qSLlxzttpeSAgSX0IcBmAYBapgXn+aYR6P3
  mElN5JhKTGCYWUnFmFvxKphcIKmYznRkmO1qo5lbzcOZjrbtmdfj45nb1TeZ3DSnmeP4/5nl8oiaFKl7mli1L5qGU0GamYakmqUAbprcFWma4LBT
  mvJX1Zr3UeqbNDRJm0m2UptOWCmbZB4am8hc6ZvRQ1ucJdm6nC7SbJxQjoKcl7ZcnMfQX5zu76adAs51nU/DL51Vq9edpIufncac053NS4Sd0W0p
  nePdpJ3oYp2eCeWpng97n54TsL+eGfUknk0lgZ5Z1UeeXSCFnnX9Mp6VLBKeoUilnrv0BJ7IBeCe3Un+nvgih58DCvqfClWInxkmwZ9CPL2fsAYF
  n7JzL5/RRV+f0970oBitf6AuXNqgMA8foGS1AqB3OQ+gtSgpoNZUsqExryChMpj6oT5Q+KFRIIGhhmkOoZInGaGjMGqh0ADPodWeqqHzC1Gh+Lrg
  ofvc66IzpKCiQRkJolyIPaJlthCifWa6ooLei6K8JbKjItyQoyXXaKNjZMujj0jIo5pbWKOrY0ejyQyGo+pp3KP2jAKj+TGDo/m4wKQBtsmkJ9Z5
  pEXyBaRhCyWkZ8UxpJcU4aSbuXekoxuCpKn8XaS8W2ekyPjCpMt3sKT0HEylF+/cpWurZKWVCbOllrNJpaKqH6W7OQClwXxYpdzIYKXe55al6md5
  pf81r6YZ46emGkO+piz1taZeKDimX7xDpowsi6aeaHKmrngRpstfjabg32+nGWd1p7BziqfGIiKoDQAvqBAG+Kg8kKioUpO9qIPZmaiERZqoi+/S
  qKzfMKjKyKqpCx4WqSQnkKkqLeqpMGzPqXT3s6oKXQ+qbBxIqqF2xqrj2rCrI3Xzqzj2L6tBQHmr/ggdrAuF96w+J62s/OgQrTeQSa1R2p2td054
  rYUfbK2b9PutqSGirb8Jda3CBf6t2+5ZreLXRq3m2l2t7kPGrfJ9ia4A+VyuVZNErmARjq5jl4Suh8FUrq8oJa8GxJuvQxf2r1RQ169kw5GveXfU
  r55PK6/G6Kuv1TFHr+xXRq/sZxCv8At5sC5frrBGg2uwR94msF6xkrBoaTOwcv1YsLg4trC5PCWwzrvJsQh46bFI0GmxcpPwsZbGwbGXmLixsQkp
  sbEkVrHAGv6yE/XeskO+w7KawLayqBsGsq9qKrKxMj6y28H6svEzFbMQqPizGe8Bs1n0MbNr9Z6zk/z+s6HAjLQ/tiO0URn2tHDbirTbM1a0+OBH
  tSDmd7Uz8jO1NOcptZJRT7WwTWa10S74tdwskLXfvfS2PDaitmDTFralYpi2xrgptvpVHbb7Aky2/JD3tw7J3rc0dwm39519uB4slLgnoJ24P5nF
  uEu+rbiOyU+4qAl3uKu0FbizOuu4zcEduNkgrLjs3zm5NEvtuUkRXrldT/a5XzsdueLCVLoCc2q6IV/muk0gobpZZgu6eL+2uoVx+Lq4T0G61Fmu
  uvYXKbsHrNS7JKoMuyzO4rta6Ry8JnOcvIJCK7z07c68+DJlvTGgw71I0aW9VTN6vV0bi72KQdG9i55evcSGH73MK3G91m9rvdcacL3/rI2+U13O
  vm4Ghr6N6Ne+r8kZvs1ZFb7bfJ+/G3RKv1AsH796fqi/f+XJv65PL7/L+Iu/7TUewAOV08AlkzLASjK9wFgx5sB3mcHAfCD+wLYwS8DCuUfBDS7N
  wYx/L8GhbDDBqBNAwjxoG8JJayXCTpDlwlD498KRSKPDQ9dnw5LMP8OpLBDDzqh3xCfU0sRPvvDEggMxxItwt8S0OVrE1BqCxNm5vMUYKv7FPk1c
  xVHyaMVTIP/Fpb6yxalDN8XYmjvGEwr6xkeJF8ZXPVTGs8Wmx04qh8eYKD7HrDjRx72OJ8fNEH/H6Xd/yBAw6MgeGA7II/bAyDPhl8g69OrISCnG
  yGTjgcilzmTItKeryN6228jiLTTJFs5yyRsvOslBsaTJVTbpyWp+6clsyR7J/0NNyh0lL8of2xrKJmY7ykkrS8pSSz3KXO2QyprLusq8JKvK7Jni
  yyeE3MtNUKfLfKuey5v59MumiKnLsYJuy8IzWsvdlzzMOTVIzFOTCsxjSa3Md+uBzKQuzszTDBfNFvQvzSAtDM1sH33NdypzzbLIRc3kaefN7yGC
  zgZkVM4PJmDOJFI9znMwds6Mhy3OmrJBzrFgds60RILOylMcztxpj88MSYLPE84XzzDzGs9BN0HPRpNqz8aPNM/c1dfQIeNm0DLBR9Bd8VLQgRpB
  0NqXldDgLlPQ5HNO0RMuvNF5Eo3RrQfh0dB6udH7tGvSf0zE0qnDu9MadLzTHmIt0yCJS9M5esXTPjWN01M7KdN2S2XT6m7k1DHuY9Q81SHUhUbj
  1K6EA9S5HgvUvHAO1OWPb9T8puLVCAGI1Sy5FNVBjZ7VRLtG1WVmb9V6Y+rVkCTj1ZCaotWfv6/VqXXf1dldvdY1IQnWWvu41mKwgtaq4PbWsft+
  1rsc+tbqJA7XAXA/1xdtAdcha9rXOo+T10kpGtdO9wXXa34g14G6dNeNBvrXz1Ir197xR9f9oI3YEe7a2CvgJNgr8CbYQRQn2E4EYdhnu3HYdxX4
  2Kmzl9i1wIHYw4SS2NTZ79jd+RnZCnyh2UAaBdlGdP3ZSUeY2bn74Nm85OnZyj9b2f1qJNn/MhXaNHsN2orIVdqMFAHaoUKK2rt43NrarTPa7Jkq
  2wSFLdscBe7bVs2024lrlNuN/Rnb6PFJ2+/cCtwPbeHcJlAS3ELUJ9xyeF/ctPGW3NhYBNzaQnTc5hpP3SICJ90spt3deoKM3Zk/a93GNazdyXVG
  3dZI9N3mTQbeEEx13iJNMd4s/VreOEaV3k8+tN56TDze5kja3uZuLN8RKCDfPeSC30M2QN9cY+jfd1kf34Ozwd+HjOzfn6M/38ZCFd/Pt9HgNdMk
  4HPG6uDHw4fhHpx+4TqHYOF1BfvheMAS4YLWVOGzBevhuFsn4dIbTOIHJ4HiLIuM4jXx0OK3sMLizts54uslA+L6Qvbi/5ir41Kh3+NuwjbjwSyc
  48uUE+Pxn8XkF5bS5Egtd+SY1mHlG1SN5SeOb+UzN2XlVkTL5V6zo+VmJ4Tlf51M5Zg89OWmXtrlxjJq5crxqOX5qVjmBTSY5hzID+Yl9RbmK9u1
  5s3cuebUN2/m1lzi5xt46ecvJHjnMjri53yP8OeJ1drnm80/56ugHufIKNTn1Esp6EXVP+hMhmnoT1JQ6HkcbOikhs3oy0wN6NnyqujfGpfo32GV
  6PUKsOkHOILpR+vJ6U7p+ulcM6bpb+6f6XwMlOmuCyDpuILI6etZdOnt277p+CrN6nD5Y+qNvWDqqeJO62GbseuiqO7rrp7k679/LexVNFDskulG
  7KL/gOzX2u3s3wje7O1h4+0ZJ7btKjHX7Txm5e3ge6ft9A897jkSpe5ppJ/uagON7tPwrO7jGV/vRFEC70c1BO9UxrDvXD7x75eYz++tVCLvy7+b
  7+NiSu/j8OHwEv0G8CG6uvAmvxzwPbLm8E1C0/BcrKbwnByA8M5Sw/DbFPjw4LGp8OVAjfD1NEfxJyUf8S4YgPFAyZzxSzi78dT5K/Hl2pjyFfr5
  8kGBW/JewqLybvh88pqcsfLndgvzBS9l8zSljPOLmezztTg487tG4fPQuG7z4/2N9AcpePQKdgr0GYxs9BwIj/ReQfb0beSf9Hyf9fR+LUv0ogaK
  9OcjhvUk49P1Kf5k9Vi+vfV15V/1k0e09dmwAvXpD+H2DOGP9icFPvZOVr32Y9Ry9sXGi/bb14H2+Ok89xvyS/ckHp33T6Yc93M0rfd5EMr3kGjZ
  96T5yvevV0n3wNiy992Hy/fxGhn3+Jxp9/t6nff9san3/pr2+ALfEfgEzNT4EPT7+Fwe1fiWkOT4xwgk+NfXOfjg1on5Bfiz+QrVyfkoMLn5WxO4
  +W+ntflzwDL5gPm1+a0PJvocVy76zF/w+vSt9vsNBH37DeSi+0HCbvtGsln7SGO/+05VO/tem877agU3+3a/rvuBvHn71C99+/ZpPfv5Z1T8H9vj
  /Eiqxvz67tb9DBlk/U3sdf2t4ij+BWWV/hi9QP5HQBj+YKHi/nCho/6Wb7j+qS+K/sgXZf7KlpP/HQhq/0GVQP9lYRb/Ze2G/2gFaf97zf3/gboX
  /+BU/v/2elo
`, 'base64')
