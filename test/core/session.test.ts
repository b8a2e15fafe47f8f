import t from 'tap'
import { isLive, isRevoked, type Session } from '../../lib/core/session.js'

const session: Session = {
  id: 'id',
  subject: 'ada',
  generation: 0,
  previous: null,
  rotatedAt: 1000,
  createdAt: 1000,
  expiresAt: 3000,
  idleExpiresAt: 2000,
  authTime: 1000,
  userAgent: null,
  ip: null
}

const LIVES: Array<[when: string, row: Partial<Session>, now: number, live: boolean]> = [
  ['before both ends', {}, 1999, true],
  ['at its idle end', {}, 2000, false],
  ['after its idle end', {}, 2001, false],
  ['before its absolute end, where that comes first', { expiresAt: 1500 }, 1499, true],
  ['at its absolute end', { expiresAt: 1500 }, 1500, false],
  ['after its absolute end', { expiresAt: 1500 }, 1501, false],
  ['revoked', { revokedAt: 1200, reason: 'logout' }, 1300, false],
  ['revoked at the beginning of time', { revokedAt: 0, reason: 'logout' }, 1300, false]
]

t.test('a session is live until it is revoked or one of its ends passes', async t => {
  for (const [when, row, now, live] of LIVES) t.equal(isLive({ ...session, ...row }, now), live, when)
})

t.test('a session is revoked from the moment that says when', async t => {
  t.notOk(isRevoked(session))
  t.notOk(isRevoked({ ...session, revokedAt: null, reason: null }), 'as a database tells it')
  t.ok(isRevoked({ ...session, revokedAt: 0 }))
  t.ok(isRevoked({ ...session, revokedAt: 1200, reason: 'reuse' }))
})
