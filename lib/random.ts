import { randomFillSync } from 'node:crypto'

const BYTES = 16

// Drawn for 256 at once, since asking the system costs as much as signing a token.
const pool = Buffer.alloc(256 * BYTES)
let used = pool.length

/** An identifier nobody can guess: 128 bits from the system's generator, 22 characters of base64url. */
export function randomId (): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += BYTES
  return pool.toString('base64url', used - BYTES, used)
}
