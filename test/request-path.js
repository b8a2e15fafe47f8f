/**
 * Counts the functions of this package that one request runs, and their files, by V8's precise coverage. Run it after
 * `npm run build`: `node test/request-path.js`, with `--list` to name them.
 */
import { Session } from 'node:inspector/promises'
import Fastify from 'fastify'
import refreshCookie, { authenticate } from 'fastify-refresh-cookie'

process.env.NODE_ENV = 'production' // as it is deployed, without the hints of development

const OURS = '/dist/cjs/'
const inspector = new Session()
inspector.connect()

const people = new Map()
// A logger as in deployments: without one the plugin writes every event to a dummy logger.
const app = Fastify({ logger: { level: 'info', stream: { write () {} } } })
let now = Math.floor(Date.now() / 1000)
await app.register(refreshCookie, {
  clock: () => now,
  secret: '6ZbPq1vVt0mJm3m0m2cQw8yX0n5hVxR7kTqE4sLdGfU',
  users: {
    findByUsername: name => people.get(name) ?? null,
    findById: id => [...people.values()].find(user => user.id === id) ?? null,
    create (user) {
      const made = { id: String(people.size + 1), ...user }
      people.set(made.username, made)
      return made
    }
  }
})
app.get('/me', { onRequest: authenticate }, async ({ auth }) => auth.claims.sub)

const credentials = { username: 'ada', password: 'correct horse battery' }
const post = async (url, payload, cookie = '') => await app.inject({ method: 'POST', url, payload, headers: { cookie } })
const cookieOf = ({ cookies: [{ name, value }] }) => `${name}=${value}`
await post('/auth/signup', credentials)
const login = async () => await post('/auth/login', credentials)
const session = await login()
let cookie = cookieOf(session)
const refresh = async () => {
  now += 60 // after the grace period, so that each refresh rotates
  const answer = await post('/auth/refresh', undefined, cookie)
  cookie = cookieOf(answer)
  return answer
}
const get = async () => await app.inject({ url: '/me', headers: { authorization: `Bearer ${session.json().access_token}` } })

// Each request runs twice before, so that the work of first requests does not count: a token is cached from its second use on.
for (const [name, request] of Object.entries({ login, refresh, 'authenticated GET': get })) {
  for (let before = 0; before < 2; before++) await request()
  const { functions, files } = await run(request)
  console.log(`${name}: ${functions.length} functions in ${files.length} files`)
  if (process.argv.includes('--list')) for (const [file, name] of functions) console.log(`  ${file} ${name}`)
}
await app.close()

async function run (request) {
  await inspector.post('Profiler.enable')
  await inspector.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  const { statusCode } = await request()
  const { result } = await inspector.post('Profiler.takePreciseCoverage')
  await inspector.post('Profiler.stopPreciseCoverage')
  if (statusCode !== 200) throw new Error(`answered ${statusCode}`)
  const functions = result.filter(({ url }) => url.includes(OURS)).flatMap(({ url, functions }) => functions
    .filter(({ ranges: [{ count }] }) => count > 0)
    .map(({ functionName }) => [url.slice(url.indexOf(OURS) + OURS.length), functionName || '(anonymous)']))
  return { functions, files: [...new Set(functions.map(([file]) => file))] }
}
