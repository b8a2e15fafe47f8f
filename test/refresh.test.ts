import t from 'tap'
import { server } from './support/server.js'

t.test('a person signs up, is known, and stays known by the cookie', async t => {
  const { browser, wait } = await server(t)
  const ada = browser()
  t.match(await ada.signup('ada'), { statusCode: 201 })
  t.same((await ada.get('/me')).json(), { id: '1' })
  wait('11m')
  t.match((await ada.get('/me')).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  t.match(await ada.refresh(), { statusCode: 200 })
  t.same((await ada.get('/me')).json(), { id: '1' })
})
