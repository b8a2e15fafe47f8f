import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import t, { type Test } from 'tap'
import { importKey, type KeyOptions } from '../../lib/keys/import.js'
import { claimsOf, headerOf, keyOf } from '../tokens/forge.js'
import { generateKey } from '../support/keys.js'
import { addUp, ENTRY_POINTS, summaryOf, openEntryPoints, type EntryPoint, type EntryPoints } from './entry-points.js'
import { encodedIn, encodePss, segment, signatureOf, signEncoded, type PssTweaks } from './sign.js'
import { withoutVectors, wycheproof, type WycheproofGroup, type WycheproofKey } from './shared.js'

const SIGNER = generateKey('EdDSA', 'signer').signs
const groups = withoutVectors === false ? wycheproof('wycheproof-jws.json') : []

/** The key of a group, if it is supported; a few are for encryption or unknown algorithms. */
function keysOf ({ private: secret, public: half }: WycheproofGroup): KeyOptions[] {
  const jwk = half ?? secret
  const key = { kid: String(jwk.kid), algorithm: String(jwk.alg) as KeyOptions['algorithm'], use: 'verify' as const, ...(jwk.kty === 'oct' ? { secret: jwk } : { publicKey: jwk }) }
  try {
    importKey(key)
    return [key]
  } catch {
    return []
  }
}

/** A server with the key of a group. */
async function doorsFor (t: Test, group: WycheproofGroup): Promise<EntryPoints> {
  const known = keysOf(group).filter(({ algorithm }) => ['HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA'].includes(algorithm))
  return await openEntryPoints(t, [SIGNER, ...known])
}

t.test('Wycheproof signatures unchanged', { skip: withoutVectors }, async t => {
  const total = new Map<string, number>()
  let tests = 0
  let valid = 0
  for (const group of groups) {
    const entryPoints = await doorsFor(t, group)
    for (const { tcId, comment, jws, result } of group.tests) {
      tests++
      if (result === 'valid') valid++
      const token = typeof jws === 'string' ? jws : JSON.stringify(jws)
      for (const entryPoint of ENTRY_POINTS) {
        const verdict = await entryPoints.send(entryPoint, token)
        if (verdict !== 'refused') t.fail(`${tcId} ${comment} at ${entryPoint}: ${verdict}`)
      }
    }
    t.strictSame(entryPoints.errorLines, [], `${group.comment}: nothing was logged as an error`)
    addUp(total, entryPoints)
  }
  t.equal(tests, 401)
  t.equal(total.get('refused'), 802)
  t.comment(`as they are, ${summaryOf(total)}; ${valid} of the ${tests} are valid signatures, of payloads that are no claims and headers without typ`)
})

/** The fault of a Wycheproof test, in an otherwise valid token. */
type Mutation = readonly [what: string, token: string]

/** A signer of otherwise valid tokens. */
interface Forger {
  readonly header: Record<string, unknown>
  readonly payload: Record<string, unknown>
  sign (text: string): Buffer
}

function token ({ header, payload, sign }: Forger, signature?: Buffer): string {
  const text = `${segment(header)}.${segment(payload)}`
  return `${text}.${(signature ?? sign(text)).toString('base64url')}`
}

const flipped = (text: string): string => `${text.startsWith('X') ? 'Y' : 'X'}${text.slice(1)}`

/** Groups hs256, es256, rs256 and ps256: missing, additional and duplicate parts. */
function structural (forger: Forger): Mutation[] {
  const good = token(forger)
  const [header = '', payload = '', signature = ''] = good.split('.')
  const none = { ...forger.header, alg: 'none' }
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  return [
    ['rejectsModifiedSignature', `${header}.${payload}.${flipped(signature)}`],
    ['rejectsMissingSignature', `${header}.${payload}.`],
    ['rejectsMissingSignatureAndSeparator', `${header}.${payload}`],
    ['rejectsModifiedPayload', `${header}.${flipped(payload)}.${signature}`],
    ['rejectsMissingPayload', `${header}..${signature}`],
    ['rejectsMissingPayloadAndSeparator', `${header}.${signature}`],
    ['rejectsModifiedHeader', `${flipped(header)}.${payload}.${signature}`],
    ['rejectsMissingHeader', `.${payload}.${signature}`],
    ['rejectsMissingHeaderAndSeparator', `${payload}.${signature}`],
    ['rejectsMissingHeaderAndSignature', `.${payload}.`],
    ['rejectsMissingHeaderSignatureAndSeparators', payload],
    ['rejectsEmptyString', ''],
    ['rejectsExtraEmptyComponent', `${good}.`],
    ['rejectsExtraComponent', `${good}.${payload}`],
    ['rejectsNoneAlgorithmAndMissingSignature', `${segment(none)}.${payload}.`],
    ['rejectsNoneAlgorithm', `${segment(none)}.${payload}.${signature}`],
    ['rejectsValidJsonSerialization', JSON.stringify({ payload, signatures: [{ protected: header, signature }] })],
    ['rejectsFlattenedJsonSerialization', JSON.stringify({ payload, protected: header, signature })],
    ['rejectsAttackerProvidedEmbeddedJwk', token({ ...forger, header: { ...forger.header, jwk: stranger }, sign: () => Buffer.alloc(64, 1) })]
  ]
}

