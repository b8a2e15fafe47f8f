/** A machine without a build of argon2: a permanent fault, so no 503. */
import { register } from 'node:module'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { SECRET } from '../support/server.js'
import { userTable } from '../support/user-table.js'

register('data:text/javascript,' + encodeURIComponent(`
  export async function resolve (specifier, context, next) {
    if (specifier === 'argon2') throw new Error('No native build was found for platform=linux arch=riscv64')
    return await next(specifier, context)
  }
`))
const { default: refreshCookie, statelessStore } = await import('../../lib/index.js')

const SENTENCE = /^argon2 cannot be loaded.*npm rebuild argon2.*leave out "users\.findByUsername"/

async function appWith (t: Test, options: object): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  await app.register(refreshCookie, { secret: SECRET, ...options })
  await app.ready()
  return app
}

t.test('without argon2 the start fails with the fix if a route needs it', async t => {
  const { findByUsername, findById, create, updatePasswordHash } = userTable()
  for (const users of [{ findByUsername }, { create }, { findById }, { findById, updatePasswordHash }, userTable()]) {
    await t.rejects(appWith(t, { users }), { name: 'Error', message: SENTENCE, cause: { message: /No native build/ } })
  }
  await t.rejects(appWith(t, { users: { findByUsername, create }, routes: { signup: false } }), { message: SENTENCE })
})

t.test('without argon2 an app with other logins starts', async t => {
  const { findById, findByUsername, create } = userTable()
  await appWith(t, {})
  await appWith(t, { users: { findById }, routes: { reauthenticate: false } })
  await appWith(t, { users: { findById }, store: statelessStore() }) // where nobody reauthenticates
  await appWith(t, { users: { findByUsername, create }, routes: { login: false, signup: false } })
})

t.test('without argon2 a later call has the same error, and is not a 503', async t => {
  const app = await appWith(t, {})
  await t.rejects(app.passwords.hash('violet umbrella'), { message: SENTENCE })
  await t.rejects(app.passwords.verify(null, 'violet umbrella'), { message: SENTENCE })
  await t.rejects(app.passwords.check('password1'), { code: 'FST_AUTH_PASSWORD_REFUSED' }, 'the common passwords need no argon2')
})
