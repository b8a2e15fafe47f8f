import { createHash, createHmac } from 'node:crypto'
import t from 'tap'
import { importKey, type KeyOptions } from '../../lib/keys/import.js'
import { changeKeyRing, createKeyRing, deriveKeyRing, HMAC_KEY_LENGTHS, isSameRing, type HmacAlgorithm, type Key, type KeyRing, type TokenKind } from '../../lib/keys/ring.js'
import { generateKey } from '../support/keys.js'

const OLD = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'
const NEW = 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x'
const KINDS: readonly TokenKind[] = ['access', 'refresh']
const ALGORITHMS = Object.keys(HMAC_KEY_LENGTHS) as HmacAlgorithm[] // Object.keys is typed string[]

/** The bytes of a derived key. */
function bytesOf ({ verifies }: Key): Buffer {
  return verifies.export()
}

/** HKDF-SHA-256 by the letter of RFC 5869 section 2, without a salt. */
function hkdf (secret: string, info: string, length: number): Buffer {
  const prk = createHmac('sha256', Buffer.alloc(32)).update(secret).digest()
  let block = Buffer.alloc(0)
  let output = Buffer.alloc(0)
  for (let i = 1; output.length < length; i++) {
    block = createHmac('sha256', prk).update(block).update(info).update(Buffer.of(i)).digest()
    output = Buffer.concat([output, block])
  }
  return output.subarray(0, length)
}

t.test('a key is the HKDF of its secret, kind and algorithm: changing this would log out every user', async t => {
  for (const kind of KINDS) {
    for (const algorithm of ALGORITHMS) {
      const { signing } = deriveKeyRing([OLD], kind, algorithm)
      t.strictSame(bytesOf(signing), hkdf(OLD, `fastify-refresh-cookie ${kind} ${algorithm}`, HMAC_KEY_LENGTHS[algorithm]), `${kind} ${algorithm}`)
      t.equal(signing.algorithm, algorithm)
      t.equal(signing.kid, createHash('sha256').update(`kid ${kind}`).update(bytesOf(signing)).digest('base64url').slice(0, 11))
    }
  }
})

t.test('every key is as long as its hash', async t => {
  for (const [algorithm, bytes] of [['HS256', 32], ['HS384', 48], ['HS512', 64]] as const) {
    t.equal(deriveKeyRing([OLD], 'access', algorithm).signing.verifies.symmetricKeySize, bytes, algorithm)
  }
})

t.test('token confusion: kinds, algorithms and secrets never share a key or a kid', async t => {
  const keys = [OLD, NEW].flatMap(secret => KINDS.flatMap(kind => ALGORITHMS.map(algorithm => deriveKeyRing([secret], kind, algorithm).signing)))
  t.equal(new Set(keys.map(({ kid }) => kid)).size, 12)
  t.equal(new Set(keys.map(key => bytesOf(key).toString('hex').slice(0, 32))).size, 12)
})

t.test('key rotation: the first secret signs and all verify, each with a kid that does not depend on its position', async t => {
  const before = deriveKeyRing([OLD], 'refresh', 'HS256')
  const after = deriveKeyRing([NEW, OLD], 'refresh', 'HS256')
  t.not(after.signing.kid, before.signing.kid)
  t.equal(after.byKid.get(after.signing.kid), after.signing)
  t.ok(after.byKid.get(before.signing.kid)?.verifies.equals(before.signing.verifies))
  t.equal(after.byKid.size, 2)
})

t.test('an unknown kid has no key', async t => {
  const { byKid, signing } = deriveKeyRing([OLD], 'access', 'HS256')
  for (const kid of ['', '__proto__', 'constructor', 'toString', '../../dev/null', signing.kid.toUpperCase(), ` ${signing.kid}`]) t.equal(byKid.get(kid), undefined, kid)
})

t.test('a kid reveals nothing about its secret', async t => {
  const { signing } = deriveKeyRing([OLD], 'access', 'HS256')
  const { kid } = signing
  t.match(kid, /^[\w-]{11}$/)
  for (const encoding of ['base64url', 'hex', 'latin1'] as const) t.notOk(bytesOf(signing).toString(encoding).includes(kid))
})

