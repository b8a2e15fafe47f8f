import { readdirSync, readFileSync } from 'node:fs'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { me, type MeOptions } from '../../example-server/me.js'
import refreshCookie from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { SECRET } from '../support/server.js'

const settings = { freshFor: '1m' } as unknown as MeOptions // nobody gets so far that the rest of it would be used

const plugin = async (app: FastifyInstance): Promise<void> => { await app.register(refreshCookie, { secret: SECRET }) }

/** The orders in which an app may be put together. */
const ORDERS: Readonly<Record<string, (app: FastifyInstance) => Promise<void> | void>> = {
  'after the plugin': async app => {
    await app.register(refreshCookie, { secret: SECRET })
    app.register(me, settings)
  },
  'after the plugin, which nobody awaited': app => {
    app.register(refreshCookie, { secret: SECRET })
    app.register(me, settings)
  },
  'before the plugin': app => {
    app.register(me, settings)
    app.register(refreshCookie, { secret: SECRET })
  },
  'beside the context of the plugin': async app => {
    await app.register(plugin)
    app.register(me, settings)
  },
  'without the plugin': app => { app.register(me, settings) },
  'by a call, before the plugin has loaded': async app => {
    app.register(refreshCookie, { secret: SECRET })
    await me(app, settings)
  }
}

for (const [name, assemble] of Object.entries(ORDERS)) {
  t.test(`broken access control: a route is closed if it is registered ${name}`, async t => {
    const app = Fastify()
    t.teardown(async () => { await app.close() })
    try {
      await assemble(app)
      await app.ready()
    } catch (error) {
      t.match(error, { code: 'FST_ERR_HOOK_INVALID_HANDLER' }, 'the app does not start')
      return
    }
    for (const url of ['/me', '/me/activity', '/me/data']) t.match(await app.inject(url), { statusCode: 401 }, url)
  })
}

t.test('whoever has just given their password reads their data', async t => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  const createdAt = '2026-01-01T00:00:00.000Z'
  const activity = { of: async () => [] }
  const users = { dataOf: async (id: string) => ({ id, username: 'ada', createdAt }) }
  await app.register(refreshCookie, { secret: SECRET })
  app.post('/in', async ({ auth }) => await auth.login('1'))
  await app.register(me, { users, activity, freshFor: '1m' } as unknown as MeOptions) // what those routes use of them
  const login = await app.inject({ method: 'POST', url: '/in' })
  const authorization = `Bearer ${login.json().access_token}`
  const answer = await app.inject({ url: '/me/data', headers: { authorization } })
  t.match(answer.json(), { id: '1', username: 'ada', createdAt, devices: exactly({ current: true }), activity: exactly() })
})

t.test('broken access control: every route of the example gives its hooks in a list, where undefined stops the start', async t => {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  const lists: unknown[] = []
  await app.register(refreshCookie, { secret: SECRET })
  app.addHook('onRoute', ({ method, onRequest }) => { if (method === 'GET') lists.push(Array.isArray(onRequest)) })
  await app.register(me, settings)
  t.strictSame(lists, [true, true, true])
})

t.test('broken access control: nothing that people copy gives a hook that stands alone', async t => {
  const copied = ['README.md', ...readdirSync('example-server').filter(name => name.endsWith('.ts')).map(name => `example-server/${name}`)]
  const alone = copied.filter(path => /\b(on|pre)[A-Z]\w+: *app\./.test(readFileSync(path, 'utf8')))
  t.strictSame(alone, [])
})
