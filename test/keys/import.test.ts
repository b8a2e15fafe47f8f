import { createPrivateKey, createPublicKey, createSecretKey, generateKeyPairSync, randomBytes, type JsonWebKey, type KeyObject } from 'node:crypto'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { importKey, type KeyOptions } from '../../lib/keys/import.js'
import { type KeyPairAlgorithm } from '../../lib/keys/ring.js'
import { generatePair, pem, powerOfGenerator, type Pair } from '../support/keys.js'

const SECRET = randomBytes(64)
const HMAC = [['HS256', 32], ['HS384', 48], ['HS512', 64]] as const
const PAIRS = new Map<KeyPairAlgorithm, Pair>((['RS256', 'ES256', 'EdDSA'] as const).map(algorithm => [algorithm, generatePair(algorithm)]))
PAIRS.set('PS256', pairFor('RS256'))

function pairFor (algorithm: KeyPairAlgorithm): Pair {
  const pair = PAIRS.get(algorithm)
  if (pair === undefined) throw new Error('no such pair')
  return pair
}

function jwk (key: KeyObject, more: object = {}): JsonWebKey {
  return { ...key.export({ format: 'jwk' }), ...more }
}

/** A JSON Web Key of a secret. */
function oct (bytes: Buffer, more: object = {}): JsonWebKey {
  return { kty: 'oct', k: bytes.toString('base64url'), ...more }
}

t.test('a secret is text, bytes, a KeyObject or a JSON Web Key', async t => {
  for (const [algorithm, length] of HMAC) {
    const text = SECRET.toString('base64').slice(0, length)
    const bytes = SECRET.subarray(0, length)
    for (const [secret, expected] of [[text, Buffer.from(text)], [bytes, bytes], [new Uint8Array(bytes), bytes], [createSecretKey(bytes), bytes], [oct(bytes), bytes], [oct(bytes, { alg: algorithm, use: 'sig', kid: 'k1', key_ops: ['sign', 'verify'] }), bytes]] as const) {
      const key = importKey({ kid: 'k1', algorithm, use: 'sign', secret })
      t.match(key, { kid: 'k1', algorithm, withoutKid: false })
      t.strictSame(key.verifies.export(), expected)
      t.equal(key.signs, key.verifies)
    }
  }
})

t.test('a pair is PEM, a KeyObject or a JSON Web Key, and its private half gives both', async t => {
  for (const [algorithm, { privateKey, publicKey }] of PAIRS) {
    const legacy = algorithm === 'ES256' ? 'sec1' : algorithm === 'EdDSA' ? 'pkcs8' : 'pkcs1'
    for (const given of [pem(privateKey), `# ours\n${pem(privateKey)}`, String(privateKey.export({ type: legacy, format: 'pem' })), privateKey, jwk(privateKey), jwk(privateKey, { alg: algorithm, use: 'sig', key_ops: ['sign'] })]) {
      const key = importKey({ kid: 'k1', algorithm, use: 'sign', privateKey: given })
      t.ok(key.signs?.equals(privateKey), algorithm)
      t.ok(key.verifies.equals(publicKey), algorithm)
    }
    for (const given of [pem(publicKey), publicKey, jwk(publicKey), jwk(publicKey, { key_ops: ['verify'], kid: 'k1' })]) {
      const key = importKey({ kid: 'k1', algorithm, use: 'verify', publicKey: given, withoutKid: true })
      t.match(key, { signs: null, withoutKid: true })
      t.ok(key.verifies.equals(publicKey), algorithm)
    }
  }
})

t.test('a certificate is read as its public key', async t => {
  const key = importKey({ kid: 'k1', algorithm: 'ES256', use: 'verify', publicKey: CERTIFICATE })
  t.equal(key.verifies.asymmetricKeyDetails?.namedCurve, 'prime256v1')
})

t.test('key rotation: a retired private key only verifies', async t => {
  const { privateKey, publicKey } = pairFor('EdDSA')
  const retired = importKey({ kid: 'k1', algorithm: 'EdDSA', use: 'verify', privateKey })
  t.equal(retired.signs, null)
  t.ok(retired.verifies.equals(publicKey))
  t.equal(importKey({ kid: 'k1', algorithm: 'HS256', use: 'verify', secret: createSecretKey(SECRET) }).signs, null)
})

/** An RSA key whose public exponent is 1: it "signs" by doing nothing. */
const EXPONENT_ONE = jwk(pairFor('RS256').publicKey, { e: 'AQ' })

