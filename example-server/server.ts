import { type FastifyInstance } from 'fastify'
import { createActivityLog } from './activity.js'
import { buildApp } from './app.js'
import { createDataFolder } from './data-folder.js'
import { embeddedDatabase, remoteDatabase } from './database.js'
import { EnvironmentError } from './environment-error.js'
import { readEnvironment, type Environment } from './environment.js'
import { sessionsInDatabase, sessionsInRedis } from './session-store.js'
import { createUserTable } from './users.js'

/** Why the server cannot listen, and the variable that is to blame. */
const REASONS: Readonly<Record<string, (environment: Environment) => string>> = {
  EADDRINUSE: ({ port }) => `PORT ${port} is taken: stop what listens there, or set another PORT`,
  EACCES: ({ port }) => `PORT ${port} is not for this user: set one above 1023`,
  EADDRNOTAVAIL: ({ host }) => `HOST ${host} is no address of this machine`,
  ENOTFOUND: ({ host }) => `HOST ${host} is not known`
}

const starting = start()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop)
try {
  await starting
} catch (error) {
  console.error(error instanceof EnvironmentError ? error.message : error)
  process.exitCode = 1
}

/** The app, listening. */
async function start (): Promise<FastifyInstance> {
  const environment = readEnvironment(process.env)
  const { authSecret, dataDir, databaseUrl, redisUrl } = environment
  const folder = createDataFolder(dataDir)
  const database = databaseUrl === undefined ? embeddedDatabase(folder) : await remoteDatabase(databaseUrl)
  const sessions = redisUrl === undefined ? sessionsInDatabase(database) : await sessionsInRedis(redisUrl)
  const users = createUserTable(database)
  const activity = createActivityLog(database)
  const app = await buildApp({ environment, secret: authSecret ?? folder.secret(), database, sessions, users, activity })
  try {
    await database.open()
    await users.createTable()
    await activity.createTable()
    const address = await listen(app, environment)
    console.log(`Open ${address} in a browser. The API is described at ${address}/docs`)
    return app
  } catch (error) {
    await app.close()
    throw error
  }
}

async function listen (app: FastifyInstance, environment: Environment): Promise<string> {
  try {
    return await app.listen({ host: environment.host, port: environment.port })
  } catch (error) {
    const reason = REASONS[(error as NodeJS.ErrnoException).code ?? ''] // only a system error has such a code
    throw reason === undefined ? error : new EnvironmentError(reason(environment), { cause: error })
  }
}

/** Answers what has been asked, then stops. A second signal, or ten seconds, end it at once. */
async function stop (): Promise<void> {
  setTimeout(() => process.exit(1), 10_000).unref()
  const app = await starting.catch(() => undefined)
  // A browser keeps its connection after the last answer, and would be waited for.
  setInterval(() => app?.server.closeIdleConnections(), 100).unref()
  await app?.close()
}
