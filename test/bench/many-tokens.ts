import { createHmac, createSecretKey } from 'node:crypto'
import { type KeyOptions } from 'fastify-refresh-cookie'

/** The load and its subject both sign with this key, so that a million tokens need no memory. */
export const SHARED_KEY = { kid: 'shared', algorithm: 'HS256', use: 'sign', secret: 'wJ3#vQ8!mZ1@rT6$kX9%yB4^nC2&pD7*' } as const satisfies KeyOptions

const KEY = createSecretKey(SHARED_KEY.secret, 'utf8')
const HEADER = encoded({ alg: SHARED_KEY.algorithm, typ: 'at+jwt', kid: SHARED_KEY.kid })

/** The same second in all processes of a run, which inherit it. */
const issuedAt = Number(process.env['BENCH_ISSUED_AT'] ??= String(Math.floor(Date.now() / 1000)))

/** The number of different access tokens in the requests to a subject; null if each connection has one. */
export function tokenCountOf (subject: string): number | null {
  const [, count] = / ([\d,]+) tokens$/.exec(subject) ?? []
  return count === undefined ? null : Number(count.replaceAll(',', ''))
}

/** The nth token, which is the same in every process of a run. */
export function tokenOf (nth: number): string {
  const id = String(nth).padStart(22, '0')
  const signed = `${HEADER}.${encoded({ sub: `p${nth}`, iat: issuedAt, exp: issuedAt + 86_400, jti: id, sid: id, auth_time: issuedAt })}`
  return `${signed}.${createHmac('sha256', KEY).update(signed).digest('base64url')}`
}

function encoded (value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
