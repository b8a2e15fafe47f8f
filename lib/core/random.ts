import { randomBytes } from 'node:crypto'

/** An identifier nobody can guess: 128 bits from the system's generator, 22 characters of base64url. */
export function randomId (): string {
  return randomBytes(16).toString('base64url')
}
