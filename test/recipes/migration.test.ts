import t from 'tap'
import { type FastifyRequest } from 'fastify'
import refreshCookie from '../../lib/index.js'
import { ORIGIN, SECRET, sessionOf, testClock, userTable } from '../support/server.js'
import { recipe } from './recipe.js'

t.test('an old session is exchanged once, however many tabs ask', async t => {
  const users = userTable({ ada: {} })
  const clock = testClock()
  const old = new Map([['of ada', '1']])
  const s = await recipe(t, 'exchange', {
    clock,
    given: {
      async takeOldSession ({ headers }: FastifyRequest) {
        const id = String(headers['x-old-session'])
        const sub = old.get(id) ?? null
        old.delete(id)
        return sub
      }
    },
    before: async app => { await app.register(refreshCookie, { secret: SECRET, clock, users }) }
  })
  const ada = s.browser()
  const exchange = async (headers: Record<string, string> = {}) => await ada.send({ method: 'POST', url: '/auth/exchange', headers: { 'x-old-session': 'of ada', ...headers } })
  t.match(await exchange({ origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }), { statusCode: 403 })
  t.match(await exchange({ origin: ORIGIN, 'x-old-session': 'unknown' }), { statusCode: 401 })
  const answers = await Promise.all(Array.from({ length: 5 }, async () => await exchange()))
  t.strictSame(answers.map(({ statusCode }) => statusCode).sort(), [200, 401, 401, 401, 401])
  t.match(await ada.refresh(), { statusCode: 200 })
  t.strictSame((await s.app.sessions.list('1')).map(({ id }) => id), [sessionOf(ada)])
})