/** Group base64: other spellings, before and after signing. */
function respelled (forger: Forger): Mutation[] {
  const good = token(forger)
  const [header = '', payload = '', signature = ''] = good.split('.')
  const resigned = (head: string, body: string): string => `${head}.${body}.${forger.sign(`${head}.${body}`).toString('base64url')}`
  const inSegment = (insert: (text: string) => string): string[] => [
    `${insert(header)}.${payload}.${signature}`, `${header}.${insert(payload)}.${signature}`, `${header}.${payload}.${insert(signature)}`,
    resigned(insert(header), payload), resigned(header, insert(payload))
  ]
  const INSERTIONS: ReadonlyArray<readonly [what: string, insert: (text: string) => string]> = [
    ['spaces before', text => `    ${text}`], ['spaces after', text => `${text}    `], ['invalid characters before', text => `????${text}`], ['invalid characters after', text => `${text}####`],
    ['one inside', text => `${text.slice(0, 5)}?${text.slice(5)}`], ['one replaced', text => `?${text.slice(1)}`], ['padding', text => `${text}=`], ['more padding', text => `${text}==`],
    ['a line feed', text => `${text.slice(0, 4)}\t${text.slice(4)}`], ['one character more', text => `${text}A`], ['the other alphabet', text => `+/${text.slice(2)}`]
  ]
  return [
    ...INSERTIONS.flatMap(([what, insert]) => inSegment(insert).map((text, nth) => [nth === 0 ? `${what} the token` : what, text] as const)),
    ...unusedBits(header).map(head => ['unused bits in the header', resigned(head, payload)] as const),
    ...unusedBits(payload).map(body => ['unused bits in the payload', resigned(header, body)] as const),
    ...unusedBits(signature).map(end => ['unused bits in the signature', `${header}.${payload}.${end}`] as const)
  ].filter(([, text]) => text !== good)
}

/** Every other spelling of the same bytes. */
function unusedBits (text: string): string[] {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const bits = [1, 1, 16, 4][text.length % 4] ?? 1
  return Array.from({ length: bits - 1 }, (_, i) => text.slice(0, -1) + alphabet.charAt(alphabet.indexOf(text.slice(-1)) ^ (i + 1)))
}

/** Group rs256: the encoding of each test's signature, with the hash of our text. */
function paddings (group: WycheproofGroup, forger: Forger, wanted: 'valid' | 'invalid' = 'invalid'): Mutation[] {
  const key = createPrivateKey({ key: group.private, format: 'jwk' })
  const text = `${segment(forger.header)}.${segment(forger.payload)}`
  const ours = createHash('sha256').update(text).digest()
  return group.tests.filter(({ result, jws }) => result === wanted && typeof jws === 'string' && jws.split('.').length === 3).flatMap(({ tcId, comment, jws }) => {
    const [header = '', payload = '', signature = ''] = String(jws).split('.')
    const theirs = createHash('sha256').update(`${header}.${payload}`).digest()
    const encoded = encodedIn(Buffer.from(signature, 'base64url'), group.public ?? group.private)
    if (encoded === null) return []
    const at = encoded.indexOf(theirs)
    if (at >= 0) ours.copy(encoded, at)
    return [[`${tcId} ${comment}`, token(forger, signEncoded(encoded, key))] as const]
  })
}

