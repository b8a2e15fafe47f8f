import { createHmac } from 'node:crypto'
import { deriveKeyRing, type HmacAlgorithm, type TokenKind } from '../../lib/keys/ring.js'
import { SECRET, START } from '../support/server.js'

const HASHES: Readonly<Record<string, string>> = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }

/** A key in the format of an attacker who forges tokens. */
export interface ForgersKey {
  readonly kid: string
  readonly algorithm: string
  readonly secret: Buffer
}

/** The key with which a server with `secret` signs tokens of a type. */
export function keyOf (kind: TokenKind, secret = SECRET, algorithm: HmacAlgorithm = 'HS256'): ForgersKey {
  const { kid, verifies } = deriveKeyRing([secret], kind, algorithm).signing
  return { kid, algorithm, secret: verifies.export() }
}

/** A JWS (RFC 7515) of any header, payload and key: text is used unchanged, everything else becomes JSON. */
export function jws (header: unknown, payload: unknown, secret: string | Buffer, algorithm = 'HS256'): string {
  const signed = `${segment(header)}.${segment(payload)}`
  return `${signed}.${createHmac(HASHES[algorithm] ?? algorithm, secret).update(signed).digest('base64url')}`
}

/** The header of issued tokens. */
export function headerOf (kind: TokenKind, { kid, algorithm }: Pick<ForgersKey, 'kid' | 'algorithm'> = keyOf(kind)): Record<string, unknown> {
  return { alg: algorithm, typ: kind === 'access' ? 'at+jwt' : 'rt+jwt', kid }
}

/** The claims of a valid token of Ada, just issued. */
export function claimsOf (kind: TokenKind, sid = 'session-1'): Record<string, unknown> {
  const shared = { sub: '1', sid, auth_time: START, iat: START }
  return kind === 'access'
    ? { ...shared, exp: START + 600, jti: 'token-1' }
    : { ...shared, gen: 0, exp: START + 7 * 86_400, end: START + 30 * 86_400 }
}

/** A token with a valid signature, which differs from a valid one only in the given parts. */
export function forged (kind: TokenKind, { header = {}, claims = {}, payload, sid }: { header?: object, claims?: object, payload?: unknown, sid?: string } = {}): string {
  return jws({ ...headerOf(kind), ...header }, payload === undefined ? { ...claimsOf(kind, sid), ...claims } : payload, keyOf(kind).secret)
}

/** Other spellings of a token that decode to the same bytes: base64url has unused bits in the last character of a 32-byte signature. */
export function respelled (token: string): string[] {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(token.slice(-1))
  return [1, 2, 3].map(bits => token.slice(0, -1) + alphabet.charAt(last ^ bits))
}

function segment (part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}
