/**
 * Runs four processes on one store under the load of many users, restarts a process every 20 seconds, and purges all the time.
 * No user may lose a session, and every reply must be the expected one. The first process never restarts: its memory must
 * stay flat.
 *
 *     npm run bench:build && node test/bench/dist/soak.js redis|postgres [minutes] [longest pause in ms; 0 is full load]
 */
import { startInstance, type Instance } from './start-instance.js'
import { openStore } from './stores.js'

const PROCESSES = 4
const PEOPLE = 60
const RESTART_EVERY_MS = 20_000
const SETTINGS = { revocation: 'immediate', accessToken: { expiresIn: '20s' }, refreshToken: { idle: '10m', absolute: '20m', grace: '6s' }, sessions: { maxPerUser: 5 } } as const

const engine = process.argv[2] === 'redis' ? 'redis' : 'postgres'
const minutes = Number(process.argv[3] ?? 10)
const longestPause = Number(process.argv[4] ?? 600)
const name = `bench_soak_${process.pid}`
const kept = await openStore(engine, name)
const start = () => startInstance(engine, name, SETTINGS)
const instances: Instance[] = []
for (let nth = 0; nth < PROCESSES; nth++) instances.push(await start())

const end = Date.now() + minutes * 60_000
const isOver = () => Date.now() >= end
const answers = new Map<string, number>()
const wrong: string[] = []
let lostConnections = 0
let restarts = 0

/** One of the two browsers of a user. */
interface Browser {
  readonly person: string
  cookie: string | null
  token: string | null
}

type Act = (browser: Browser, other: Browser) => Promise<void>

/** The actions of users, with their shares in percent. */
const ACTS: ReadonlyArray<readonly [weight: number, act: Act]> = [
  [40, async browser => { await refresh(browser) }],
  [8, async browser => { await Promise.all([refresh(browser), refresh(browser), refresh(browser)]) }],
  [36, async browser => { await api(browser, 'GET', '/me') }],
  [8, async browser => { await api(browser, 'GET', '/auth/sessions') }],
  [4, logOut],
  [2, async browser => { await enter(browser) }],
  [2, async (browser, other) => { if (await api(browser, 'DELETE', '/auth/sessions') === 204) Object.assign(other, { cookie: null, token: null }) }]
]

const people = Array.from({ length: PEOPLE }, (_, nth) => live(`p${nth}`))
await Promise.all([...people, restart(), watch()])
for (const instance of instances) expectCode(await instance.stop())
await kept.drop()

console.log(`${engine}, ${minutes} minutes, ${PROCESSES} processes, ${restarts} restarts, ${lostConnections} connections lost in them and tried again`)
for (const [answer, count] of [...answers].sort()) console.log(`${String(count).padStart(8)}  ${answer}`)
console.log(wrong.length === 0 ? 'nobody lost a session, and nothing was answered that was not expected' : `WRONG, ${wrong.length} times: ${[...new Set(wrong)].slice(0, 20).join('\n')}`)
process.exitCode = wrong.length === 0 ? 0 : 1

async function live (person: string): Promise<void> {
  const [one, two]: Browser[] = [{ person, cookie: null, token: null }, { person, cookie: null, token: null }]
  if (one === undefined || two === undefined) return
  while (!isOver()) {
    await pause(Math.random() * longestPause)
    const [browser, other] = Math.random() < 0.5 ? [one, two] : [two, one]
    if (browser.cookie === null) await enter(browser)
    else await draw()(browser, other)
  }
}

function draw (): Act {
  let ticket = Math.random() * 100
  for (const [weight, act] of ACTS) if ((ticket -= weight) < 0) return act
  return logOut
}

async function enter (browser: Browser): Promise<void> {
  const answer = await send('POST', `/enter/${browser.person}`, browser.cookie === null ? {} : { cookie: browser.cookie })
  if (expect('enter', answer, 200)) keep(browser, answer)
}

async function refresh (browser: Browser): Promise<void> {
  const answer = await send('POST', '/auth/refresh', { cookie: browser.cookie ?? '' })
  if (expect('refresh', answer, 200)) keep(browser, answer)
}

async function logOut (browser: Browser): Promise<void> {
  const [cookie, token] = [browser.cookie ?? '', browser.token ?? '']
  if (!expect('logout', await send('POST', '/auth/logout', { cookie }), 204)) return
  Object.assign(browser, { cookie: null, token: null })
  expect('refresh after a logout', await send('POST', '/auth/refresh', { cookie }), 401)
  await pause(1000)
  expect('access a second after a logout', await send('GET', '/me', { authorization: `Bearer ${token}` }), 401)
}

/** Sends a request with an access token, as the browser client does: after a 401 again with a new token. */
async function api (browser: Browser, method: string, url: string): Promise<number> {
  let answer = await send(method, url, { authorization: `Bearer ${browser.token}` })
  if (answer.status === 401) {
    await refresh(browser)
    answer = await send(method, url, { authorization: `Bearer ${browser.token}` })
  }
  expect(`${method} ${url}`, answer, method === 'DELETE' ? 204 : 200)
  return answer.status
}

interface Answer { readonly status: number, readonly body: string, readonly cookie: string | null }

/** Sends a request to a random process; to another one if that process is stopping. */
async function send (method: string, url: string, headers: Record<string, string>): Promise<Answer> {
  for (;;) {
    const instance = instances[Math.floor(Math.random() * instances.length)]
    try {
      const response = await fetch(`${instance?.url}${url}`, { method, headers })
      const body = await response.text()
      if (response.status === 503 && response.headers.get('connection') === 'close') throw new Error('it is closing')
      return { status: response.status, body, cookie: response.headers.getSetCookie()[0]?.split(';')[0] ?? null }
    } catch {
      lostConnections++
      await pause(50)
    }
  }
}

function expect (what: string, { status, body }: Answer, expected: number): boolean {
  const answer = `${what}: ${status}`
  answers.set(answer, (answers.get(answer) ?? 0) + 1)
  if (status !== expected) wrong.push(`${answer} ${body}`)
  return status === expected
}

function keep (browser: Browser, { body, cookie }: Answer): void {
  browser.token = JSON.parse(body).access_token
  browser.cookie = cookie ?? browser.cookie
}

/** Replaces all processes but the first, one after the other. */
async function restart (): Promise<void> {
  for (let nth = 1; !isOver(); nth = nth % (PROCESSES - 1) + 1) {
    await pause(RESTART_EVERY_MS)
    const old = instances[nth]
    instances[nth] = await start()
    expectCode(await old?.stop() ?? null)
    restarts++
  }
}

function expectCode (code: number | null): void {
  if (code !== 0) wrong.push(`a process ended with ${code}`)
}

/** Purges, and prints the memory of the first process. */
async function watch (): Promise<void> {
  for (let nth = 0; !isOver(); nth++) {
    await pause(5000)
    expect('purge', await send('POST', '/purge', {}), 200)
    if (nth % 6 > 0) continue
    const { rss, heapUsed } = await instances[0]?.memory() ?? { rss: 0, heapUsed: 0 }
    console.log(`${String(5 * nth + 5).padStart(4)} s: heap ${(heapUsed / 1e6).toFixed(1)} MB, rss ${(rss / 1e6).toFixed(0)} MB`)
  }
}

async function pause (ms: number): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, ms))
}
