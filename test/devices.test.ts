import t from 'tap'
import { PASSWORD, server } from './support/server.js'

const NEW_PASSWORD = 'a much better passphrase'

t.test('changing the password ends every other session and keeps this browser logged in', async t => {
  const { browser } = await server(t)
  const laptop = browser()
  const phone = browser()
  await laptop.signup('ada')
  await phone.login('ada')
  const before = laptop.copy()

  const answer = await laptop.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: NEW_PASSWORD } })
  t.equal(answer.statusCode, 200)
  t.match(await laptop.refresh(), { statusCode: 200 })
  t.match((await phone.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  t.match((await before.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' })
  t.match((await phone.login('ada')).json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' })
  t.equal((await phone.login('ada', { password: NEW_PASSWORD })).statusCode, 200)
})
