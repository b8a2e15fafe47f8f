import { readFileSync } from 'node:fs'
import t from 'tap'
import { DOCUMENTATION } from '../support/documentation.js'
import { fakeClock } from '../support/fake-clock.js'
import { newSession } from '../support/session.js'
import { keepsTheContract } from '../support/store-contract.js'
import { keyValueStore, type KeyValueService } from './example-store.js'

/** A service in this process: as slow as a network, so that calls overlap. */
function fakeService (): KeyValueService {
  const entries = new Map<string, { value: string, version: number }>()
  const soon = () => new Promise(setImmediate)

  return {
    async get (key) {
      await soon()
      return entries.get(key) ?? null
    },
    async put (key, value, version) {
      await soon()
      if ((entries.get(key)?.version ?? null) !== version) return false
      entries.set(key, { value, version: (version ?? 0) + 1 })
      return true
    },
    async keys (prefix) {
      await soon()
      return [...entries.keys()].filter(key => key.startsWith(prefix))
    }
  }
}

keepsTheContract(t, ({ clock }) => keyValueStore(fakeService(), clock))

t.test('stores on one service share their sessions', async t => {
  const service = fakeService()
  const [here, there] = [keyValueStore(service, fakeClock().now), keyValueStore(service)]
  const session = newSession()
  await here.create(session)
  await there.revoke(session.id, 'logout')
  t.equal((await here.get(session.id))?.reason, 'logout')
})

t.test('a write that loses each time is an error', async t => {
  const service = fakeService()
  const store = keyValueStore({ ...service, put: async (key, value, version) => version === null && await service.put(key, value, version) })
  const session = newSession()
  await store.create(session)
  await t.rejects(store.revoke(session.id, 'logout'))
  t.equal((await store.get(session.id))?.revokedAt ?? null, null)
})

t.test('the documentation shows this store as it is', async t => {
  const source = readFileSync(new URL('example-store.ts', import.meta.url), 'utf8')
  t.ok(DOCUMENTATION.includes(`\`\`\`ts\n${source}\`\`\`\n`))
})
