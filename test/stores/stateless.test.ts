import t from 'tap'
import { statelessStore } from '../../lib/stores/stateless.js'
import { keepsTheContract } from '../support/store-contract.js'

keepsTheContract(t, statelessStore)

t.test('revocation has no effect, since nothing is stored', async t => {
  const store = statelessStore()
  t.equal(await store.revoke('id', 'logout'), false)
  t.equal(await store.revokeAll('ada', 'logout'), 0)
})
