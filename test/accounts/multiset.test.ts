import t from 'tap'
import { createMultiset } from '../../lib/accounts/throttle.js'

t.test('a multiset counts each string', async t => {
  const texts = createMultiset()
  t.equal(texts.has('a'), false)
  for (const add of ['a', 'b', 'a']) texts.add(add)
  texts.remove('a')
  t.equal(texts.has('a'), true)
  texts.remove('a')
  t.strictSame([texts.has('a'), texts.has('b')], [false, true])
})

t.test('a string that is missing can be removed', async t => {
  const texts = createMultiset()
  texts.remove('a')
  texts.add('a')
  t.equal(texts.has('a'), true)
})
