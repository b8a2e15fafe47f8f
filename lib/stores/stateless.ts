import { type Session, type SessionChange } from '../sessions/session.js'
import { type SessionStore } from '../sessions/store.js'

/**
 * A store that keeps nothing: the signed refresh token states its session. Sessions cannot be revoked or listed,
 * and the reuse of a refresh token is not detected.
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