/** Group SpecialCaseEs256: invalid numbers, and signatures of another length. */
function specialNumbers (forger: Forger): Mutation[] {
  const n = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const text = `${segment(forger.header)}.${segment(forger.payload)}`
  const good = forger.sign(text)
  const [r, s] = [good.subarray(0, 32), good.subarray(32)].map(half => BigInt(`0x${half.toString('hex')}`)) as [bigint, bigint]
  const bytes = (number: bigint, length: number): Buffer => Buffer.from(number.toString(16).padStart(2 * length, '0'), 'hex')
  const pair = (one: bigint, other: bigint, length = 32): Buffer => Buffer.concat([bytes(one, length), bytes(other, length)])
  const SPECIAL = [0n, 1n, n - 1n, n]
  return [
    ['SignatureTooLong', pair(r, s, 33)], ['TrailingZeros', Buffer.concat([good, Buffer.alloc(2)])], ['RisTooBig', pair(r + 2n ** 256n, s, 33)], ['SisTooBig', pair(r, s + 2n ** 256n, 33)],
    ['IntegerOverflow', pair(r + n, s, 33)], ['IntegerOverflow', pair(r, s + n, 33)], ['BufferOverflow', Buffer.alloc(132)], ['BufferOverflow', Buffer.alloc(4000)],
    ...SPECIAL.flatMap(one => SPECIAL.map(other => [`r ${one} s ${other}`, pair(one, other)] as const)),
    ['half', good.subarray(0, 32)], ['DER', Buffer.concat([Buffer.of(0x30, 68, 2, 32), good.subarray(0, 32), Buffer.of(2, 32), good.subarray(32)])], ['swapped', pair(s, r)]
  ].map(([what, signature]) => [String(what), token(forger, signature as Buffer)] as const)
}

/** Control: valid tokens built the same way are accepted, so the fault causes each refusal. */
function controls (group: WycheproofGroup, forger: Forger): Mutation[] {
  const good: Mutation[] = [['the good one', token(forger)]]
  if (group.private.alg === 'RS256') good.push(...paddings(group, forger, 'valid'))
  if (group.private.alg === 'PS256') {
    const encoded = encodePss(`${segment(forger.header)}.${segment(forger.payload)}`, {})
    good.push(['a right encoding', token(forger, signEncoded(encoded, createPrivateKey({ key: group.private, format: 'jwk' })))])
  }
  return good
}

/** Group ps256: encodings with one fault, and invalid numbers. */
function pssPaddings (group: WycheproofGroup, forger: Forger): Mutation[] {
  const key = createPrivateKey({ key: group.private, format: 'jwk' })
  const n = Buffer.from(String(group.private.n), 'base64url')
  const text = `${segment(forger.header)}.${segment(forger.payload)}`
  const TWEAKS: ReadonlyArray<readonly [what: string, tweaks: PssTweaks]> = [
    ...[0, 1, 20, 28, 31, 33, 48, 64, 222].map(saltLength => [`SaltLenChanged ${saltLength}`, { saltLength }] as const),
    ...['sha1', 'sha224', 'sha384', 'sha512'].flatMap(digest => [[`ModifiedHash ${digest}`, { digest }], [`EncodingHash ${digest}`, { encodingDigest: digest }], [`MaskHash ${digest}`, { maskDigest: digest }]] as const),
    ['MhashModified', { inMessageHash: 1 }], ['PSModified', { inPadding: 1 }], ['PSModified', { inPadding: 0xff }], ['ZeroPaddingModified', { inSeparator: 1 }], ['ZeroPaddingModified', { inSeparator: 2 }],
    ['SaltModified', { inSalt: 1 }], ['HashModified', { inHash: 0x80 }], ['MaskedDbChanged', { inMasked: 1 }], ['EmModified', { trailer: 0xcc }], ['EmModified', { trailer: 0 }], ['EmModified', { topBits: true }]
  ]
  const good = forger.sign(text)
  const NUMBERS: ReadonlyArray<readonly [what: string, signature: Buffer]> = [
    ['SignatureIs0', Buffer.alloc(256)], ['SignatureIs1', Buffer.concat([Buffer.alloc(255), Buffer.of(1)])], ['SignatureIsn', n], ['prependingZerosToSignature', Buffer.concat([Buffer.alloc(2), good])],
    ['appendingZerosToSignature', Buffer.concat([good, Buffer.alloc(2)])], ['truncatedSignature', good.subarray(0, 255)]
  ]
  return [...TWEAKS.map(([what, tweaks]) => [what, token(forger, signEncoded(encodePss(text, tweaks), key))] as const), ...NUMBERS.map(([what, signature]) => [what, token(forger, signature)] as const)]
}

