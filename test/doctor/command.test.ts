import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { ADA, client } from '../example-server/client.js'
import { startServer } from '../example-server/server-process.js'
import { NO_COVERAGE, PLAIN_NODE } from '../support/plain-node.js'
import { openConnection } from '../../lib/doctor/connection.js'
import { run } from '../../lib/doctor/command.js'
import { doctor, listening, proxy } from './deployment.js'

t.test('as a program, against the example server', async t => {
  const { url } = await startServer(t, { DATA_DIR: join(t.testdir(), 'data'), LOG_LEVEL: 'silent' })

  t.test('a healthy server has no finding, with the output of the documentation', async t => {
    const { code, output, errors } = await program([url])
    t.equal(errors, '')
    t.equal(code, 0)
    const documented = await readFile('docs/doctor.md', 'utf8')
    t.ok(documented.includes(output.replaceAll(url, 'http://127.0.0.1:3000')), output)
  })

  t.test('an account is walked', async t => {
    await client(url).send('POST', '/auth/signup', ADA)
    const { code, output, errors } = await program([url, '--json'], { DOCTOR_USERNAME: ADA.username, DOCTOR_PASSWORD: ADA.password })
    t.equal(errors, '')
    const { findings, checks } = JSON.parse(output) as { findings: number, checks: Array<{ check: string, result: string }> }
    t.equal(code, findings === 0 ? 0 : 1)
    t.same(checks.filter(({ check, result }) => result === 'finding' && check !== 'timing'), [], 'the time of three logins depends on this machine')
    t.same(checks.filter(({ result }) => result === 'ok').map(({ check }) => check).slice(-5), ['login', 'refresh', 'grace', 'logout', 'session end'])
    t.notMatch(output, ADA.password)
  })

  t.test('half of an account is named', async t => {
    t.match((await program([url], { DOCTOR_USERNAME: ADA.username })).output, /needs DOCTOR_PASSWORD$/m)
    t.match((await program([url], { DOCTOR_PASSWORD: ADA.password })).output, /needs DOCTOR_USERNAME$/m)
  })
})

t.test('a finding, with the output of the documentation', async t => {
  const { port } = await listening(t)
  const url = await proxy(t, port, { request: headers => { headers.host = '10.0.0.7:3000' }, reply: headers => { delete headers['cache-control'] } })
  const { code, output } = await doctor([url])
  t.equal(code, 1)
  const documented = await readFile('docs/doctor.md', 'utf8')
  const findings = output.replaceAll(url, 'https://app.example').split('\n').filter((line, index, lines) => / FINDING | → /.test(line) || / FINDING /.test(lines[index - 1] ?? ''))
  for (const line of findings) t.ok(documented.includes(line), line)
  t.match(output, /\n2 findings, 6 ok, 4 not checked$/)
})

t.test('usage', async t => {
  const { code, output } = await doctor(['--help'])
  t.equal(code, 0)
  t.match(output, /^Usage: /)
})

const WRONG: ReadonlyArray<readonly [args: string[], message: RegExp]> = [
  [[], /^Usage: /],
  [['https://a.example', 'https://b.example'], /^Usage: /],
  [['https://a.example', '--colour'], /^Usage: /],
  [['app.example'], /The URL must begin with http/],
  [['ftp://app.example'], /The URL must begin with http/],
  [['https://a.example', '--origin', 'https://b.example/'], /--origin must be an origin/],
  [['https://a.example', '--origin', 'b.example'], /--origin must be an origin/]
]

for (const [args, message] of WRONG) {
  t.test(`wrong arguments: ${args.join(' ')}`, async t => {
    const { code, output, errors } = await doctor(args)
    t.same([code, output], [2, ''])
    t.match(errors, message)
  })
}

t.test('an address on which nothing listens', async t => {
  const unused = createServer().listen(0, '127.0.0.1')
  await once(unused, 'listening')
  const { port } = unused.address() as { port: number } // it listens on TCP
  unused.close()
  t.match(await doctor([`http://127.0.0.1:${port}`]), { code: 2, output: '', errors: `Could not reach http://127.0.0.1:${port}/auth: ECONNREFUSED` })
})

