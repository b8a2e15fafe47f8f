/** Serves one of the subjects in its own process: sends its address, then its processor time on each request. */
import { cleanUp } from './own-databases.js'
import { SUBJECTS } from './subjects.js'

const [name = ''] = process.argv.slice(2)
const app = await SUBJECTS[name]?.()
if (app === undefined) throw new Error(`there is no subject "${name}"`)

const url = await app.listen({ port: 0, host: '127.0.0.1' })
process.send?.({ url })
process.on('message', () => {
  const { user, system } = process.cpuUsage()
  process.send?.({ cpu: (user + system) / 1e6 })
})
process.once('disconnect', async () => {
  setInterval(() => app.server.closeIdleConnections(), 50).unref()
  await app.close()
  await cleanUp()
})
