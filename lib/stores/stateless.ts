import { type Session, type SessionChange, type SessionStore } from '../sessions/session.js'

/**
 * The store that keeps nothing: a session is whatever its signed token states.
 * Nothing can be revoked or listed before it expires, and a second use of a token is never noticed.
 */
export function statelessStore (): SessionStore {
  return {
    async create () {},
    async get (_id: string, claimed?: Session) {
      return claimed ?? null
    },
    async advance (_id: string, _fromGeneration: number, change: SessionChange, claimed?: Session) {
      return claimed === undefined ? null : { ...claimed, ...change }
    },
    async revoke () {
      return false
    },
    async revokeAll () {
      return 0
    }
  }
}
