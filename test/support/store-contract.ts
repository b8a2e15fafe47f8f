import { type Test } from 'tap'
import { type SessionStore } from '../../lib/sessions/store.js'
import { type Clock } from '../../lib/time.js'
import { storeContract } from '../../lib/testing/index.js'

/** Tests stores, each on a new table or key prefix, by the contract. */
export function keepsTheContract (t: Test, newStore: (options: { readonly clock?: Clock }, t: Test) => SessionStore): void {
  for (const { name, run } of storeContract(newStore({}, t))) t.test(name, t => run(options => newStore(options, t)))
}
