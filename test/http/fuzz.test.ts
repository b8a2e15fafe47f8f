import fc from 'fast-check'
import t from 'tap'
import { authErrorCodes, memoryStore } from '../../lib/index.js'
import { type TokenKind } from '../../lib/keys/ring.js'
import { COOKIE, HOST, SECRET, server, START } from '../support/server.js'
import { claimsOf, forged, headerOf, jws, keyOf } from '../tokens/forge.js'

const SEED = 20_260_101
const RUNS = 5000
const CODES: ReadonlySet<string> = new Set(authErrorCodes)

/** No token below may be valid, so the valid ones that they are derived from have just expired. */
const expired: Record<TokenKind, string> = {
  access: forged('access', { claims: { iat: START - 600, auth_time: START - 600, exp: START } }),
  refresh: forged('refresh', { claims: { exp: START } })
}

const kind = fc.constantFrom<TokenKind>('access', 'refresh')

/** Bytes of a header as Node decodes them: one character each, without the few that Node itself refuses. */
const headerText = (maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 32, max: 126 }) }, fc.integer({ min: 128, max: 255 }), fc.constant(9)), { maxLength })
    .map(bytes => String.fromCharCode(...bytes))

/** A token with some of its characters replaced, removed, doubled or moved. */
const damaged = fc.tuple(kind.map(kind => expired[kind]), fc.array(fc.tuple(fc.nat(), fc.constantFrom('replace', 'remove', 'insert', 'cut', 'double', 'swap'), headerText(3)), { minLength: 1, maxLength: 4 }))
  .map(([token, changes]) => changes.reduce((text, [place, change, junk]) => {
    const at = place % (text.length + 1)
    const [before, after] = [text.slice(0, at), text.slice(at)]
    return { replace: before + junk + after.slice(1), remove: before + after.slice(1), insert: before + junk + after, cut: before, double: before + text + after, swap: `${after}.${before}` }[change]
  }, token))

/** JSON values that an attacker could use as a claim or a header. */
const anyJson = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(START, START + 600, -1, 1e300, 2 ** 53, '1', 'none', 'HS256', 'at+jwt', 'rt+jwt', '__proto__', '\0', '\ud800'))

const some = (names: readonly string[]): fc.Arbitrary<Record<string, unknown>> =>
  fc.dictionary(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...names) }, fc.string({ maxLength: 8 })), anyJson, { maxKeys: 2 })

/** Signed with the right key, with invalid claims; at least expired. */
const signed = fc.tuple(kind, some(['alg', 'typ', 'kid', 'crit', 'jwk', 'jku', 'x5c', 'b64', 'cty']), some(['sub', 'sid', 'jti', 'gen', 'iat', 'exp', 'nbf', 'end', 'auth_time', 'iss', 'aud', 'remember']), fc.boolean())
  .map(([kind, header, claims, spare]) => {
    const ends = spare ? {} : { exp: START }
    return jws({ ...headerOf(kind), ...header }, { ...claimsOf(kind), ...claims, ...ends, sub: spare ? null : claims['sub'] ?? '1' }, keyOf(kind).secret)
  })

/** Any text for each of the three parts. */
const parts = fc.array(fc.oneof(headerText(20), anyJson.map(value => Buffer.from(JSON.stringify(value)).toString('base64url')), fc.constantFrom('', 'e30', 'bnVsbA', 'W10')), { maxLength: 6 })
  .map(texts => texts.join('.'))

const token = fc.oneof(damaged, signed, parts, headerText(200), fc.constantFrom(expired.access, expired.refresh, 'x'.repeat(20_000)))

/** The usual text four times out of five. */
const mostly = (usual: string, ...others: string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, fc.constantFrom(...others))

const authorization = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(mostly('Bearer ', 'bearer ', 'BEARER ', 'Bearer  ', 'Bearer\t', 'Basic ', 'Bearer', ''), token, mostly('', ' ', ', Basic x', ';')).map(texts => texts.join('')) },
  headerText(200)
)

const cookie = fc.oneof(
  { weight: 6, arbitrary: fc.array(fc.tuple(mostly(COOKIE, COOKIE.toLowerCase(), ` ${COOKIE}`, `${COOKIE} `, 'other', '', '__proto__'), mostly('=', '==', '= ', ''), token).map(texts => texts.join('')), { maxLength: 3 }).map(pairs => pairs.join('; ')) },
  headerText(200)
)

t.test('fuzzing: any Authorization or Cookie header gets a 401 of the plugin', async t => {
  const loud: string[] = []
  const stream = { write (line: string) { if (JSON.parse(line).level >= 50) loud.push(line) } }
  const store = memoryStore({ clock: () => START })
  const { app } = await server(t, { secret: SECRET, store }, { logger: { level: 'trace', stream } })
  const outcomes = new Map<string, number>()
  const unexpected: unknown[] = []

  async function send (url: string, headers: Record<string, string>): Promise<void> {
    const answer = await app.inject({ method: url === '/me' ? 'GET' : 'POST', url, headers: { host: HOST, ...headers } })
    const { code } = answer.json()
    outcomes.set(code, (outcomes.get(code) ?? 0) + 1)
    const fine = answer.statusCode === 401 && CODES.has(code) && /^Bearer realm="api"/.test(String(answer.headers['www-authenticate'])) && answer.headers['set-cookie'] === undefined
    if (!fine) unexpected.push({ url, headers, answer: answer.body })
  }

  for (const value of fc.sample(authorization, { seed: SEED, numRuns: RUNS })) await send('/me', { authorization: value })
  for (const value of fc.sample(cookie, { seed: SEED, numRuns: RUNS })) await send('/auth/refresh', { cookie: value })

  t.strictSame(unexpected, [])
  t.strictSame(loud, [], 'nothing was logged as an error')
  t.comment(`${2 * RUNS} headers: ${[...outcomes].map(([code, count]) => `${count} ${code}`).join(', ')}`)
  for (const kind of ['ACCESS', 'REFRESH']) {
    for (const verdict of ['MISSING', 'INVALID', 'EXPIRED']) {
      const count = outcomes.get(`FST_AUTH_${kind}_TOKEN_${verdict}`) ?? 0
      t.ok(count > 30, `${kind} ${verdict}: ${count} times`)
    }
  }
})

t.test('fuzzing: a logout with any cookie succeeds', async t => {
  const { app } = await server(t)
  const unexpected: unknown[] = []
  for (const value of fc.sample(cookie, { seed: SEED + 1, numRuns: 300 })) {
    const answer = await app.inject({ method: 'POST', url: '/auth/logout', headers: { host: HOST, cookie: value } })
    if (answer.statusCode !== 204 || answer.headers['set-cookie'] === undefined) unexpected.push({ value, answer: answer.body })
  }
  t.strictSame(unexpected, [])
})
