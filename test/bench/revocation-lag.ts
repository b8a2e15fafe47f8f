/**
 * How long after a logout on one instance the other still accepts the access token (`revocation: 'immediate'`).
 *
 *     npm run bench:build && node test/bench/dist/revocation-lag.js redis|postgres [logouts]
 */
import { startInstance, type Instance } from './start-instance.js'
import { median, quantile } from './statistics.js'
import { openStore } from './stores.js'

const engine = process.argv[2] === 'redis' ? 'redis' : 'postgres'
const logouts = Number(process.argv[3] ?? 300)
const name = `bench_lag_${process.pid}`
const kept = await openStore(engine, name)
const settings = { revocation: 'immediate' } as const
const [here, there] = [await startInstance(engine, name, settings), await startInstance(engine, name, settings)] as const

const lags: number[] = []
for (let nth = 0; nth < logouts; nth++) lags.push(await lagOf(here, there, nth))
console.log(`${engine}: ${logouts} logouts, refused elsewhere after ${median(lags).toFixed(1)} ms (median), ${quantile(lags, 0.99).toFixed(1)} ms (99 %), ${Math.max(...lags).toFixed(1)} ms (at most)`)
await Promise.all([here.stop(), there.stop()])
await kept.drop()

/** Milliseconds from the reply to a logout to the first refusal on the other instance; 0 where the first answer is one. */
async function lagOf (here: Instance, there: Instance, nth: number): Promise<number> {
  const entered = await fetch(`${here.url}/enter/p${nth}`, { method: 'POST' })
  const headers = { authorization: `Bearer ${(await entered.json() as { access_token: string }).access_token}` }
  const cookie = entered.headers.getSetCookie()[0]?.split(';')[0] ?? ''
  if (!(await fetch(`${there.url}/me`, { headers })).ok) throw new Error('the other instance does not accept the token')

  await fetch(`${here.url}/auth/logout`, { method: 'POST', headers: { cookie } })
  const start = performance.now()
  for (;;) {
    const asked = performance.now()
    const { status } = await fetch(`${there.url}/me`, { headers })
    if (status === 401) return asked - start
    if (asked - start > 5000) throw new Error('the other instance still accepts the token after 5 s')
  }
}
