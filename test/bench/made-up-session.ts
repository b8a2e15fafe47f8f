import { randomBytes } from 'node:crypto'
import { type Session } from 'fastify-refresh-cookie'

/** A live session of a subject, for which no token exists. */
export function madeUpSession (subject: string): Session {
  const now = Math.floor(Date.now() / 1000)
  return {
    id: randomBytes(16).toString('base64url'),
    subject,
    generation: 0,
    previous: null,
    rotatedAt: now,
    createdAt: now,
    expiresAt: now + 2_592_000,
    idleExpiresAt: now + 604_800,
    authTime: now,
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
    ip: '192.0.2.1'
  }
}
