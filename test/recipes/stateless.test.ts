import fastifySwagger from '@fastify/swagger'
import t, { type Test } from 'tap'
import { exactly } from '../support/exactly.js'
import { HOST, PASSWORD, payloadOf, type Answer } from '../support/server.js'
import { recipe, type Recipe } from './recipe.js'

interface Tokens { readonly access: string, readonly refresh: string }

interface WithAda extends Recipe {
  login (): Promise<Answer>
  me (token: string): Promise<Answer>
  update (token: string): Promise<Answer>
  readonly tokens: Tokens
}

/** The server with its client: forms, and tokens in the Authorization header. Ada is logged in. */
async function withAda (t: Test): Promise<WithAda> {
  const r = await recipe(t, 'stateless', { before: app => app.register(fastifySwagger, { openapi: {} }) })
  const { app } = r
  await app.inject({ method: 'POST', url: '/auth/signup', payload: { username: 'ada', password: PASSWORD } })
  const bearer = (token: string) => ({ host: HOST, authorization: `Bearer ${token}` })
  const login = async () => await app.inject({
    method: 'POST',
    url: '/auth/login',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({ grant_type: 'password', username: 'ada', password: PASSWORD, scope: '' }).toString()
  })
  const { access_token: access, refresh_token: refresh } = (await login()).json()
  return {
    ...r,
    login,
    me: async token => await app.inject({ url: '/me', headers: bearer(token) }),
    update: async token => await app.inject({ method: 'POST', url: '/auth/update_token', headers: bearer(token) }),
    tokens: { access, refresh }
  }
}

t.test('a form login returns both tokens, for 2 hours and 2 weeks', async t => {
  const { login, me } = await withAda(t)
  const answer = await login()
  t.match(answer, { statusCode: 200, headers: { 'set-cookie': undefined } })
  const { access_token: access, refresh_token: refresh, ...rest } = answer.json()
  t.strictSame(rest, { token_type: 'Bearer', expires_in: 7200 })
  t.equal(Number(payloadOf(refresh)['exp']) - Number(payloadOf(refresh)['iat']), 14 * 86_400)
  t.strictSame((await me(access)).json(), { id: '1' })
})

t.test('user enumeration: a wrong password and an unknown user get the same response', async t => {
  const { app } = await withAda(t)
  for (const payload of ['username=ada&password=wrong', 'username=bob&password=wrong']) {
    const answer = await app.inject({ method: 'POST', url: '/auth/login', headers: { 'content-type': 'application/x-www-form-urlencoded' }, payload })
    t.match(answer.json(), { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' })
  }
})

t.test('token confusion: each token type is refused in place of the other', async t => {
  const { me, update, tokens } = await withAda(t)
  t.match((await me(tokens.refresh)).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_INVALID' })
  t.match((await update(tokens.access)).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
})

t.test('a refresh token brings a new access token until it expires, and stays the same', async t => {
  const { me, update, tokens, wait } = await withAda(t)
  wait('2h')
  t.match((await me(tokens.access)).json(), { statusCode: 401, code: 'FST_AUTH_ACCESS_TOKEN_EXPIRED' })
  const { access_token: access, refresh_token: refresh } = (await update(tokens.refresh)).json()
  t.equal(refresh, tokens.refresh)
  t.strictSame((await me(access)).json(), { id: '1' })
  wait(14 * 86_400 - 7200)
  t.match((await update(tokens.refresh)).json(), { statusCode: 401, code: 'FST_AUTH_REFRESH_TOKEN_EXPIRED' })
})

t.test('an inactive or deleted user is refused at login and at refresh', async t => {
  const { login, update, tokens, users } = await withAda(t)
  users.change('ada', { disabled: true })
  t.match(await login(), { statusCode: 401 })
  t.match((await update(tokens.refresh)).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
  users.byName.clear()
  t.match((await update(tokens.refresh)).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
})

t.test('no state on the server: no sessions to list, and any instance can continue', async t => {
  const { app, tokens, users } = await withAda(t)
  t.notOk(app.hasRoute({ method: 'GET', url: '/auth/sessions' }))
  const other = await recipe(t, 'stateless', { given: { users } })
  const answer = await other.app.inject({ method: 'POST', url: '/auth/update_token', headers: { authorization: `Bearer ${tokens.refresh}` } })
  t.equal(answer.statusCode, 200)
})

t.test('CSRF: a refresh is not a GET', async t => {
  const { app, tokens } = await withAda(t)
  t.match(await app.inject({ url: '/auth/update_token', headers: { authorization: `Bearer ${tokens.refresh}` } }), { statusCode: 404 })
})

t.test('Swagger UI asks for the refresh token at refresh and logout, and for a login elsewhere', async t => {
  const { app } = await withAda(t)
  const { paths, components } = JSON.parse(JSON.stringify(app.swagger()))
  t.match(paths['/auth/update_token'].post.security, exactly({}, { refreshToken: exactly() }))
  t.match(paths['/me'].get.security, exactly({ accessToken: exactly() }))
  t.match(components.securitySchemes, { refreshToken: { type: 'http', scheme: 'bearer' }, accessToken: { flows: { password: { tokenUrl: '/auth/login' } } } })
})