t.test('a ring signs with the first signing key, and has the key for tokens without a kid', async t => {
  const [first, second, third] = [OLD, NEW, `${OLD}${NEW}`].map(secret => deriveKeyRing([secret], 'access', 'HS256').signing)
  if (first === undefined || second === undefined || third === undefined) throw new Error('three keys were made')
  const retired = { ...first, signs: null }
  t.match(createKeyRing([retired, second, { ...third, withoutKid: true }]), { signing: second, unnamed: { kid: third.kid } })
  t.match(createKeyRing([retired]), { signing: null, unnamed: null })
  t.equal(createKeyRing([]).byKid.size, 0)
})

t.test('a ring needs a key', async t => {
  t.throws(() => deriveKeyRing([], 'access', 'HS256'), TypeError)
})

const OLD_KEY = generateKey('ES256', 'old')
const NEW_KEY = generateKey('EdDSA', 'new')
const propagated = () => true
const notPropagated = () => false

function ring (...keys: KeyOptions[]): KeyRing {
  return createKeyRing(keys.map(importKey))
}

const kids = ({ signing, byKid }: KeyRing) => [signing?.kid, ...byKid.keys()]

t.test('key rotation: a new key verifies at once, and signs once it is propagated', async t => {
  const current = ring(OLD_KEY.signs)
  const next = ring(NEW_KEY.signs, OLD_KEY.verifies)
  const waiting = changeKeyRing(current, next, notPropagated)
  t.strictSame(kids(waiting), ['old', 'new', 'old'])
  t.equal(waiting.signing, current.signing, 'with the half that signs, which the new ring does not have')
  t.strictSame(kids(changeKeyRing(waiting, next, notPropagated)), ['old', 'new', 'old'], 'however often it is read')
  t.strictSame(kids(changeKeyRing(waiting, next, propagated)), ['new', 'new', 'old'])
})

t.test('key leak: a removed key stops at once, and the new one signs', async t => {
  t.strictSame(kids(changeKeyRing(ring(OLD_KEY.signs), ring(NEW_KEY.signs), notPropagated)), ['new', 'new'])
})

t.test('key rotation: the current key continues to sign', async t => {
  for (const isPropagated of [propagated, notPropagated]) t.strictSame(kids(changeKeyRing(ring(OLD_KEY.signs), ring(OLD_KEY.signs, NEW_KEY.verifies), isPropagated)), ['old', 'old', 'new'])
})

t.test('a kid cannot be reused for another key', async t => {
  const impostor = generateKey('ES256', 'old')
  t.throws(() => changeKeyRing(ring(OLD_KEY.signs), ring(impostor.signs), propagated), { name: 'TypeError', message: /a kid was reused for another key/ })
  const [one, other] = [generateKey('RS256', 'old'), generateKey('PS256', 'old')]
  const { privateKey } = one.signs
  t.throws(() => changeKeyRing(ring(one.signs), ring({ ...other.signs, privateKey }), propagated), /a kid was reused for another key/, 'nor another algorithm')
})

t.test('a change cannot add the first signing key or remove the last', async t => {
  t.throws(() => changeKeyRing(ring(OLD_KEY.signs), ring(OLD_KEY.verifies), propagated), { name: 'TypeError', message: /restart/ })
  t.throws(() => changeKeyRing(ring(OLD_KEY.verifies), ring(OLD_KEY.signs), propagated), { name: 'TypeError', message: /restart/ })
  t.strictSame(kids(changeKeyRing(ring(OLD_KEY.verifies), ring(NEW_KEY.verifies), notPropagated)), [undefined, 'new'])
})

t.test('rings are equal if their keys and roles are', async t => {
  t.equal(isSameRing(ring(OLD_KEY.signs, NEW_KEY.verifies), ring(NEW_KEY.verifies, OLD_KEY.signs)), true)
  t.equal(isSameRing(ring(OLD_KEY.verifies), ring(OLD_KEY.verifies)), true)
  t.equal(isSameRing(ring({ ...OLD_KEY.signs, withoutKid: true }), ring({ ...OLD_KEY.signs, withoutKid: true })), true)
  const others = [ring(OLD_KEY.signs), ring(OLD_KEY.verifies, NEW_KEY.signs), ring(OLD_KEY.verifies, NEW_KEY.verifies), ring(OLD_KEY.signs, generateKey('EdDSA', 'third').verifies), ring(OLD_KEY.signs, { ...NEW_KEY.verifies, withoutKid: true })]
  for (const other of others) t.equal(isSameRing(ring(OLD_KEY.signs, NEW_KEY.verifies), other), false)
})
