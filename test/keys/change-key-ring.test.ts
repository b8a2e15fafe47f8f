import t from 'tap'
import { changeKeyRing, createKeyRing, isSameRing, type KeyRing } from '../../lib/keys/ring.js'
import { importKey, type KeyOptions } from '../../lib/keys/import.js'
import { generateKey } from '../support/keys.js'

const OLD = generateKey('ES256', 'old')
const NEW = generateKey('EdDSA', 'new')
const ripe = () => true
const unripe = () => false

function ring (...keys: KeyOptions[]): KeyRing {
  return createKeyRing(keys.map(importKey))
}

const kids = ({ signing, byKid }: KeyRing) => [signing?.kid, ...byKid.keys()]

t.test('a new key verifies at once, and signs when it is ripe', async t => {
  const current = ring(OLD.signs)
  const next = ring(NEW.signs, OLD.verifies)
  const waiting = changeKeyRing(current, next, unripe)
  t.strictSame(kids(waiting), ['old', 'new', 'old'])
  t.equal(waiting.signing, current.signing, 'with the half that signs, which the new ring does not have')
  t.strictSame(kids(changeKeyRing(waiting, next, unripe)), ['old', 'new', 'old'], 'however often it is read')
  t.strictSame(kids(changeKeyRing(waiting, next, ripe)), ['new', 'new', 'old'])
})

t.test('a key that is gone stops at once, and the new one takes its place', async t => {
  t.strictSame(kids(changeKeyRing(ring(OLD.signs), ring(NEW.signs), unripe)), ['new', 'new'])
})

t.test('the key that signs now goes on, ripe or not', async t => {
  for (const isPropagated of [ripe, unripe]) t.strictSame(kids(changeKeyRing(ring(OLD.signs), ring(OLD.signs, NEW.verifies), isPropagated)), ['old', 'old', 'new'])
})

t.test('a kid never means another key', async t => {
  const impostor = generateKey('ES256', 'old')
  t.throws(() => changeKeyRing(ring(OLD.signs), ring(impostor.signs), ripe), { name: 'TypeError', message: /a kid means another key/ })
  const [one, other] = [generateKey('RS256', 'old'), generateKey('PS256', 'old')]
  const { privateKey } = one.signs
  t.throws(() => changeKeyRing(ring(one.signs), ring({ ...other.signs, privateKey }), ripe), /a kid means another key/, 'nor another algorithm')
})

t.test('a service that signs goes on signing, and one that only verifies never begins', async t => {
  t.throws(() => changeKeyRing(ring(OLD.signs), ring(OLD.verifies), ripe), { name: 'TypeError', message: /restart/ })
  t.throws(() => changeKeyRing(ring(OLD.verifies), ring(OLD.signs), ripe), { name: 'TypeError', message: /restart/ })
  t.strictSame(kids(changeKeyRing(ring(OLD.verifies), ring(NEW.verifies), unripe)), [undefined, 'new'])
})

t.test('rings are the same if their keys are, in the same roles', async t => {
  t.equal(isSameRing(ring(OLD.signs, NEW.verifies), ring(NEW.verifies, OLD.signs)), true)
  t.equal(isSameRing(ring(OLD.verifies), ring(OLD.verifies)), true)
  t.equal(isSameRing(ring({ ...OLD.signs, withoutKid: true }), ring({ ...OLD.signs, withoutKid: true })), true)
  const others = [ring(OLD.signs), ring(OLD.verifies, NEW.signs), ring(OLD.verifies, NEW.verifies), ring(OLD.signs, generateKey('EdDSA', 'third').verifies), ring(OLD.signs, { ...NEW.verifies, withoutKid: true })]
  for (const other of others) t.equal(isSameRing(ring(OLD.signs, NEW.verifies), other), false)
})
