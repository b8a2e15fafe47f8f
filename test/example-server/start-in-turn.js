// Starts the example server with one environment after the other, all in this process. Its argument is the list of
// environments as JSON; the output is the list of their ends: the exit code, and the text on standard error.
import { format } from 'node:util'

const ends = []
for (const [nth, variables] of JSON.parse(process.argv[2]).entries()) {
  const end = { code: 0, errors: '' }
  console.error = (...values) => { end.errors += format(...values) + '\n' }
  process.env = { PORT: '0', ...variables }
  process.exitCode = undefined
  await import(`../../dist/example-server/server.js?${nth}`) // evaluated anew for each query
  end.code = process.exitCode
  ends.push(end)
  process.removeAllListeners('SIGTERM').removeAllListeners('SIGINT')
}
console.log(JSON.stringify(ends))
process.exit(0)
