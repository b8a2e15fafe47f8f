import argon2 from 'argon2'
import Fastify, { type FastifyInstance } from 'fastify'
import refreshCookie, { type User } from 'fastify-refresh-cookie'
import { type Sample } from './samples.js'
import { timed } from './statistics.js'

const ROUNDS = 7
const LOGINS = 40
/** Logins with a cheap hash, since the compiler needs thousands of them. */
const WARM_UP = 5000
const CHEAP = { memoryCost: 1024, timeCost: 2, parallelism: 1 }
const WAITING = 200
const PASSWORD = 'correct horse battery staple'
const CREDENTIALS = { username: 'ada', password: PASSWORD }

/** The cost of logins, and their effect on other requests. */
export interface LoginCost {
  /** The samples of each round: logins, a route that only verifies the same hash, and argon2 alone, all with the same concurrency. */
  readonly samples: Readonly<Record<'login: ours' | 'login: a route with argon2.verify' | 'login: argon2.verify', Sample[]>>
  /** The time of an unrelated GET in milliseconds: on an idle server, and while many logins wait. */
  readonly idle: readonly number[]
  readonly busy: readonly number[]
}

/** Measures the cost on a new app. */
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
  const [hash, cheapHash] = [await app.passwords.hash(PASSWORD), await argon2.hash(PASSWORD, CHEAP)]
  const route = Fastify()
  let passwordHash = cheapHash
  route.post('/auth/login', async request => ({ verified: await argon2.verify(passwordHash, (request.body as typeof CREDENTIALS).password) }))

  const verify = async () => await argon2.verify(passwordHash, PASSWORD)
  const loginTo = async (server: FastifyInstance): Promise<void> => {
    const { statusCode } = await server.inject({ method: 'POST', url: '/auth/login', payload: CREDENTIALS })
    if (statusCode !== 200) throw new Error(`a login answered ${statusCode}`)
  }
  const login = async () => await loginTo(app)
  const loginToRoute = async () => await loginTo(route)

  ada = { id: 1, username: 'ada', passwordHash }
  for (let nth = 0; nth < WARM_UP; nth++) await Promise.all([login(), loginToRoute()])
  passwordHash = hash
  ada = { id: 1, username: 'ada', passwordHash }

  const samples: LoginCost['samples'] = { 'login: ours': [], 'login: a route with argon2.verify': [], 'login: argon2.verify': [] }
  for (let round = 0; round < ROUNDS; round++) {
    samples['login: argon2.verify'].push(await twoAtOnce(verify))
    samples['login: a route with argon2.verify'].push(await twoAtOnce(loginToRoute))
    samples['login: ours'].push(await twoAtOnce(login))
  }

  const idle = await sample(`${url}/other`, taken => taken >= 500)
  let left = WAITING
  const waiting = Promise.all(Array.from({ length: WAITING }, async () => {
    await login()
    left--
  }))
  const busy = await sample(`${url}/other`, () => left === 0)
  await waiting
  await Promise.all([app.close(), route.close()])
  return { samples, idle, busy }
}

/** Runs two at once, as the plugin's queue does by default. The processor time includes the hashing threads. */
async function twoAtOnce (work: () => Promise<unknown>): Promise<Sample> {
  const before = process.cpuUsage()
  const milliseconds = await timed(() => Promise.all([0, 1].map(async () => { for (let nth = 0; nth < LOGINS / 2; nth++) await work() })))
  const { user, system } = process.cpuUsage(before)
  return { cpu: (user + system) / LOGINS, rate: 1000 * LOGINS / milliseconds }
}

/** The times of sequential requests in milliseconds, until `isOver`. */
async function sample (url: string, isOver: (taken: number) => boolean): Promise<number[]> {
  const times: number[] = []
  while (!isOver(times.length)) {
    times.push(await timed(async () => { await (await fetch(url)).text() }))
    await new Promise(resolve => setTimeout(resolve, 2))
  }
  return times
}
