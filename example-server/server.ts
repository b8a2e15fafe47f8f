import { buildApp } from './app.js'
import { readEnvironment } from './environment.js'

const environment = readEnvironment(process.env)
const app = await buildApp(environment)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, stop)

const address = await app.listen({ host: environment.HOST, port: environment.PORT })
console.log(`Open ${address} in a browser. The API is described at ${address}/docs`)

/** Finishes the requests that are running. A second signal ends the process at once. */
async function stop (): Promise<void> {
  // Fastify closes idle connections only when it begins to close; connections that are busy then become idle later.
  setInterval(() => app.server.closeIdleConnections(), 100).unref()
  await app.close()
}
