import t from 'tap'
import { createIssuer } from '../../lib/sessions/issue-tokens.js'
import { fakeTokens } from '../support/fake-tokens.js'
import { START } from '../support/fake-clock.js'
import { newSession } from '../support/session.js'

const tokens = fakeTokens()
const issuer = createIssuer(tokens, { expiresIn: 600, leeway: 5 })
const session = newSession()

t.test('an access token expires with its session at the latest', async t => {
  t.match(issuer.access(session, { role: 'admin' }, START), { expiresIn: 600, claims: { sid: session.id, role: 'admin', exp: START + 600 } })
  t.match(issuer.access(session, {}, session.expiresAt - 7), { expiresIn: 7, claims: { exp: session.expiresAt } })
  const { accessToken, claims } = issuer.access(session, {}, START)
  t.same(tokens.verifyAccess(accessToken), claims)
})

t.test('a refresh token expires with its session, or ends with the browser', async t => {
  t.equal(issuer.refresh(session, true, START + 10).maxAge, session.idleExpiresAt - START - 10)
  t.equal(issuer.refresh({ ...session, expiresAt: START + 60 }, true, START).maxAge, 60)
  t.equal(issuer.refresh(session, false, START).maxAge, null)
})

t.test('the same session state gives the same refresh token at any time', async t => {
  t.equal(issuer.refresh(session, true, START).value, issuer.refresh(session, true, START + 99).value)
  t.not(issuer.refresh(session, true, START).value, issuer.refresh({ ...session, generation: 1 }, true, START).value)
})
