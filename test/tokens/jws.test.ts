import { createHmac, createPublicKey, createSecretKey, randomBytes } from 'node:crypto'
import t from 'tap'
import { HMAC_KEY_LENGTHS, isHmac, type Algorithm, type SigningKey } from '../../lib/keys/ring.js'
import { createSigner, createVerifier, decode } from '../../lib/tokens/jwt.js'
import { ALGORITHMS, generatePair } from '../support/keys.js'
import { respelled } from './forge.js'

function keyFor (algorithm: Algorithm): SigningKey {
  const named = { kid: 'k1', algorithm, withoutKid: false }
  if (isHmac(algorithm)) {
    const key = createSecretKey(randomBytes(HMAC_KEY_LENGTHS[algorithm]))
    return { ...named, signs: key, verifies: key }
  }
  const { privateKey, publicKey } = generatePair(algorithm)
  return { ...named, signs: privateKey, verifies: publicKey }
}

const CLAIMS = { sub: 'Ægir', exp: 2_000_000_000, roles: ['admin', '🙂'] }

for (const algorithm of ALGORITHMS) {
  t.test(`${algorithm}: a token verifies with its own key only, and only as it was signed`, async t => {
    const [key, other] = [keyFor(algorithm), keyFor(algorithm)]
    const verify = createVerifier(key)
    const token = createSigner(key, 'at+jwt')(CLAIMS)
    t.strictSame(verify(token), CLAIMS)
    const [header = '', payload = '', signature = ''] = token.split('.')
    t.strictSame(JSON.parse(String(decode(header))), { alg: algorithm, typ: 'at+jwt', kid: 'k1' })

    t.equal(createVerifier(other)(token), undefined, 'another key')
    const changed = Buffer.from(JSON.stringify({ ...CLAIMS, sub: 'eve' })).toString('base64url')
    for (const forged of [
      `${header}.${changed}.${signature}`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature.slice(0, -4)}`,
      `${header}.${payload}.${signature}AAAA`,
      `.${payload}.${signature}`,
      `${payload}.${signature}`,
      signature,
      ''
    ]) t.equal(verify(forged), undefined, forged)
    for (const spelling of [`${token}=`, `${token} `, `${token}\n`, `${header}.${payload}.!${signature}`]) t.equal(verify(spelling), undefined, 'another spelling')
  })
}

t.test('the unused bits of a signature give a token no second spelling', async t => {
  for (const algorithm of ['HS256', 'ES256', 'EdDSA'] as const) {
    const key = keyFor(algorithm)
    const token = createSigner(key, 'at+jwt')(CLAIMS)
    for (const spelling of respelled(token)) t.equal(createVerifier(key)(spelling), undefined, algorithm)
  }
})

t.test('a signed payload that is not canonical base64url of JSON is refused', async t => {
  const key = keyFor('HS256')
  const sign = (payload: string): string => {
    const text = `e30.${payload}`
    return `${text}.${createHmac('sha256', key.signs).update(text).digest('base64url')}`
  }
  t.strictSame(createVerifier(key)(sign('e30')), {})
  for (const payload of ['e30=', 'e31', 'e3 0', 'e30.e30', 'e']) t.equal(createVerifier(key)(sign(payload)), undefined, payload)
  for (const payload of ['', 'bm9uZQ']) t.throws(() => createVerifier(key)(sign(payload)), SyntaxError, payload)
})

t.test('the examples of RFC 7515, appendices A.1 and A.3', async t => {
  const payload = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'
  const claims = { iss: 'joe', exp: 1_300_819_380, 'http://example.com/is_root': true }
  const secret = createSecretKey('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', 'base64url')
  const publicKey = createPublicKey({
    format: 'jwk',
    key: { kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0' }
  })
  const named = { kid: 'k1', signs: null, withoutKid: false }
  t.strictSame(createVerifier({ ...named, algorithm: 'HS256', verifies: secret })(`eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${payload}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`), claims)
  t.strictSame(createVerifier({ ...named, algorithm: 'ES256', verifies: publicKey })(`eyJhbGciOiJFUzI1NiJ9.${payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`), claims)
})
