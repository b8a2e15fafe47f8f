import argon2 from 'argon2'
import Fastify from 'fastify'
import refreshCookie, { type User } from 'fastify-refresh-cookie'
import { type Sample } from './samples.js'
import { timed } from './statistics.js'

const ROUNDS = 7
const WARM_UP = 6
const LOGINS = 40
const WAITING = 200
const PASSWORD = 'correct horse battery staple'

/** What logins cost, and what they cost others. */
export interface LoginCost {
  /** Logins, round for round, and verifications of the same hash by argon2 alone, as many at once. */
  readonly logins: Sample[]
  readonly verifications: Sample[]
  /** Milliseconds that an unrelated GET takes: while nothing else happens, and while many logins wait. */
  readonly idle: readonly number[]
  readonly busy: readonly number[]
}

/** Measures it on an app of its own. */
export async function measureLogins (): Promise<LoginCost> {
  const app = Fastify()
  let ada: User | null = null
  await app.register(refreshCookie, {
    secret: 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*',
    rateLimit: false,
    users: { findByUsername: () => ada },
    passwords: { queue: { waiting: WAITING, maxWait: '1m' } }
  })
  app.get('/other', async () => 'ok')
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const passwordHash = await app.passwords.hash(PASSWORD)
  ada = { id: 1, username: 'ada', passwordHash }

  const verify = async () => await argon2.verify(passwordHash, PASSWORD)
  const login = async (): Promise<void> => {
    const { statusCode } = await app.inject({ method: 'POST', url: '/auth/login', payload: { username: 'ada', password: PASSWORD } })
    if (statusCode !== 200) throw new Error(`a login answered ${statusCode}`)
  }

  const [logins, verifications]: [Sample[], Sample[]] = [[], []]
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    const [alone, whole] = [await twoAtOnce(verify), await twoAtOnce(login)]
    if (round < 0) continue
    verifications.push(alone)
    logins.push(whole)
  }

  const idle = await sample(`${url}/other`, taken => taken >= 500)
  let left = WAITING
  const waiting = Promise.all(Array.from({ length: WAITING }, async () => {
    await login()
    left--
  }))
  const busy = await sample(`${url}/other`, () => left === 0)
  await waiting
  await app.close()
  return { logins, verifications, idle, busy }
}

/** As many at once as the queue of the plugin verifies by default. The processor time includes the threads that hash. */
async function twoAtOnce (work: () => Promise<unknown>): Promise<Sample> {
  const before = process.cpuUsage()
  const milliseconds = await timed(() => Promise.all([0, 1].map(async () => { for (let nth = 0; nth < LOGINS / 2; nth++) await work() })))
  const { user, system } = process.cpuUsage(before)
  return { cpu: (user + system) / LOGINS, rate: 1000 * LOGINS / milliseconds }
}

/** How long requests take, one after the other, until something is over. */
async function sample (url: string, isOver: (taken: number) => boolean): Promise<number[]> {
  const times: number[] = []
  while (!isOver(times.length)) {
    times.push(await timed(async () => { await (await fetch(url)).text() }))
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  return times
}