t.test('a server that answers no HTTP', async t => {
  const listener = createServer(socket => socket.end('220 mail\r\n')).listen(0, '127.0.0.1')
  t.teardown(() => { listener.close() })
  await once(listener, 'listening')
  const { port } = listener.address() as { port: number } // it listens on TCP
  t.match(await doctor([`http://127.0.0.1:${port}`]), { code: 2, errors: /HPE_INVALID/ })
})

t.test('a server that switches to another protocol', async t => {
  const server = createServer(socket => socket.once('data', () => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n')))
  t.teardown(() => { server.close() })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as { port: number } // it listens on TCP
  const { code, errors } = await doctor([`http://127.0.0.1:${port}`])
  t.equal(code, 2)
  t.match(errors, /switched to another protocol/)
})

t.test('a server that never answers', async t => {
  const listener = createServer(socket => { t.teardown(() => { socket.destroy() }) }).listen(0, '127.0.0.1')
  t.teardown(() => { listener.close() })
  await once(listener, 'listening')
  const { port } = listener.address() as { port: number } // it listens on TCP
  t.match(await doctor([`http://127.0.0.1:${port}`], {}, 1), { code: 2, errors: /it did not answer in time$/ })
})

t.test('a server that stops in the middle of its reply', async t => {
  const listener = createServer(socket => {
    t.teardown(() => { socket.destroy() })
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
  }).listen(0, '127.0.0.1')
  t.teardown(() => { listener.close() })
  await once(listener, 'listening')
  const { port } = listener.address() as { port: number } // it listens on TCP
  const send = openConnection(`http://127.0.0.1:${port}`, { now: () => 0, timeoutMs: 300 })
  await t.rejects(send({ method: 'GET', path: '/' }), { name: 'TimeoutError' })
})

t.test('an error without a code is named by its message', async t => {
  const errors: string[] = []
  const now = (): number => { throw new Error('no \u009bclock') }
  t.equal(await run(['doctor', 'http://127.0.0.1:1'], { env: {}, print: () => {}, printError: text => { errors.push(text) }, now }), 2)
  t.same(errors, ['Could not reach http://127.0.0.1:1/auth: no ?clock'])
})

t.test('https', async t => {
  const folder = t.testdir()
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  try {
    await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '100', '-subj', '/CN=localhost', '-keyout', keyFile, '-out', certFile])
  } catch (error) {
    t.pass('needs a certificate', { skip: `needs the program openssl (${String(error).split('\n', 1)[0]})` })
    return
  }
  const { port } = await listening(t)
  const url = await proxy(t, port, { certificate: { key: await readFile(keyFile), cert: await readFile(certFile) } })

  t.test('a certificate that nobody trusts', async t => {
    t.match(await doctor([url]), { code: 2, errors: /DEPTH_ZERO_SELF_SIGNED_CERT. For a certificate of your own CA set NODE_EXTRA_CA_CERTS/ })
  })

  t.test('an app that does not trust the proxy takes the request for http', async t => {
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    t.teardown(() => { delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'] })
    const { code, output } = await doctor([url])
    t.equal(code, 1)
    t.match(output, /^tls +ok +https, the certificate ends in \d+ days$/m)
    t.match(output, /^protocol +FINDING +the app takes the request for plain http$/m)
    t.match(output, /\n1 finding, /)
  })
})

/** Runs the program of the package, with the build in dist. */
async function program (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<{ code: number, output: string, errors: string }> {
  const [command, ...node] = PLAIN_NODE
  const child = spawn(command, [...node, 'bin/fastify-refresh-cookie.js', 'doctor', ...args], { env: { ...NO_COVERAGE, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const [output, errors, [code]] = await Promise.all([textOf(child.stdout), textOf(child.stderr), once(child, 'close')])
  return { code, output: output.trimEnd(), errors }
}

async function textOf (stream: NodeJS.ReadableStream): Promise<string> {
  let text = ''
  for await (const piece of stream) text += String(piece)
  return text
}