/** Other algorithms with the same key, and the public key as the secret of a MAC. */
function confusions (group: WycheproofGroup, forger: Forger): Mutation[] {
  if (group.private.kty === 'oct') return ['HS384', 'HS512'].flatMap(alg => [[`${alg} by it`, token({ ...forger, header: { ...forger.header, alg }, sign: text => signatureOf(text, group.private, alg) })] as const])
  const others = group.private.kty === 'RSA' ? ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].filter(alg => alg !== forger.header['alg']) : ['ES384', 'ES512']
  const key = createPublicKey({ key: group.public ?? group.private, format: 'jwk' })
  const pem = (type: 'spki' | 'pkcs1'): string => String(key.export({ type, format: 'pem' }))
  const TEXTS = [
    pem('spki'), pem('spki').trim(), ` ${pem('spki')}`, pem('spki').replaceAll('\n', '\r\n'), key.export({ type: 'spki', format: 'der' }), JSON.stringify(group.public), JSON.stringify(key.export({ format: 'jwk' })),
    Buffer.from(String(group.private.x ?? group.private.n), 'base64url'), String(group.private.x ?? group.private.n), '', ...(group.private.kty === 'RSA' ? [pem('pkcs1')] : [])
  ]
  return [
    ...others.flatMap(alg => [alg, forger.header['alg']].map(said => [`signed by ${alg}, said ${said}`, token({ ...forger, header: { ...forger.header, alg: said }, sign: text => signatureOf(text, group.private, alg) })] as const)),
    ...TEXTS.flatMap(secret => (['HS256', 'HS384', 'HS512'] as const).map(alg => {
      const k = Buffer.from(secret).toString('base64url')
      return [`${alg} by the public key`, token({ ...forger, header: { ...forger.header, alg }, sign: text => signatureOf(text, { kty: 'oct', k }, alg) })] as const
    }))
  ]
}

function mutationsOf (group: WycheproofGroup, forger: Forger): Mutation[] {
  const all = [...structural(forger), ...respelled(forger), ...confusions(group, forger)]
  if (group.private.alg === 'ES256') all.push(...specialNumbers(forger))
  if (group.private.alg === 'RS256') all.push(...paddings(group, forger))
  if (group.private.alg === 'PS256') all.push(...pssPaddings(group, forger))
  return all
}

function forgerFor (key: WycheproofKey): Forger {
  const algorithm = String(key.alg)
  return { header: { ...headerOf('access', { kid: String(key.kid), algorithm }) }, payload: claimsOf('access'), sign: text => signatureOf(text, key, algorithm) }
}

/** Refresh tokens have a separate secret key. */
function refreshForger (): Forger {
  const { secret } = keyOf('refresh')
  return { header: headerOf('refresh'), payload: claimsOf('refresh'), sign: text => signatureOf(text, { kty: 'oct', k: secret.toString('base64url') }, 'HS256') }
}

t.test('Wycheproof faults in tokens that are valid otherwise', { skip: withoutVectors }, async t => {
  const total = new Map<string, number>()
  let good = 0
  const send = async (entryPoints: EntryPoints, entryPoint: EntryPoint, mutations: readonly Mutation[], expected = 'refused'): Promise<void> => {
    if (expected === 'ok') good += mutations.length
    for (const [what, text] of mutations) {
      const verdict = await entryPoints.send(entryPoint, text)
      if (verdict !== expected) t.fail(`${what} at ${entryPoint}: ${verdict}`)
    }
  }
  const chosen = groups.filter(group => keysOf(group).length > 0 && ['HS256', 'ES256', 'RS256', 'PS256'].includes(String(group.private.alg)) && group.tests.length > 1)
  for (const group of chosen) {
    const entryPoints = await doorsFor(t, group)
    const forger = forgerFor(group.private)
    await send(entryPoints, 'bearer', controls(group, forger), 'ok')
    const mutations = mutationsOf(group, forger)
    for (const entryPoint of ENTRY_POINTS) {
      // More than one space may precede a bearer token (RFC 6750 section 2.1).
      const isGood = ([what]: Mutation): boolean => entryPoint === 'bearer' && what === 'spaces before the token'
      await send(entryPoints, entryPoint, mutations.filter(isGood), 'ok')
      await send(entryPoints, entryPoint, mutations.filter(mutation => !isGood(mutation)))
    }
    t.strictSame(entryPoints.errorLines, [])
    t.comment(`${group.comment} (${group.private.alg}): ${mutations.length} mutations`)
    addUp(total, entryPoints)
  }

  const entryPoints = await openEntryPoints(t)
  const forger = refreshForger()
  // White space around a cookie's value is not part of it (RFC 6265 section 5.2).
  const isGood = ([, text]: Mutation): boolean => text.trim() === token(forger)
  const mutations = [...structural(forger), ...respelled(forger)]
  await send(entryPoints, 'cookie', [['the good one', token(forger)], ...mutations.filter(isGood)], 'ok')
  await send(entryPoints, 'cookie', mutations.filter(mutation => !isGood(mutation)))
  t.strictSame(entryPoints.errorLines, [])
  addUp(total, entryPoints)
  t.equal(total.get('ok'), good)
  t.comment(`re-signed around our claims, ${summaryOf(total)} (the good ones, some of them with white space around a cookie or before a bearer token)`)
})
