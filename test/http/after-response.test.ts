import { EventEmitter, once } from 'node:events'
import { connect } from 'node:net'
import { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import t from 'tap'
import { memoryStore } from '../../lib/index.js'
import { createAfterReply } from '../../lib/http/lifecycle.js'
import { exactly } from '../support/exactly.js'
import { COOKIE, loggedIn, sessionOf } from '../support/server.js'

t.test('a call that is not awaited is logged, since its cookie is lost', async t => {
  const lines: string[] = []
  const store = memoryStore()
  let gate = Promise.resolve()
  const slow = {
    ...store,
    create: async (...args: Parameters<typeof store.create>) => { await gate; await store.create(...args) },
    advance: async (...args: Parameters<typeof store.advance>) => { await gate; return await store.advance(...args) },
    revoke: async (...args: Parameters<typeof store.revoke>) => { await gate; return await store.revoke(...args) }
  }
  let ended: Promise<unknown> = Promise.resolve()
  const { app, ada, wait } = await loggedIn(t, { store: slow }, { logger: { level: 'error', stream: { write: (line: string) => { lines.push(line) } } } }, app => {
    app.post('/login', async ({ auth }) => { ended = auth.login('1'); return {} })
    app.post('/refresh', async ({ auth }) => { ended = auth.refresh(); return {} })
    app.post('/logout', async ({ auth }) => { ended = auth.logout(); return {} })
  })
  for (const url of ['/login', '/refresh', '/logout']) {
    lines.length = 0
    wait('1m')
    let open = (): void => {}
    gate = new Promise(resolve => { open = resolve })
    const answer = await app.inject({ method: 'POST', url, headers: { cookie: `${COOKIE}=${String(ada.cookie())}` } })
    open()
    await ended
    t.equal(answer.cookies.length, 0, url)
    t.match(lines.map(line => JSON.parse(line)), exactly({ level: 50, msg: /cookie is lost: await the call$/ }), url)
  }
})

t.test('login over an existing session of the same browser', async t => {
  t.test('the replaced session ends once the reply is sent, or at the first refresh', async t => {
    const { ada, store, events } = await loggedIn(t)
    const before = ada.copy()
    await ada.login('ada')
    t.match(events, exactly({ type: 'login' }, { type: 'revoked', reason: 'superseded', sessionId: sessionOf(before) }))
    t.match((await before.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
    t.equal((await ada.refresh()).statusCode, 200)
    t.same(store.calls, ['create', 'revoke', 'get', 'revoke', 'get'])
    t.equal(events.filter(({ type }) => type === 'revoked').length, 1, 'and emits one event')
  })

  t.test('the old session stays if the client disconnects before the reply', async t => {
    let entered = (): void => {}
    const done = new Promise<void>(resolve => { entered = resolve })
    const { app, ada, events } = await loggedIn(t, {}, {}, app => {
      app.post('/enter', async ({ auth, raw }) => {
        await once(raw.socket, 'close')
        await auth.login(1)
        setImmediate(entered)
        return {}
      })
    })
    const { port, hostname } = new URL(await app.listen())
    const client = connect(Number(port), hostname)
    client.write(`POST /enter HTTP/1.1\r\nhost: ${hostname}\r\ncookie: ${COOKIE}=${String(ada.cookie())}\r\ncontent-length: 0\r\n\r\n`, () => client.destroy())
    await done
    t.match(events, exactly({ type: 'login' }))
    t.equal((await ada.refresh()).statusCode, 200)
    t.equal(events.length, 2)
  })

  t.test('the login succeeds if ending the old session fails afterwards; the failure is logged', async t => {
    const lines: string[] = []
    const { ada, store } = await loggedIn(t, {}, { logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
    const before = ada.copy()
    store.faults.push({ moment: 'before', kind: 'throw', call: 'revoke' })
    t.equal((await ada.login('ada')).statusCode, 200)
    t.match(lines.map(line => JSON.parse(line)), exactly({ level: 40, msg: 'auth: the session that a login replaced stays valid until the new one is refreshed', err: { code: 'FST_AUTH_STORE_UNAVAILABLE' } }))
    t.equal((await before.refresh()).statusCode, 200)
    t.equal((await ada.refresh()).statusCode, 200)
    t.match((await before.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  })

  t.test('app.close() waits for the end of the old session', async t => {
    const { app, ada, store } = await loggedIn(t)
    const { revoke } = store
    let ended = false
    Object.assign(store, {
      async revoke (...args: Parameters<typeof revoke>) {
        await new Promise(setImmediate)
        const answer = await revoke(...args)
        ended = true
        return answer
      }
    })
    await ada.login('ada')
    t.notOk(ended)
    await app.close()
    t.ok(ended)
  })
})

t.test('a task that has ended is not kept until the app closes', async t => {
  let close = async (): Promise<void> => {}
  const app = { addHook (_name: string, hook: typeof close) { close = hook } } as unknown as FastifyInstance
  const raw = new EventEmitter()
  createAfterReply(app)({} as FastifyRequest, { raw } as FastifyReply, async () => {}, 'failed')
  raw.emit('finish')
  await new Promise(setImmediate)
  const { all } = Promise
  const waited: number[] = []
  t.intercept(Promise, 'all', { value: async (tasks: Iterable<unknown>) => { waited.push([...tasks].length); return await all.call(Promise, [...tasks]) } })
  await close()
  t.same(waited, [0])
})
