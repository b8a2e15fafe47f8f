import { type Tokens } from '../../lib/tokens/jwt.js'
import { isRefreshClaims, readAccessClaims } from '../../lib/tokens/claims.js'

type Kind = 'access' | 'refresh'

/** Tokens without cryptography: JSON and a checksum. */
export interface FakeTokens extends Tokens {
  seekKey?: Tokens['seekKey']
  /** A valid token with any payload. */
  seal (kind: Kind, payload: unknown): string
  /** From now on a new key signs; tokens of earlier ones still verify, as retired. */
  changeKey (): void
}

const CHECKSUM_LENGTH = 8

const POLICY = { expiresIn: 600, leeway: 5 }

/** Equal claims give equal tokens under one key; a token with any changed character is invalid. */
export function fakeTokens (): FakeTokens {
  let key = 1
  return {
    seal,
    signAccess: claims => seal('access', claims),
    signRefresh: claims => seal('refresh', claims),
    verifyAccess: token => readAccessClaims(open('access', token)?.payload, POLICY),
    verifyRefresh (token) {
      const opened = open('refresh', token)
      return opened !== null && isRefreshClaims(opened.payload) ? { claims: opened.payload, signedByCurrentKey: opened.signedByCurrentKey } : null
    },
    changeKey () { key++ }
  }

  function seal (kind: Kind, payload: unknown): string {
    const text = JSON.stringify([kind, key, payload])
    return text + checksum(text)
  }

  function open (kind: Kind, token: string): { payload: unknown, signedByCurrentKey: boolean } | null {
    const text = token.slice(0, -CHECKSUM_LENGTH)
    if (token !== text + checksum(text)) return null
    const [itsKind, itsKey, payload] = JSON.parse(text) as [Kind, number, unknown] // the checksum says that seal wrote it
    return itsKind === kind ? { payload, signedByCurrentKey: itsKey === key } : null
  }
}

/** FNV-1a: no security, but every change of one character is detected. */
function checksum (text: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0).toString(16).padStart(CHECKSUM_LENGTH, '0')
}
