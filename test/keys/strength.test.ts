import { createHash, createPublicKey, generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { isRoca, secretWeakness } from '../../lib/keys/strength.js'
import { powerOfGenerator } from '../support/keys.js'

const PEM = '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ\n-----END PRIVATE KEY-----'

t.test('brute force: a secret that is short, repetitive or a key of another kind is weak, and never printed', async t => {
  const weak = [
    '', 'secret', 'é'.repeat(15), randomBytes(31),
    'x'.repeat(32), 'abcdefg'.repeat(10), Buffer.alloc(64, 7),
    'thisisasecret'.repeat(3), '0123456789abcdef'.repeat(4), 'undefined'.repeat(4), 'abcdefghijklmnopqrstuvwxyz0123456789', 'ZYXWVUTSRQPONMLKJIHGFEDCBA9876543210', 'passwordpasswordpasswordpassword1', 'keyboard cat keyboard cat keyboard cat!!', `${'kJ8#vQ2!mZ7@'.repeat(3)}kJ8`,
    PEM, ` ${PEM}`, `\r\n${PEM}`, Buffer.from(PEM),
    '{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4"}', ' [{ "alg": "ES256", "kty": "EC", "crv": "P-256" }]'
  ]
  for (const secret of weak) {
    const sentence = secretWeakness(secret)
    t.type(sentence, 'string', String(secret))
    if (secret.length > 0) t.notOk(sentence?.includes(String(secret)), 'not printed')
  }
})

t.test('guessing: a placeholder of a configuration template is weak', async t => {
  const TEMPLATES = [
    '<random_string_at_least_32_characters_long>', 'change-me-change-me-change-me-12345', 'CHANGE_THIS_SECRET_IN_PRODUCTION_1', 'replace_with_a_long_random_string_',
    'your-super-secret-jwt-key-for-this-app', 'this-is-your-256-bit-long-secret-0', 'a placeholder for the secret of the app',
    'process.env.AUTH_SECRET or something', '${AUTH_SECRET_OF_THE_EXAMPLE_SERVER}', '$AUTH_SECRET_OF_THE_EXAMPLE_SERVER', // eslint-disable-line no-template-curly-in-string
    'dev-secret-do-not-use-in-production', 'super-secret-key-that-is-at-least-32-chars', 'my super secret key for jwt tokens 123', 'jwt_secret_at_least_256_bits_or_32_chars',
    'super-secret-key-that-is-at-least-32-characters-long!', 'ThisIsAVerySecretKeyForJwt1234567890', 'MySuperSecretKeyForJWTSigning2024!!', 'ChangeThisSecretInProduction12345!',
    '${{ secrets.AUTH_SECRET_PRODUCTION }}', '{{ .Values.auth.secret }} of the chart', '${AUTH_SECRET:-default-secret-for-dev}', 'op://vault/item/of/the/auth/server', // eslint-disable-line no-template-curly-in-string
    'correct horse battery staple correct horse', 'Correct-Horse-Battery-Staple-2026', 'The quick brown fox jumps over the lazy dog', 'Lorem ipsum dolor sit amet consectetur', 'correct  horse  battery - staple!!',
    'openssl rand -base64 48 > .env AUTH_SECRET', '/run/secrets/auth/production/secret.txt', '[object Promise] [object Promise]!'
  ]
  for (const secret of TEMPLATES) t.match(secretWeakness(secret), /placeholder/, secret)
})

t.test('guessing: a published secret is weak, however long', async t => {
  for (const secret of ['LongDefaultSecretKeyForEncryption', 'My-ultRa-Secure-ulTra-long-SeCreT-of-nodeJs', 'a-string-secret-at-least-256-bits-long']) {
    t.match(secretWeakness(secret), /^is a placeholder or from an example/)
    t.match(secretWeakness(`${secret}\n`), /^is a placeholder or from an example/, 'with the end of its line')
    for (const encoding of ['base64', 'base64url', 'hex'] as const) t.match(secretWeakness(Buffer.from(secret).toString(encoding)), /^is a placeholder or from an example/, encoding)
  }
})

t.test('guessing: bytes that count, in any spelling, and hashes of words are weak', async t => {
  const counted = Buffer.from(Array.from({ length: 32 }, (_, byte) => byte))
  for (const secret of [counted, counted.toString('hex'), counted.toString('base64')]) t.match(secretWeakness(secret), 'is a sequence of characters')
  for (const secret of [Buffer.alloc(48, 'ab').toString('base64'), Buffer.alloc(32, 1).toString('hex')]) t.match(secretWeakness(secret), 'repeats the same few characters')
  for (const word of ['', 'password', 'secret']) {
    const hash = createHash('sha256').update(word).digest()
    for (const secret of [hash, hash.toString('hex'), hash.toString('base64')]) t.match(secretWeakness(secret), /^is a placeholder or from an example/, word)
  }
})

t.test('guessing: a UUID has 16 bytes', async t => {
  t.equal(secretWeakness(randomUUID()), 'is 16 bytes in hexadecimal and needs at least 32')
})

t.test('guessing: the examples of RFC 7515 and RFC 7520 are weak', async t => {
  for (const secret of ['AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', 'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg']) {
    for (const spelling of [secret, Buffer.from(secret, 'base64url')]) t.match(secretWeakness(spelling), /^is a placeholder or from an example/)
  }
})

t.test('a secret whose hash begins with the bytes between two entries of the list is good', async t => {
  t.equal(secretWeakness('no published secret, but number 588739'), null)
})

t.test('brute force: a secret needs the length of its hash', async t => {
  const bytes = randomBytes(64)
  for (const length of [32, 48, 64]) {
    t.equal(secretWeakness(bytes.subarray(0, length), length), null)
    t.equal(secretWeakness(bytes.subarray(1, length), length), `has ${length - 1} bytes and needs at least ${length}`)
  }
})

t.test('brute force: a hexadecimal secret needs two characters for each byte', async t => {
  const hex = randomBytes(32).toString('hex')
  t.equal(secretWeakness(hex), null)
  t.equal(secretWeakness(hex.toUpperCase().slice(0, 33)), 'is 16 bytes in hexadecimal and needs at least 32')
  t.equal(secretWeakness(hex, 64), 'is 32 bytes in hexadecimal and needs at least 64')
})

t.test('a secret with the entropy of 32 random bytes is good', async t => {
  const good = ['kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*', 'äöüÄÖÜßéèêáàâóòô', 'we exchange things with your neighbours, and they with us', 'a secret of ours that nobody else has', 'dev-secret-Zp4Kq9vT2mXw7RbY1nLc8HsD', '<kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*>', 'turkey random monkey devote secret hockey long rival', 'x'.repeat(16) + 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*']
  for (const secret of [...good, ...Array.from({ length: 300 }, () => randomBytes(32)), ...Array.from({ length: 300 }, () => randomBytes(32).toString('base64'))]) {
    t.equal(secretWeakness(secret), null)
  }
})

t.test('ROCA: a modulus with the fingerprint is detected', async t => {
  for (const exponent of [130n, 131n, 200n]) {
    t.equal(isRoca(createPublicKey({ key: { kty: 'RSA', n: powerOfGenerator(exponent), e: 'AQAB' }, format: 'jwk' })), true)
  }
})

t.test('ROCA: other keys pass', async t => {
  for (let i = 0; i < 5; i++) t.equal(isRoca(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey), false)
})
