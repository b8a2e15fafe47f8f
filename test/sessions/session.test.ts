import t from 'tap'
import { isLive, isRevoked, isSessionId, newSession, type Session } from '../../lib/sessions/session.js'
import { assertKept } from '../../lib/sessions/store.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { statelessStore } from '../../lib/stores/stateless.js'

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
  ['before both expiries', {}, 1999, true],
  ['at its idle expiry', {}, 2000, false],
  ['after its idle expiry', {}, 2001, false],
  ['before its absolute expiry, if that is earlier', { expiresAt: 1500 }, 1499, true],
  ['at its absolute expiry', { expiresAt: 1500 }, 1500, false],
  ['after its absolute expiry', { expiresAt: 1500 }, 1501, false],
  ['revoked', { revokedAt: 1200, reason: 'logout' }, 1300, false],
  ['revoked at the beginning of time', { revokedAt: 0, reason: 'logout' }, 1300, false]
]

t.test('a session is live until it is revoked or expires', async t => {
  for (const [when, row, now, live] of LIVES) t.equal(isLive({ ...session, ...row }, now), live, when)
})

t.test('a session is revoked from the moment of revokedAt', async t => {
  t.notOk(isRevoked(session))
  t.notOk(isRevoked({ ...session, revokedAt: null, reason: null }), 'as returned by a database')
  t.ok(isRevoked({ ...session, revokedAt: 0 }))
  t.ok(isRevoked({ ...session, revokedAt: 1200, reason: 'reuse' }))
})

t.test('a new session starts at generation 0, with the idle expiry within the absolute one', async t => {
  const from = { userAgent: 'Firefox', ip: '192.0.2.1' }
  t.match(newSession('ada', from, { idle: 50, absolute: 100 }, 1000), {
    id: /^[\w-]{22}$/, subject: 'ada', generation: 0, previous: null, rotatedAt: 1000, createdAt: 1000, expiresAt: 1100, idleExpiresAt: 1050, authTime: 1000, ...from
  })
  t.equal(newSession('ada', from, { idle: 100, absolute: 60 }, 1000).idleExpiresAt, 1060)
  t.not(newSession('ada', from, { idle: 50, absolute: 100 }, 1000).id, newSession('ada', from, { idle: 50, absolute: 100 }, 1000).id)
})

t.test('a store without list is refused by name', async t => {
  t.doesNotThrow(() => assertKept(memoryStore()))
  t.throws(() => assertKept(statelessStore()), { name: 'TypeError', message: /"list"/ })
})

t.test('an impossible session id is not looked up', async t => {
  const { id } = newSession('ada', { userAgent: null, ip: null }, { idle: 50, absolute: 100 }, 1000)
  for (const text of [id, 'a', '-_', 'a'.repeat(64)]) t.ok(isSessionId(text), text)
  for (const value of [undefined, null, 5, ['a'], { toString: () => 'a' }]) t.notOk(isSessionId(value), String(value))
  for (const text of ['', 'a'.repeat(65), 'a b', 'a/b', 'a\0', 'é', `${id}\n`, '../x']) t.notOk(isSessionId(text), JSON.stringify(text))
})