t.test('algorithm confusion: a key that is weak or of another kind is refused, and never printed', async t => {
  const rsa = pairFor('RS256')
  const ec = pairFor('ES256')
  const ed = pairFor('EdDSA')
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const secp256k1 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
  const ed448 = generateKeyPairSync('ed448')
  const x25519 = generateKeyPairSync('x25519')
  const small = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const three = generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 })
  const pss = generateKeyPairSync('rsa-pss', { modulusLength: 2048 })
  const encrypted = String(ec.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }))
  const other = jwk(generatePair('ES256').privateKey)
  const otherRsa = jwk(generatePair('RS256').publicKey)

  const REFUSED: ReadonlyArray<readonly [options: Omit<KeyOptions, 'kid'>, sentence: RegExp]> = [
    ...HMAC.flatMap(([algorithm, length]) => [
      [{ algorithm, use: 'sign', secret: SECRET.toString('hex').slice(0, length - 1) }, new RegExp(`^has ${length - 1} bytes and needs at least ${length}$`)],
      [{ algorithm, use: 'sign', secret: createSecretKey(SECRET.subarray(0, length - 1)) }, /^has \d+ bytes/],
      [{ algorithm, use: 'verify', secret: oct(SECRET.subarray(0, length - 1)) }, /^has \d+ bytes/],
      [{ algorithm, use: 'sign', secret: oct(Buffer.alloc(0)) }, /^has 0 bytes/],
      [{ algorithm, use: 'sign', secret: createSecretKey(Buffer.alloc(64, 'x')) }, /^repeats/],
      [{ algorithm, use: 'sign', secret: pem(rsa.publicKey) }, /^is a PEM key/],
      [{ algorithm, use: 'sign', secret: ` \r\n${pem(rsa.publicKey)}` }, /^is a PEM key/],
      [{ algorithm, use: 'sign', secret: JSON.stringify(jwk(rsa.publicKey)) }, /^is a JSON Web Key as text/],
      [{ algorithm, use: 'sign', secret: rsa.publicKey }, /^is a public key, and a secret/],
      [{ algorithm, use: 'sign', secret: ec.privateKey }, /^is a private key, and a secret/],
      [{ algorithm, use: 'sign', secret: jwk(ec.privateKey) }, /^is not a JSON Web Key of a secret/],
      [{ algorithm, use: 'sign', secret: { kty: 'oct' } }, /^is not a JSON Web Key of a secret/],
      [{ algorithm, use: 'verify', publicKey: pem(rsa.publicKey) }, /^is a key pair, and HS\d+ needs a secret/],
      [{ algorithm, use: 'sign', privateKey: pem(rsa.privateKey) }, /^is a key pair, and HS\d+ needs a secret/]
    ] as const),
    ...(['RS256', 'PS256', 'ES256', 'EdDSA'] as const).flatMap(algorithm => [
      [{ algorithm, use: 'sign', secret: SECRET.toString('hex') }, /^is a secret, and \w+ needs a key pair/],
      [{ algorithm, use: 'sign', publicKey: pem(pairFor(algorithm).publicKey) }, /^is a public key, which cannot sign/],
      [{ algorithm, use: 'sign', privateKey: pem(pairFor(algorithm).publicKey) }, /^is not a private key/],
      [{ algorithm, use: 'sign', privateKey: pairFor(algorithm).publicKey }, /^is a public key, and a private one/],
      [{ algorithm, use: 'sign', privateKey: jwk(pairFor(algorithm).publicKey) }, /^is not a private key/],
      [{ algorithm, use: 'verify', publicKey: pem(pairFor(algorithm).privateKey) }, /^is not a public key/],
      [{ algorithm, use: 'verify', publicKey: pairFor(algorithm).privateKey }, /^is a private key, and a public one/],
      [{ algorithm, use: 'verify', publicKey: jwk(pairFor(algorithm).privateKey) }, /^is not a public key/],
      [{ algorithm, use: 'verify', publicKey: createSecretKey(SECRET) }, /^is a secret key, and a public one/],
      [{ algorithm, use: 'sign', privateKey: '-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----' }, /^cannot be read/],
      [{ algorithm, use: 'sign', privateKey: encrypted }, /^cannot be read: a private key is PEM without a passphrase/],
      [{ algorithm, use: 'verify', publicKey: 'x' }, /^cannot be read/],
      [{ algorithm, use: 'verify', publicKey: {} }, /^cannot be read/],
      [{ algorithm, use: 'verify', publicKey: jwk(x25519.publicKey) }, /^is of type x25519/],
      [{ algorithm, use: 'verify', publicKey: jwk(pairFor(algorithm).publicKey, { use: 'enc' }) }, /not for signatures/],
      [{ algorithm, use: 'verify', publicKey: jwk(pairFor(algorithm).publicKey, { alg: 'RS512' }) }, /another algorithm/],
      [{ algorithm, use: 'verify', publicKey: jwk(pairFor(algorithm).publicKey, { kid: 'k2' }) }, /another kid/],
      [{ algorithm, use: 'verify', publicKey: jwk(pairFor(algorithm).publicKey, { key_ops: ['encrypt'] }) }, /other operations/],
      [{ algorithm, use: 'verify', publicKey: jwk(pairFor(algorithm).publicKey, { key_ops: 'verify' }) }, /other operations/],
      [{ algorithm, use: 'sign', privateKey: jwk(pairFor(algorithm).privateKey, { key_ops: ['verify'] }) }, /other operations/],
      [{ algorithm, use: 'sign' }, /^needs exactly one of/],
      [{ algorithm, use: 'sign', privateKey: pairFor(algorithm).privateKey, publicKey: pairFor(algorithm).publicKey }, /^needs exactly one of/]
    ] as const),
    [{ algorithm: 'RS256', use: 'verify', publicKey: small.publicKey }, /^has 1024 bits and needs at least 2048$/],
    [{ algorithm: 'PS256', use: 'sign', privateKey: small.privateKey }, /^has 1024 bits/],
    [{ algorithm: 'RS256', use: 'verify', publicKey: EXPONENT_ONE }, /^has a public exponent under 65537$/],
    [{ algorithm: 'RS256', use: 'verify', publicKey: { kty: 'RSA', e: 'AQAB', n: powerOfGenerator(150n) } }, /^comes from a generator .*ROCA/],
    [{ algorithm: 'RS256', use: 'sign', privateKey: three.privateKey }, /^has a public exponent/],
    [{ algorithm: 'PS256', use: 'verify', publicKey: pss.publicKey }, /^is of type rsa-pss, and PS256 needs rsa$/],
    [{ algorithm: 'RS256', use: 'verify', publicKey: ec.publicKey }, /^is of type ec, and RS256 needs rsa$/],
    [{ algorithm: 'ES256', use: 'verify', publicKey: ed.publicKey }, /^is of type ed25519, and ES256 needs ec$/],
    [{ algorithm: 'EdDSA', use: 'verify', publicKey: ec.publicKey }, /^is of type ec, and EdDSA needs ed25519$/],
    [{ algorithm: 'EdDSA', use: 'verify', publicKey: ed448.publicKey }, /^is of type ed448/],
    [{ algorithm: 'ES256', use: 'verify', publicKey: p384.publicKey }, /^is on the curve secp384r1, and ES256 needs P-256$/],
    [{ algorithm: 'ES256', use: 'sign', privateKey: secp256k1.privateKey }, /^is on the curve secp256k1/],
    [{ algorithm: 'ES256', use: 'verify', publicKey: jwk(ec.publicKey, { y: ec.publicKey.export({ format: 'jwk' }).x }) }, /^cannot be read/],
    [{ algorithm: 'ES256', use: 'sign', privateKey: { ...other, d: String(jwk(ec.privateKey).d) } }, /^has a private and a public key that do not match$/],
    [{ algorithm: 'EdDSA', use: 'sign', privateKey: jwk(ed.privateKey, { d: 'AA' }) }, /^cannot be read/],
    [{ algorithm: 'RS256', use: 'sign', privateKey: jwk(rsa.privateKey, { n: otherRsa.n }) }, /^(cannot be read|has a private and a public key that do not match)/]
  ]

  for (const [options, sentence] of REFUSED) demandRefusal(t, { ...options, kid: 'k1' }, sentence)
})

