import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { isRoca } from '../../lib/keys/strength.js'
import { powerOfGenerator } from '../support/keys.js'

t.test('a modulus with the fingerprint of the broken generator is known', async t => {
  for (const exponent of [130n, 131n, 200n]) {
    t.equal(isRoca(createPublicKey({ key: { kty: 'RSA', n: powerOfGenerator(exponent), e: 'AQAB' }, format: 'jwk' })), true)
  }
})

t.test('other keys do not have it', async t => {
  for (let i = 0; i < 5; i++) t.equal(isRoca(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey), false)
})
