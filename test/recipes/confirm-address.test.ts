import { EventEmitter, once } from 'node:events'
import t from 'tap'
import { type User } from '../../lib/accounts/user.js'
import { PASSWORD, userTable } from '../support/server.js'
import { recipe } from './recipe.js'

t.test('a silent signup: the link of the mail enables the user, once, and logs in', async t => {
  const mails = new EventEmitter()
  const users = userTable()
  const people = {
    async insert ({ disabled, ...row }: { username: string, passwordHash: string, disabled: boolean }) {
      const user = await users.create(row)
      if (user !== null) users.change(row.username, { disabled })
      return user && { ...user, disabled }
    },
    async update (id: string, columns: Partial<User>) { users.change(String((await users.findById(id))?.username), columns) }
  }
  const s = await recipe(t, 'confirm-address', { given: { users, people, send: async (to: string, text: string) => { mails.emit('mail', to, text) } } })
  const ada = s.browser()
  const send = async (url: string, payload: object) => await ada.send({ method: 'POST', url, payload })
  const credentials = { email: 'ada@example.com', password: PASSWORD }

  const firstMail = once(mails, 'mail')
  t.match(await send('/auth/signup', credentials), { statusCode: 202 })
  const [to, link] = await firstMail
  t.equal(to, 'ada@example.com')
  t.match(link, /^https:\/\/app\.example\/confirm#eyJ/)
  t.match((await send('/auth/login', credentials)).json(), { code: 'FST_AUTH_CREDENTIALS_INVALID' }, 'the address is not confirmed')

  const secondMail = once(mails, 'mail')
  t.match(await send('/auth/signup', credentials), { statusCode: 202 }, 'as for a free name')
  t.match((await secondMail)[1], /You have an account/)

  const token = new URL(link).hash.slice(1)
  t.match(await send('/confirm', { token }), { statusCode: 200 })
  t.match(await ada.refresh(), { statusCode: 200 })
  t.match((await send('/confirm', { token })).json(), { code: 'FST_AUTH_CHALLENGE_INVALID' })
  t.match(await send('/auth/login', credentials), { statusCode: 200 })
})
