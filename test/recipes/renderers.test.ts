import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { type AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import ts from 'typescript'
import refreshCookie, { type RefreshCookieOptions } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { FAST_HASHING, PASSWORD, SECRET, userTable } from '../support/server.js'

type Login = (request: Request, visitor: string) => Promise<Response>
type Logout = (request: Request) => Promise<Response>

const ORIGIN = 'https://app.example.com'

/** A sample, as the page prints it. */
function sample (name: 'login'): Login
function sample (name: 'logout'): Logout
function sample (name: string): Login | Logout {
  const [, code = ''] = new RegExp(`<!-- recipe: ${name}-action -->\\n\`\`\`ts\\n([^]*?)^\`\`\`$`, 'm').exec(readFileSync('docs/renderers.md', 'utf8')) ?? []
  const { outputText } = ts.transpileModule(code.replace('export ', ''), { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } })
  // eslint-disable-next-line no-new-func -- our own page
  return new Function(`${outputText}; return ${name}`)()
}

/** An API and a renderer, two servers on loopback. Each request of the renderer names its visitor, as a proxy before it would. */
async function servers (t: Test, options: RefreshCookieOptions = {}) {
  const api = Fastify({ trustProxy: '127.0.0.1' })
  await api.register(refreshCookie, { secret: SECRET, users: userTable(), passwords: FAST_HASHING, ...options })
  const url = await api.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(async () => { await api.close() })
  process.env['AUTH_URL'] = `${url}/auth`
  process.env['ORIGIN'] = ORIGIN
  await fetch(`${url}/auth/signup`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ username: 'ada', password: PASSWORD }) })

  const login = sample('login')
  const renderer = createServer((incoming, outgoing) => { render(login, incoming, outgoing).catch(error => outgoing.writeHead(500).end(String(error))) })
  renderer.listen(0, '127.0.0.1')
  await once(renderer, 'listening')
  t.teardown(() => { renderer.close() })
  const { port } = renderer.address() as AddressInfo
  return {
    api: url,
    userAgents: async () => (await api.sessions.list('1')).map(({ userAgent }) => userAgent),
    logIn: async (password: string, { visitor = '203.0.113.1', ...headers }: Record<string, string> = {}) => await fetch(`http://127.0.0.1:${port}/login`, {
      method: 'POST',
      headers: { origin: ORIGIN, 'x-visitor': visitor, ...headers },
      body: new URLSearchParams({ username: 'ada', password }),
      redirect: 'manual'
    })
  }
}

async function render (login: Login, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  const headers = Object.entries(incoming.headers).map(([name, value]): [string, string] => [name, String(value)])
  const request = new Request('http://renderer.internal/login', { method: 'POST', headers, body: Buffer.concat(chunks) })
  const { status, headers: sent } = await login(request, String(incoming.headers['x-visitor']))
  outgoing.writeHead(status, { ...Object.fromEntries(sent), 'set-cookie': sent.getSetCookie() }).end()
}

function cookieOf (response: Response): string {
  return response.headers.getSetCookie().map(line => line.split(';', 1).join('')).join('; ')
}

t.test('a login by an action of a renderer: the cookie of the API reaches the browser', async t => {
  const s = await servers(t)
  const entered = await s.logIn(PASSWORD, { 'user-agent': 'Firefox' })
  t.match(entered, { status: 303 })
  t.equal(entered.headers.get('location'), '/')
  t.match(entered.headers.get('cache-control'), /no-store/)
  t.match(entered.headers.getSetCookie(), exactly(/^__Host-Http-refresh=eyJ.*; HttpOnly.*; Secure/i))
  t.strictSame((await s.userAgents()).filter(userAgent => userAgent !== 'node'), ['Firefox'], 'the device of the visitor')
  const cookie = cookieOf(entered)
  t.equal((await fetch(`${s.api}/auth/refresh`, { method: 'POST', headers: { cookie } })).status, 200)

  const again = await s.logIn(PASSWORD, { cookie })
  t.equal((await fetch(`${s.api}/auth/refresh`, { method: 'POST', headers: { cookie: cookieOf(again) } })).status, 200)
  t.equal((await fetch(`${s.api}/auth/refresh`, { method: 'POST', headers: { cookie } })).status, 401, 'a login ends the session that it replaces')

  const refused = await s.logIn('wrong')
  t.equal(refused.headers.get('location'), '/login?error=FST_AUTH_CREDENTIALS_INVALID')
  t.strictSame(refused.headers.getSetCookie(), [])
})

t.test('a login by an action of a renderer: another site cannot log its visitors in', async t => {
  const s = await servers(t)
  for (const origin of ['https://evil.example', 'null', '']) {
    const forged = await s.logIn(PASSWORD, { origin })
    t.match(forged, { status: 403 }, origin)
    t.strictSame(forged.headers.getSetCookie(), [])
  }
})

t.test('a login by an action of a renderer: wrong logins of one visitor do not lock others out', async t => {
  const s = await servers(t, { rateLimit: { perAddress: { max: 2, per: '15m' }, perAccount: false } })
  const codes: Array<string | null> = []
  for (let guess = 0; guess < 3; guess++) codes.push((await s.logIn('wrong', { visitor: '198.51.100.7' })).headers.get('location'))
  t.match(codes[2], /FST_AUTH_TOO_MANY_ATTEMPTS/)
  t.equal((await s.logIn(PASSWORD)).headers.get('location'), '/')
})

t.test('a logout by an action of a renderer ends the session and clears the cookie; not for another site', async t => {
  const s = await servers(t)
  const cookie = cookieOf(await s.logIn(PASSWORD))
  const logout = async (origin: string): Promise<Response> =>
    await sample('logout')(new Request('http://renderer.internal/logout', { method: 'POST', headers: { origin, cookie } }))
  t.match(await logout('https://evil.example'), { status: 403 })
  t.equal((await fetch(`${s.api}/auth/refresh`, { method: 'POST', headers: { cookie } })).status, 200)

  const left = await logout(ORIGIN)
  t.match(left, { status: 303 })
  t.equal(left.headers.get('location'), '/login')
  t.match(left.headers.getSetCookie(), exactly(/^__Host-Http-refresh=; Max-Age=0/i))
  t.equal((await fetch(`${s.api}/auth/refresh`, { method: 'POST', headers: { cookie } })).status, 401)
})