function demandRefusal (t: Test, options: KeyOptions, sentence: RegExp): void {
  const { kid, ...rest } = options
  let complaint = ''
  try {
    importKey(options)
  } catch (error) {
    t.type(error, TypeError)
    t.equal((error as Error).cause, undefined, 'not even below')
    complaint = (error as Error).message
  }
  t.match(complaint, sentence, `${kid}: ${inspect(rest, { depth: 0, maxStringLength: 30, breakLength: Infinity })}`)
  t.ok(complaint.length < 200, 'no key fits in there')
}

t.test('a KeyObject of another realm is accepted by its type', async t => {
  const { privateKey } = pairFor('ES256')
  const again = createPrivateKey(pem(privateKey))
  t.ok(importKey({ kid: 'k1', algorithm: 'ES256', use: 'sign', privateKey: again }).verifies.equals(createPublicKey(again)))
})

/** Self-signed with a P-256 key that nobody kept. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBhzCCAS2gAwIBAgIUdXKmZofKcuoTFWz++Vp+a2QrhD0wCgYIKoZIzj0EAwIw
GDEWMBQGA1UEAwwNbG9naW4uZXhhbXBsZTAgFw0yNjExMjExNDU3MjRaGA8yMTI2
MTAyODE0NTcyNFowGDEWMBQGA1UEAwwNbG9naW4uZXhhbXBsZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABPiFA2EbYH320YJQA7d1PLhMP24XIBEEl9Ps2Goe+tZC
HdPx5nMo71aI7B06jUN4ZCR6wydw++sYLhNtOI2zmR2jUzBRMB0GA1UdDgQWBBR+
dEZxFl6k9Uw6jPKtDRbmus/huzAfBgNVHSMEGDAWgBR+dEZxFl6k9Uw6jPKtDRbm
us/huzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIAY0vDY6HlpI
2NPEOpP5lSJMXa2vzMK55NKCWi+l+2mZAiEA4eH4zVpGYcE3Qnwd+8bFLPpVPFCE
euFHq3T6Zp53AmE=
-----END CERTIFICATE-----`
