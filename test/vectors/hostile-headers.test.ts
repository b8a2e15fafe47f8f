import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { claimsOf, headerOf, jws, keyOf } from '../tokens/forge.js'
import { generatePair } from '../support/keys.js'
import { ENTRY_POINTS, summaryOf, openEntryPoints, type EntryPoint } from './entry-points.js'
import { segment } from './sign.js'

const OURS = generatePair('ES256')
const THEIRS = generatePair('ES256')

/** A token for an entry point with additional headers; signed by us, or by an attacker who offers the key. */
function offering (entryPoint: EntryPoint, header: object, { by }: { by: 'us' | 'them' }): string {
  if (entryPoint === 'cookie') return jws({ ...headerOf('refresh'), ...header }, claimsOf('refresh'), by === 'us' ? keyOf('refresh').secret : 'a secret of theirs')
  const text = `${segment({ ...headerOf('access', { kid: 'k1', algorithm: 'ES256' }), ...header })}.${segment(claimsOf('access'))}`
  const key = by === 'us' ? OURS.privateKey : THEIRS.privateKey
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** A URL that a token may contain, and the number of requests to it. */
async function elsewhere (t: Test): Promise<{ url: string, visits: () => number }> {
  let visits = 0
  const http = createServer((_request, response) => { visits++; response.end(JSON.stringify({ keys: [{ ...THEIRS.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256' }] })) })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => { http.close() })
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, visits: () => visits }
}

/** The number of sockets and requests of this process since the start. */
function outbound (t: Test): { count: () => number } {
  let count = 0
  const note = (): void => { count++ }
  const CHANNELS = ['net.client.socket', 'undici:request:create', 'http.client.request.start']
  for (const name of CHANNELS) subscribe(name, note)
  t.teardown(() => { for (const name of CHANNELS) unsubscribe(name, note) })
  return { count: () => count }
}

t.test('SSRF and key injection: no header of a token loads or provides a key', async t => {
  const { url, visits } = await elsewhere(t)
  const out = outbound(t)
  await fetch(url)
  t.equal(visits(), 1)
  t.ok(out.count() > 0, 'the check can fail')
  const before = out.count()

  const entryPoints = await openEntryPoints(t, [{ kid: 'k1', algorithm: 'ES256', use: 'sign', privateKey: OURS.privateKey }])
  const certificate = Buffer.from(THEIRS.publicKey.export({ type: 'spki', format: 'der' })).toString('base64')
  const offers: object[] = [
    ...[url, `${url}/jwks`, 'https://evil.example/jwks', 'file:///etc/passwd', 'http://169.254.169.254/latest', '//evil.example', `data:application/json,${JSON.stringify({ keys: [] })}`, [url], { url }]
      .flatMap(address => [{ jku: address }, { x5u: address }, { jku: address, x5u: address, kid: address }]),
    { jwk: THEIRS.publicKey.export({ format: 'jwk' }) }, { jwk: { ...THEIRS.publicKey.export({ format: 'jwk' }), kid: 'k1' } }, { jwk: [THEIRS.publicKey.export({ format: 'jwk' })] },
    { jwk: { kty: 'oct', k: Buffer.from('a secret of theirs').toString('base64url') } }, { x5c: [certificate] }, { x5c: certificate }, { x5t: 'x' }, { 'x5t#S256': 'x' }, { key: certificate }, { publicKey: certificate }
  ]
  for (const entryPoint of ENTRY_POINTS) {
    for (const offer of offers) {
      t.equal(await entryPoints.send(entryPoint, offering(entryPoint, offer, { by: 'them' })), 'refused', `${entryPoint}: ${JSON.stringify(offer).slice(0, 60)}`)
    }
  }
  for (const entryPoint of ENTRY_POINTS) {
    for (const offer of offers.filter(offer => !('kid' in offer))) await entryPoints.send(entryPoint, offering(entryPoint, offer, { by: 'us' }))
  }
  t.equal(entryPoints.counts.get('ok'), 2 * offers.filter(offer => !('kid' in offer)).length, 'the headers are ignored: our own tokens with them are accepted')
  t.equal(visits(), 1)
  t.equal(out.count(), before, 'no socket was opened')
  t.strictSame(entryPoints.errorLines, [])
  t.comment(`headers that offer keys, ${summaryOf(entryPoints.counts)} (signed by our own key)`)
})

t.test('a token with a critical extension is refused, whoever signed it', async t => {
  const entryPoints = await openEntryPoints(t, [{ kid: 'k1', algorithm: 'ES256', use: 'sign', privateKey: OURS.privateKey }])
  const CRITICAL: object[] = [
    { crit: ['exp'] }, { crit: ['b64'], b64: false }, { crit: ['b64'], b64: true }, { crit: [] }, { crit: '' }, { crit: null }, { crit: false }, { crit: 0 }, { crit: {} }, { crit: ['crit'] }, { crit: ['alg', 'typ'] },
    { crit: ['http://evil.example'], 'http://evil.example': true }, { crit: [['exp']] }, { crit: Array.from({ length: 500 }, (_, i) => `x${i}`) }
  ]
  for (const entryPoint of ENTRY_POINTS) {
    for (const header of CRITICAL) {
      for (const by of ['us', 'them'] as const) t.equal(await entryPoints.send(entryPoint, offering(entryPoint, header, { by })), 'refused', `${entryPoint}: ${JSON.stringify(header).slice(0, 60)}`)
    }
    t.equal(await entryPoints.send(entryPoint, offering(entryPoint, {}, { by: 'us' })), 'ok')
  }
  t.comment(`critical extensions, ${summaryOf(entryPoints.counts)} (without one)`)
})

t.test('path traversal: a kid is looked up literally', async t => {
  const entryPoints = await openEntryPoints(t, [{ kid: 'k1', algorithm: 'ES256', use: 'sign', privateKey: OURS.privateKey }])
  const out = outbound(t)
  const NAMES: unknown[] = [
    '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'size', 'get', '../../dev/null', '/dev/null', '/proc/self/environ', "' OR 1=1 --", "k1' --", '$(id)', '`id`', '|id', 'k1\0', ' k1', 'k1 ', 'K1', 'k1\n', 'k\u0131', '',
    'k'.repeat(4000), null, 1, true, ['k1'], { k1: 1 }, [], 'http://evil.example/key', 'undefined', 'null', '0'
  ]
  for (const entryPoint of ENTRY_POINTS) {
    for (const kid of NAMES) t.equal(await entryPoints.send(entryPoint, offering(entryPoint, { kid }, { by: 'us' })), 'refused', `${entryPoint}: ${JSON.stringify(kid).slice(0, 40)}`)
  }
  t.equal(out.count(), 0)
  t.strictSame(entryPoints.errorLines, [])
  t.comment(`names of keys, ${summaryOf(entryPoints.counts)}`)
})

t.test('algorithm confusion: a key of one algorithm never verifies another, with all in one ring', async t => {
  const rsa = generatePair('RS256')
  const ed = generatePair('EdDSA')
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const entryPoints = await openEntryPoints(t, [
    { kid: 'k1', algorithm: 'ES256', use: 'sign', privateKey: OURS.privateKey }, { kid: 'rs', algorithm: 'RS256', use: 'verify', publicKey: rsa.publicKey },
    { kid: 'ps', algorithm: 'PS256', use: 'verify', publicKey: generatePair('PS256').publicKey }, { kid: 'ed', algorithm: 'EdDSA', use: 'verify', publicKey: ed.publicKey },
    { kid: 'hs', algorithm: 'HS256', use: 'verify', secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*-other' }
  ])
  const SIGNERS: Readonly<Record<string, (text: string) => Buffer>> = {
    ES256: text => sign('sha256', Buffer.from(text), { key: OURS.privateKey, dsaEncoding: 'ieee-p1363' }),
    'ES256 in DER': text => sign('sha256', Buffer.from(text), OURS.privateKey),
    ES384: text => sign('sha384', Buffer.from(text), { key: p384.privateKey, dsaEncoding: 'ieee-p1363' }),
    RS256: text => sign('sha256', Buffer.from(text), rsa.privateKey),
    PS256: text => sign('sha256', Buffer.from(text), { key: rsa.privateKey, padding: 6, saltLength: 32 }),
    RS512: text => sign('sha512', Buffer.from(text), rsa.privateKey),
    EdDSA: text => sign(null, Buffer.from(text), ed.privateKey),
    nothing: () => Buffer.alloc(0),
    zeros: () => Buffer.alloc(64)
  }
  const good = new Set(['ES256 k1 ES256', 'RS256 rs RS256', 'EdDSA ed EdDSA'])
  for (const [signer, signatureOf] of Object.entries(SIGNERS)) {
    for (const kid of ['k1', 'rs', 'ps', 'ed', 'hs']) {
      for (const alg of ['ES256', 'ES384', 'RS256', 'PS256', 'RS512', 'EdDSA', 'Ed25519', 'HS256', 'none']) {
        const text = `${segment({ alg, typ: 'at+jwt', kid })}.${segment(claimsOf('access'))}`
        const verdict = await entryPoints.send('bearer', `${text}.${signatureOf(text).toString('base64url')}`)
        if (verdict !== (good.has(`${signer} ${kid} ${alg}`) ? 'ok' : 'refused')) t.fail(`signed by ${signer}, said ${kid} and ${alg}: ${verdict}`)
      }
    }
  }
  t.equal(entryPoints.counts.get('ok'), good.size)
  t.strictSame(entryPoints.errorLines, [])
  t.comment(`algorithms and keys, ${summaryOf(entryPoints.counts)} (each by its own)`)
})
