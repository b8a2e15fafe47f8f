import t from 'tap'
import { statelessStore } from '../../lib/stores/stateless.js'
import { storeContract } from '../../lib/testing/index.js'

for (const { name, run } of storeContract(statelessStore())) {
  t.test(name, () => run(statelessStore))
}

t.test('revocation has no effect, since nothing is stored', async t => {
  const store = statelessStore()
  t.equal(await store.revoke('id', 'logout'), false)
  t.equal(await store.revokeAll('ada', 'logout'), 0)
})
