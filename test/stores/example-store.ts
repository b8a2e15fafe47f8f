import type { Clock, RevokeReason, Session, SessionStore } from 'fastify-refresh-cookie'

/** A key-value service with conditional writes, as etcd, Consul, DynamoDB and NATS are. */
export interface KeyValueService {
  /** A value and its version, or null if the key does not exist. */
  get (key: string): Promise<{ readonly value: string, readonly version: number } | null>
  /** Compare-and-set: writes if the key still has this version (null: it does not exist). Resolves to false if not. */
  put (key: string, value: string, version: number | null): Promise<boolean>
  keys (prefix: string): Promise<string[]>
}

/** Sessions in a key-value service: one key per session, and an index with one key per user and session. */
export function keyValueStore (service: KeyValueService, clock: Clock = () => Date.now() / 1000): SessionStore {
  return {
    async create (session) {
      // The index first: "log out everywhere" would miss a session that is not in it.
      await service.put(userKey(session.subject) + session.id, '', null)
      if (await service.put(sessionKey(session.id), JSON.stringify(session), null)) return
      throw new Error('a session with this id exists')
    },
    get,
    advance: (id, from, change) => update(id, session => session.generation === from ? { ...session, ...change } : null),
    revoke,
    async revokeAll (subject, reason, exceptId) {
      const ended = await Promise.all((await list(subject)).map(({ id }) => id !== exceptId && revoke(id, reason)))
      return ended.filter(Boolean).length
    },
    list
  }

  async function get (id: string): Promise<Session | null> {
    const found = await service.get(sessionKey(id))
    return found && JSON.parse(found.value)
  }

  async function revoke (id: string, reason: RevokeReason): Promise<boolean> {
    return await update(id, session => ({ ...session, revokedAt: Math.floor(clock()), reason })) !== null
  }

  async function list (subject: string): Promise<Session[]> {
    const keys = await service.keys(userKey(subject))
    const found = await Promise.all(keys.map(key => get(key.slice(userKey(subject).length))))
    return found.filter(session => session !== null).filter(session => session.subject === subject && isOpen(session))
      .sort((one, other) => one.createdAt - other.createdAt)
  }

  /** Reads, applies `step` and writes, again if another process wrote meanwhile. A revoked session never changes. */
  async function update (id: string, step: (session: Session) => Session | null, attempts = 5): Promise<Session | null> {
    const found = await service.get(sessionKey(id))
    const session: Session | null = found && JSON.parse(found.value)
    const next = session !== null && isOpen(session) ? step(session) : null
    if (found === null || next === null) return null
    if (await service.put(sessionKey(id), JSON.stringify(next), found.version)) return next
    if (attempts > 1) return await update(id, step, attempts - 1)
    throw new Error('another process wrote first at each attempt')
  }
}
const sessionKey = (id: string): string => `session/${id}`
const userKey = (subject: string): string => `user/${Buffer.from(subject).toString('base64url')}/`
const isOpen = (session: Session): boolean => session.revokedAt == null
