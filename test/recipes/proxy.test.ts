import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import { type AddressInfo } from 'node:net'
import httpProxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import t from 'tap'
import { recipe } from './recipe.js'

t.test('a proxy of other paths forwards no refresh cookie, neither with a request nor with a WebSocket', async t => {
  const received: IncomingHttpHeaders[] = []
  const upstream = createServer(({ headers }, response) => {
    received.push(headers)
    response.end()
  })
  upstream.on('upgrade', ({ headers }, socket) => {
    received.push(headers)
    socket.destroy()
    upstream.emit('upgraded')
  })
  await once(upstream.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => upstream.close())
  const { port } = upstream.address() as AddressInfo
  const toUpstream = fp(async (app: FastifyInstance, printed: FastifyHttpProxyOptions) => { await app.register(httpProxy, { ...printed, upstream: `http://127.0.0.1:${port}` } as FastifyHttpProxyOptions) })
  const { app } = await recipe(t, 'proxy-without-cookie', { modules: { '@fastify/http-proxy': { __esModule: true, default: toUpstream } } })
  const url = new URL('/reports/today', await app.listen({ host: '127.0.0.1', port: 0 }))

  for (const [sent, forwarded] of [['a=1; __Host-Http-refresh=eyJ; b=2', 'a=1; b=2'], ['__Host-Http-refresh=eyJ', ''], ['', '']] as const) {
    const headers = { ...(sent !== '' && { cookie: sent }), authorization: 'Bearer x' }
    t.equal((await fetch(url, { headers })).status, 200)
    t.match(received.at(-1), { authorization: 'Bearer x' })
    t.equal(received.at(-1)?.cookie ?? '', forwarded)

    const upgraded = once(upstream, 'upgraded')
    const client = request(url, { headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version': '13' } })
    client.on('error', () => {}).on('upgrade', (_response, socket) => { socket.destroy() }).end()
    await upgraded
    t.equal(received.at(-1)?.upgrade, 'websocket')
    t.equal(received.at(-1)?.cookie ?? '', forwarded)
  }
})
