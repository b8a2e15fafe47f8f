import t from 'tap'
import { createPepper } from '../../lib/accounts/pepper.js'

const K1 = 'fN3#pL8!wQ5@xC2$zV7%uB1^mR9&kT4*'
const K2 = 'hD6!sG1@jF4#aY9$oP2%eW7^iU3&nX8*'

t.test('key rotation: new hashes use the current key, old ones verify with theirs', async t => {
  const pepper = createPepper({ current: 'k2', keys: { k1: K1, k2: K2 } })
  t.equal(pepper.currentId, 'k2')
  t.strictSame(pepper.current, Buffer.from(K2))
  t.strictSame(pepper.keyOf('k1'), Buffer.from(K1))
  t.strictSame(pepper.keyOf(null), Buffer.alloc(0), 'a hash without a key id has no pepper')
})

t.test('an unknown key id has no key, whatever its name', async t => {
  const pepper = createPepper({ current: 'k2', keys: { k2: K2 } })
  for (const id of ['k1', '', 'toString', '__proto__', 'null']) t.equal(pepper.keyOf(id), undefined, id)
})

t.test('without the option the pepper is empty', async t => {
  const pepper = createPepper({ current: null, keys: {} })
  t.equal(pepper.currentId, null)
  t.equal(pepper.current.length, 0)
  t.equal(pepper.keyOf('k1'), undefined)
})

t.test('a missing current key is refused', async t => {
  for (const current of ['k3', 'toString', '']) {
    t.throws(() => createPepper({ current, keys: { k1: K1 } }), { name: 'TypeError', message: /passwords\.pepper\.current/ })
  }
})
