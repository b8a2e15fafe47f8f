import { randomFillSync } from 'node:crypto'

const BYTES = 16

// Filled for 256 ids at once: one call to the system's generator costs as much as signing a token.
const pool = Buffer.alloc(256 * BYTES)
let used = pool.length

/** An unguessable id: 128 bits from the system's generator, 22 characters of base64url. */
export function randomId (): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += BYTES
  return pool.toString('base64url', used - BYTES, used)
}
