// Starts the example server with several environments, one after the other, in this process. Its argument is the list
// of environments as JSON; the output is the list of results: the exit code, and the error as Node prints it.
import { inspect } from 'node:util'

const ends = []
for (const [nth, variables] of JSON.parse(process.argv[2]).entries()) {
  process.env = { PORT: '0', LOG_LEVEL: 'silent', ...variables }
  const server = import(`../../dist/example-server/server.js?${nth}`) // evaluated anew for each query
  ends.push(await server.then(() => ({ code: 0, errors: '' }), error => ({ code: 1, errors: inspect(error) })))
}
console.log(JSON.stringify(ends))
process.exit(0)
