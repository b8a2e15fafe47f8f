import t from 'tap'
import { mysqlStore } from '../../../lib/stores/mysql/index.js'
import { storeContract } from '../../../lib/testing/index.js'
import { mysqlPool } from '../../support/mysql.js'

t.test('on a server', async t => {
  const pool = await mysqlPool(t)
  if (pool === null) return
  let tables = 0
  for (const { name, run } of storeContract(mysqlStore(pool))) {
    t.test(name, () => run(({ clock }) => mysqlStore(pool, { clock, table: `sessions_${++tables}`, pollEveryMs: 20 })))
  }
})
