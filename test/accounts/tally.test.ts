import t from 'tap'
import { createMultiset } from '../../lib/accounts/throttle.js'

t.test('a text is there as often as it was added', async t => {
  const tally = createMultiset()
  t.equal(tally.has('a'), false)
  for (const add of ['a', 'b', 'a']) tally.add(add)
  tally.remove('a')
  t.equal(tally.has('a'), true)
  tally.remove('a')
  t.strictSame([tally.has('a'), tally.has('b')], [false, true])
})

t.test('what is not there can be taken away', async t => {
  const tally = createMultiset()
  tally.remove('a')
  tally.add('a')
  t.equal(tally.has('a'), true)
})
