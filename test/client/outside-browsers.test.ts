import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { createAuthClient } from '../../lib/client/index.js'
import { bundle } from './support/bundle.js'
import { replace } from './support/fake-time.js'

t.test('outside of browsers the state stays unknown, without a request', async t => {
  const sent: unknown[] = []
  const auth = createAuthClient({ fetch: async input => { sent.push(input); return Response.json({}) } })
  const before = auth.state
  t.same(await auth.init(), { status: 'unknown' })
  t.equal(await auth.token(), null)
  t.equal(auth.state, before, 'what a server rendered is what a browser begins with')
  t.same(sent, [])
})

t.test('outside of browsers fetch is the platform’s', async t => {
  const calls: unknown[] = []
  const auth = createAuthClient({ fetch: async (...call) => { calls.push(call); return Response.json({}, { status: 401 }) } })
  const init = { headers: { accept: 'text/x' } }
  t.equal((await auth.fetch('https://app.test/api/me', init)).status, 401)
  t.same(calls, [['https://app.test/api/me', init]])
})

for (const [name, navigator] of [['no navigator', undefined], ['a navigator', {}]]) {
  t.test(`account confusion: a server with ${name} logs nobody in or out`, async t => {
    replace(t, globalThis, 'navigator', navigator)
    const sent: unknown[] = []
    const grant = { access_token: 'e30.e30.e30', token_type: 'Bearer', expires_in: 600 }
    const auth = createAuthClient({ fetch: async input => { sent.push(input); return Response.json(grant) } })
    for (const act of [auth.login, auth.signup, auth.refresh, auth.logout]) await t.rejects(act({}), { name: 'AuthError', message: 'No browser' })
    t.match(auth.state, { status: 'unknown', claims: undefined })
    t.same(sent, [])
    auth.dispose()
  })
}

t.test('a client keeps no process alive', async t => {
  const script = await bundle('import { createAuthClient } from "./index.ts"; console.log((await createAuthClient().init()).status)')
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script])
  t.equal(stdout.trim(), 'unknown')
})
