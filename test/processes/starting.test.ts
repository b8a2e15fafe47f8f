import t from 'tap'
import { tcpProxy } from '../support/tcp-proxy.js'
import { SHARED_SERVERS, startProcess } from './app-process.js'

for (const [name, newStore] of Object.entries(SHARED_SERVERS)) {
  t.test(`revocation: a starting process on ${name} refuses ended sessions from its first request, even with a slow server`, async t => {
    const store = await newStore(t)
    if (store === null) return
    const options = { revocation: 'immediate' }
    const here = await startProcess(t, store, options)
    const { cookie, accessToken } = await here.enter('ada')
    t.match(await here.get('/me', { accessToken }), { status: 200 })
    t.match(await here.logout(cookie), { status: 204 })

    const proxy = await tcpProxy(t, store.server)
    await proxy.delay(100)
    const there = await startProcess(t, store.by(proxy.port), options)
    t.match(await there.get('/me', { accessToken }), { status: 401, code: 'FST_AUTH_SESSION_ENDED' })
  })
}
