import t, { type Test } from 'tap'
import { type TokenResponseContext, type RefreshCookieOptions } from '../../lib/index.js'
import { nativeApp } from '../support/native-app.js'
import { loggedIn, PASSWORD, server, setCookies, type Answer, type LoggedIn } from '../support/server.js'

const FAILED = { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' }

type FormatTokenResponse = NonNullable<RefreshCookieOptions['formatTokenResponse']>

const wrap: FormatTokenResponse = ({ access_token: access, ...rest }, { route, claims }) => ({ code: 200, message: `${route} of ${claims.sub}`, token: { access }, rest })

/** Every route with a token response, called by a logged-in user. */
function calls ({ ada }: LoggedIn): ReadonlyArray<readonly [route: TokenResponseContext['route'], answer: () => Promise<Answer>]> {
  const post = async (path: string, payload: object): Promise<Answer> => await ada.send({ method: 'POST', url: `/auth/${path}`, payload })
  return [
    ['reauthenticate', async () => await post('reauthenticate', { password: PASSWORD })],
    ['refresh', async () => await post('refresh', {})],
    ['password', async () => await post('password', { currentPassword: PASSWORD, newPassword: PASSWORD.toUpperCase() })],
    ['login', async () => await post('login', { username: 'ada', password: PASSWORD.toUpperCase() })],
    ['signup', async () => await post('signup', { username: 'bob', password: PASSWORD })]
  ]
}

/** A logged-in user of a server with this `formatTokenResponse`. */
async function shaped (t: Test, formatTokenResponse: FormatTokenResponse): Promise<LoggedIn> {
  let format: FormatTokenResponse = response => response
  const s = await loggedIn(t, { formatTokenResponse: (response, context) => format(response, context) })
  format = formatTokenResponse
  return s
}

t.test('formatTokenResponse formats the body of every token response', async t => {
  const s = await shaped(t, wrap)
  for (const [route, call] of calls(s)) {
    const answer = await call()
    const { token, ...body } = answer.json()
    t.strictSame(body, { code: 200, message: `${route} of ${route === 'signup' ? 2 : 1}`, rest: { token_type: 'Bearer', expires_in: 600 } })
    t.match((await s.app.inject({ url: '/me', headers: { authorization: `Bearer ${token.access}` } })), { statusCode: 200 }, 'with a token that works')
    t.equal(answer.statusCode, route === 'signup' ? 201 : 200)
  }
})

t.test('formatTokenResponse may be asynchronous, and receives the refresh token with the transport body', async t => {
  const { app } = await server(t, { refreshToken: { transport: 'body' }, formatTokenResponse: async ({ access_token: access, refresh_token: refresh }) => ({ access, refresh }) })
  const answer = await nativeApp(app).signup('ada')
  t.strictSame(Object.keys(answer.json()), ['access', 'refresh'])
})

t.test('routes of the app receive the standard token response and format it themselves', async t => {
  const { app } = await server(t, { formatTokenResponse: wrap, users: {} }, {}, app => { app.post('/enter', async ({ auth }) => await auth.login('7')) })
  t.match((await app.inject({ method: 'POST', url: '/enter' })).json(), { access_token: String, expires_in: 600 })
})

const circular: Record<string, unknown> = {}
circular['self'] = circular

/** Faults of formatTokenResponse. */
const FAULTS: Readonly<Record<string, () => never>> = {
  throws: () => { throw new Error('hunter2') },
  'returns a string': () => 'text' as never,
  'returns nothing': () => undefined as never,
  'returns an array': () => [] as never,
  'returns null': () => null as never,
  'returns a date': () => new Date() as never,
  'returns bytes': () => Buffer.from('x') as never,
  'returns an object without JSON': () => ({ toJSON () {} }) as never,
  'returns a BigInt in the body': () => ({ id: 1n }) as never,
  'returns a circular body': () => circular as never
}

for (const [what, formatTokenResponse] of Object.entries(FAULTS)) {
  t.test(`if formatTokenResponse ${what}, the reply is an opaque 503 with the cookie set`, async t => {
    const s = await shaped(t, formatTokenResponse)
    s.wait('30s')
    for (const [route, call] of calls(s)) {
      const answer = await call()
      t.match(answer.json(), FAILED, route)
      t.notMatch(answer.body, 'hunter2')
      t.equal(setCookies(answer).length, 1)
    }
  })
}

t.test('the client can go on after formatTokenResponse works again', async t => {
  let broken = false
  const { ada, wait } = await loggedIn(t, { formatTokenResponse (response) { if (broken) throw new Error('broken'); return response } })
  broken = true
  for (let i = 0; i < 3; i++) {
    wait('30s')
    t.match((await ada.refresh()).json(), FAILED)
  }
  broken = false
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('a formatTokenResponse that hangs is 503', async t => {
  const { ada } = await loggedIn(t, { timeouts: { call: 1 }, formatTokenResponse: (response, { route }) => route === 'signup' ? response : new Promise<object>(() => {}) })
  t.match((await ada.refresh()).json(), FAILED)
})
