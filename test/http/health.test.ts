import t from 'tap'
import { HashingQueue } from '../../lib/accounts/hashing-queue.js'
import { memoryStore } from '../../lib/index.js'
import { FAST_HASHING, SECRET, server } from '../support/server.js'

const FINE = { ok: true, store: true, revocationFeed: true, keys: true, passwordQueue: true, rateLimits: true }

t.test('health: an instance whose parts work is ready', async t => {
  const s = await server(t)
  t.strictSame(await s.app.authHealth(), FINE)
  const immediate = await server(t, { revocation: 'immediate' })
  t.strictSame(await immediate.app.authHealth(), FINE)
})

t.test('health: a store that fails makes an instance not ready, without a rejection', async t => {
  const s = await server(t)
  s.store.faults.push({ moment: 'before', kind: 'throw', call: 'get' })
  t.strictSame(await s.app.authHealth(), { ...FINE, ok: false, store: false })
  t.strictSame(await s.app.authHealth(), FINE, 'until it is back')
})

t.test('health: keys whose reload failed are reported until one succeeds, and the instance stays ready', async t => {
  let isAway = false
  const s = await server(t, {
    async secret () {
      if (isAway) throw new Error('the vault is away')
      return SECRET
    }
  })
  isAway = true
  await t.rejects(s.app.reloadKeys())
  t.strictSame(await s.app.authHealth(), { ...FINE, keys: false })
  isAway = false
  await s.app.reloadKeys()
  t.strictSame(await s.app.authHealth(), FINE)
})

t.test('health: a revocation feed that is down makes an instance not ready', async t => {
  const store = memoryStore()
  let connection = (_up: boolean): void => {}
  const s = await server(t, {
    revocation: 'immediate',
    store: Object.assign(store, {
      subscribe (_listener: unknown, onConnection: (up: boolean) => void) {
        connection = onConnection
        onConnection(true)
        return () => {}
      }
    })
  })
  t.strictSame(await s.app.authHealth(), FINE)
  connection(false)
  t.strictSame(await s.app.authHealth(), { ...FINE, ok: false, revocationFeed: false })
  connection(true)
  t.strictSame(await s.app.authHealth(), FINE)
})

t.test('health: an instance whose rate limits have lost their Redis stays ready, since all share it', async t => {
  let isAway = true
  const redis = { defineCommand () {}, async del () {}, eval: async (script: string) => isAway ? await Promise.reject(new Error('away')) : Number(script.replace('return ', '')) }
  const s = await server(t, { rateLimit: { redis: redis as never } }) // of its methods only eval is called
  t.strictSame(await s.app.authHealth(), { ...FINE, rateLimits: false })
  isAway = false
  t.strictSame(await s.app.authHealth(), FINE)
})

t.test('health: a full queue for passwords is reported, and the instance stays ready', async t => {
  const s = await server(t, { passwords: { ...FAST_HASHING, queue: { concurrency: 1, waiting: 1 } } })
  const hashes = [1, 2].map(async () => await s.app.passwords.hash('correct horse battery staple'))
  t.strictSame(await s.app.authHealth(), { ...FINE, passwordQueue: false })
  await Promise.all(hashes)
  t.strictSame(await s.app.authHealth(), FINE)
})

t.test('health: the queue for passwords is full once no job can run or wait', async t => {
  const queue = new HashingQueue({ concurrency: 1, waiting: 1, maxWait: 5 })
  let finish = (): void => {}
  const first = queue.run('a', async () => await new Promise<void>(resolve => { finish = resolve }))
  t.equal(queue.isFull, false)
  const second = queue.run('b', () => {})
  t.equal(queue.isFull, true)
  finish()
  await Promise.all([first, second])
  t.equal(queue.isFull, false)
})
