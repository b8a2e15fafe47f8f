/**
 * Measures the time from the end of a session on one instance to the first refusal of its access token on the other
 * (`revocation: 'immediate'`), for each way to end a session.
 *
 *     npm run bench:build && node test/bench/dist/revocation-lag.js redis|postgres [times]
 */
import { PASSWORD, startInstance } from './start-instance.js'
import { median, quantile } from './statistics.js'
import { openStore } from './stores.js'

const engine = process.argv[2] === 'redis' ? 'redis' : 'postgres'
const times = Number(process.argv[3] ?? 300)
const name = `bench_lag_${process.pid}`
const kept = await openStore(engine, name)
const settings = { revocation: 'immediate', refreshToken: { grace: 0, recoverLostReply: false } } as const
const [here, there] = [await startInstance(engine, name, settings), await startInstance(engine, name, settings)] as const

interface Login { readonly token: string, readonly cookie: string }

/** Ways to end the session of a login of `person` on the first instance. */
const WAYS: Readonly<Record<string, (login: Login, person: string) => Promise<Response>>> = {
  logout: ({ cookie }) => send('POST', '/auth/logout', { cookie }),

  async 'signed out by another device' (_login, person) {
    const { token } = await enter(person)
    return await send('DELETE', '/auth/sessions', { token })
  },

  async 'password change on another device' (_login, person) {
    const { token } = await enter(person)
    return await send('POST', '/auth/password', { token, body: { currentPassword: PASSWORD, newPassword: `${PASSWORD}!` } })
  },

  async 'a second use' ({ cookie }) {
    await send('POST', '/auth/refresh', { cookie })
    return await send('POST', '/auth/refresh', { cookie })
  }
}

for (const [way, end] of Object.entries(WAYS)) {
  const lags: number[] = []
  for (let nth = 0; nth < times; nth++) lags.push(await lagOf(end, `${way} ${nth}`))
  console.log(`${engine}, ${way}: refused elsewhere after ${median(lags).toFixed(1)} ms (median of ${times}), ${quantile(lags, 0.99).toFixed(1)} ms (99 %), ${Math.max(...lags).toFixed(1)} ms (at most)`)
}
await Promise.all([here.stop(), there.stop()])
await kept.drop()

/** Milliseconds from the reply of `end` to the first refusal on the other instance; 0 if its first reply is a refusal. */
async function lagOf (end: (login: Login, person: string) => Promise<Response>, person: string): Promise<number> {
  const login = await enter(person)
  const ask = () => send('GET', '/me', { token: login.token }, there.url)
  if (!(await ask()).ok) throw new Error('the other instance does not accept the token')
  await end(login, person)
  const start = performance.now()
  for (let nth = 0; ; nth++) {
    const asked = performance.now()
    const { status } = await ask()
    if (status === 401) return nth === 0 ? 0 : asked - start
    if (asked - start > 5000) throw new Error('the other instance still accepts the token after 5 s')
  }
}

async function enter (person: string): Promise<Login> {
  const answer = await send('POST', `/enter/${encodeURIComponent(person)}`)
  const { access_token: token } = await answer.json() as { access_token: string }
  return { token, cookie: answer.headers.getSetCookie()[0]?.split(';')[0] ?? '' }
}

async function send (method: string, path: string, { token, cookie, body }: { token?: string, cookie?: string, body?: object } = {}, url = here.url): Promise<Response> {
  return await fetch(url + path, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(cookie !== undefined && { cookie }),
      ...(body !== undefined && { 'content-type': 'application/json' })
    },
    ...(body !== undefined && { body: JSON.stringify(body) })
  })
}
