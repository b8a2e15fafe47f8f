import { createHash, createHmac } from 'node:crypto'
import t from 'tap'
import { createKeyRing, deriveKeyRing, HMAC_KEY_LENGTHS, type HmacAlgorithm, type Key, type TokenKind } from '../../lib/keys/ring.js'

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
