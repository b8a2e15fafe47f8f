import t from 'tap'
import { changeKeyRing, createKeyRing, isSameRing, type KeyRing } from '../../lib/keys/ring.js'
import { importKey, type KeyOptions } from '../../lib/keys/import.js'
import { generateKey } from '../support/keys.js'

const OLD = generateKey('ES256', 'old')
const NEW = generateKey('EdDSA', 'new')
const propagated = () => true
const notPropagated = () => false

function ring (...keys: KeyOptions[]): KeyRing {
  return createKeyRing(keys.map(importKey))
}

const kids = ({ signing, byKid }: KeyRing) => [signing?.kid, ...byKid.keys()]

t.test('key rotation: a new key verifies at once, and signs once it is propagated', async t => {
  const current = ring(OLD.signs)
  const next = ring(NEW.signs, OLD.verifies)
  const waiting = changeKeyRing(current, next, notPropagated)
  t.strictSame(kids(waiting), ['old', 'new', 'old'])
  t.equal(waiting.signing, current.signing, 'with the half that signs, which the new ring does not have')
  t.strictSame(kids(changeKeyRing(waiting, next, notPropagated)), ['old', 'new', 'old'], 'however often it is read')
  t.strictSame(kids(changeKeyRing(waiting, next, propagated)), ['new', 'new', 'old'])
})

t.test('key leak: a removed key stops at once, and the new one signs', async t => {
  t.strictSame(kids(changeKeyRing(ring(OLD.signs), ring(NEW.signs), notPropagated)), ['new', 'new'])
})

t.test('key rotation: the current key continues to sign', async t => {
  for (const isPropagated of [propagated, notPropagated]) t.strictSame(kids(changeKeyRing(ring(OLD.signs), ring(OLD.signs, NEW.verifies), isPropagated)), ['old', 'old', 'new'])
})

t.test('a kid cannot be reused for another key', async t => {
  const impostor = generateKey('ES256', 'old')
  t.throws(() => changeKeyRing(ring(OLD.signs), ring(impostor.signs), propagated), { name: 'TypeError', message: /a kid was reused for another key/ })
  const [one, other] = [generateKey('RS256', 'old'), generateKey('PS256', 'old')]
  const { privateKey } = one.signs
  t.throws(() => changeKeyRing(ring(one.signs), ring({ ...other.signs, privateKey }), propagated), /a kid was reused for another key/, 'nor another algorithm')
})

t.test('a change cannot add the first signing key or remove the last', async t => {
  t.throws(() => changeKeyRing(ring(OLD.signs), ring(OLD.verifies), propagated), { name: 'TypeError', message: /restart/ })
  t.throws(() => changeKeyRing(ring(OLD.verifies), ring(OLD.signs), propagated), { name: 'TypeError', message: /restart/ })
  t.strictSame(kids(changeKeyRing(ring(OLD.verifies), ring(NEW.verifies), notPropagated)), [undefined, 'new'])
})

t.test('rings are equal if their keys and roles are', async t => {
  t.equal(isSameRing(ring(OLD.signs, NEW.verifies), ring(NEW.verifies, OLD.signs)), true)
  t.equal(isSameRing(ring(OLD.verifies), ring(OLD.verifies)), true)
  t.equal(isSameRing(ring({ ...OLD.signs, withoutKid: true }), ring({ ...OLD.signs, withoutKid: true })), true)
  const others = [ring(OLD.signs), ring(OLD.verifies, NEW.signs), ring(OLD.verifies, NEW.verifies), ring(OLD.signs, generateKey('EdDSA', 'third').verifies), ring(OLD.signs, { ...NEW.verifies, withoutKid: true })]
  for (const other of others) t.equal(isSameRing(ring(OLD.signs, NEW.verifies), other), false)
})
