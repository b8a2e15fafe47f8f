import t from 'tap'
import { randomId } from '../lib/random.js'

t.test('guessing: an id is 128 random bits in base64url', async t => {
  const ids = Array.from({ length: 1000 }, randomId)
  t.equal(new Set(ids).size, 1000)
  t.ok(ids.every(id => /^[\w-]{22}$/.test(id) && Buffer.from(id, 'base64url').length === 16))
})
