import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { isRoca } from '../../lib/keys/strength.js'
import { powerOfGenerator } from '../support/keys.js'

t.test('ROCA: a modulus with the fingerprint is detected', async t => {
  for (const exponent of [130n, 131n, 200n]) {
    t.equal(isRoca(createPublicKey({ key: { kty: 'RSA', n: powerOfGenerator(exponent), e: 'AQAB' }, format: 'jwk' })), true)
  }
})

t.test('ROCA: other keys pass', async t => {
  for (let i = 0; i < 5; i++) t.equal(isRoca(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey), false)
})
