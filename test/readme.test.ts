import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { authErrorCodes, statusOf } from '../lib/errors.js'
import { EVENT_LEVELS } from '../lib/http/audit-log.js'
import { optionTable } from '../lib/options/schema.js'
import { verifierTable } from '../lib/options/verifier-schema.js'
import { SECRET } from './support/server.js'
import { createConsumer } from './package/consumer.js'
import { exactly } from './support/exactly.js'
import { ANY_PORT, startProgram } from './support/start-program.js'

/**
 * What the blocks of the README may take as given, and its type. A block says so on the line before its fence:
 * `<!-- given: app, pool -->`. Everything else it imports or makes itself.
 */
const GIVEN: Readonly<Record<string, string>> = {
  $state: '<T>(value: T) => T', // Svelte's
  app: "import('fastify').FastifyInstance",
  auth: "import('fastify-refresh-cookie/client').AuthClient<import('fastify-refresh-cookie/client').AccessClaims>",
  counter: '{ add (value: number, attributes: object): void }', // OpenTelemetry's
  options: "import('fastify-refresh-cookie').RefreshCookieOptions",
  pool: "import('pg').Pool",
  privateKey: 'string',
  publicKey: 'string',
  reply: "import('fastify').FastifyReply",
  request: "import('fastify').FastifyRequest",
  secret: 'string',
  shallowRef: '<T>(value: T) => { value: T }', // Vue's
  store: "import('fastify-refresh-cookie').SessionStore",
  token: 'string',
  // React's
  useSyncExternalStore: '<T>(subscribe: (onChange: () => void) => () => void, snapshot: () => T, onServer: () => T) => T',
  users: "Required<import('fastify-refresh-cookie').Users>"
}

interface Block {
  readonly language: string
  readonly given: readonly string[]
  readonly code: string
  /** The line of the README that its code starts on, from 1. */
  readonly line: number
}

const readme = readFileSync('README.md', 'utf8')
const blocks = readBlocks(readme)
const programs = blocks.filter(({ language }) => language === 'ts' || language === 'js')

t.test('every code block compiles', async t => {
  t.ok(programs.length > 0)
  t.strictSame(programs.flatMap(({ given }) => given).filter(name => !Object.hasOwn(GIVEN, name)), [], 'what is given is known')
  t.strictSame(complaints(programs), [])
})

t.test('the first example is short, and runs as printed', async t => {
  const [first] = programs
  t.match(first, { language: 'js', given: exactly() })
  t.ok(lines(first?.code ?? '') <= 20, 'at most 20 lines')
  const url = await start(t, first?.code ?? '')
  const post = (path: string, headers: Record<string, string>, body?: object): Promise<Response> =>
    fetch(url + path, { method: 'POST', headers, ...(body && { body: JSON.stringify(body) }) })

  const signup = await post('/auth/signup', { 'content-type': 'application/json' }, { username: 'ada', password: 'correct horse' })
  t.equal(signup.status, 201)
  const { access_token: token } = await signup.json() as { access_token: string }
  t.equal((await fetch(`${url}/me`, { headers: { authorization: `Bearer ${token}` } })).status, 200)
  t.equal((await fetch(`${url}/me`)).status, 401)

  const cookie = signup.headers.getSetCookie().map(line => line.split(';', 1)[0]).join('; ')
  t.equal((await post('/auth/refresh', { cookie })).status, 200)
  t.equal((await post('/auth/logout', { cookie })).status, 204)
  t.equal((await post('/auth/refresh', { cookie })).status, 401)
})

t.test('the two commands are in the README', async t => {
  const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ code }) => code.split('\n'))
  for (const command of ['npm ci && npm start', 'npm ci && npm test']) t.ok(commands.includes(command), command)
})

for (const [header, table] of [['option', optionTable], ['option of the verifier', verifierTable]] as const) {
  t.test(`the table "${header}" has a row for each, with its default`, async t => {
    const rows = tableUnder(header, 'default')
    const options = leaves(table, '')
    t.strictSame(rows.map(([name]) => name).sort(), options.map(([name]) => `\`${name}\``).sort())
    // Others have a default that is no plain value, such as a store: the README says it in its own words.
    const plain = options.filter(([, fallback]) => fallback !== undefined && typeof fallback !== 'function')
    const defaults = new Map(rows.map(([name, fallback]) => [name, fallback]))
    t.strictSame(
      plain.map(([name]) => [name, defaults.get(`\`${name}\``)]),
      plain.map(([name, fallback]) => [name, `\`${inspect(fallback)}\``])
    )
  })
}

t.test('the table of events has a row for each type, with its level and fields', async t => {
  const rows = tableUnder('event', 'log', 'fields')
  t.strictSame(rows.map(([type]) => type), Object.keys(EVENT_LEVELS).map(type => `\`${type}\``))
  // That of dropped events depends on what was dropped.
  const levels = Object.entries(EVENT_LEVELS).map(([type, level]) => type === 'events_dropped' ? 'as `of`' : level)
  t.strictSame(rows.map(([, level]) => level), levels)
  const sorted = (fields: readonly string[]): string => [...fields].sort().join(', ')
  t.strictSame(
    rows.map(([type, , fields = '']) => [type, sorted(fields.match(/\w+/g) ?? [])]),
    [...fieldsOfEvents()].map(([type, fields]) => [`\`${type}\``, sorted(fields)])
  )
})

t.test('the table of errors has a row for each code, with its status', async t => {
  const rows = tableUnder('code', 'status')
  t.strictSame(rows.map(([code, status]) => [code, status]), authErrorCodes.map(code => [`\`${code}\``, String(statusOf(code))]))
  t.strictSame(rows.filter(cells => !cells[2]).map(([code]) => code), [], 'each says what a client does')
})

function readBlocks (markdown: string): Block[] {
  return [...markdown.matchAll(/^(?:<!-- given: (?<given>.*) -->\n)?```(?<language>\w+)\n(?<code>[^]*?)^```$/gm)].map(({ groups = {}, index, 0: all }) => ({
    language: groups['language'] ?? '',
    given: groups['given']?.split(', ') ?? [],
    code: groups['code'] ?? '',
    line: lines(markdown.slice(0, index + all.indexOf('\n', all.indexOf('```')))) + 2
  }))
}

/** The rows of the table whose header starts with these cells. */
function tableUnder (...header: readonly string[]): string[][] {
  const start = `| ${header.join(' | ')} |`
  const table = readme.split('\n\n').find(paragraph => paragraph.startsWith(start)) ?? ''
  const [, , ...rows] = table.trimEnd().split('\n')
  return rows.map(row => row.split(/(?<!\\)\|/).slice(1, -1).map(cell => cell.trim()))
}

/** Every option of the table in the code that is no group, with what it is when left out. */
function leaves (check: unknown, name: string): Array<readonly [name: string, fallback: unknown]> {
  const { checks, fallback } = check as { checks?: object, fallback?: unknown } // what group and defaultTo put on a check
  if (checks === undefined) return [[name, fallback]]
  return Object.entries(checks).flatMap(([member, read]) => leaves(read, name === '' ? member : `${name}.${member}`))
}

/** The fields that each type of event has for itself, in the order of the table of levels. */
function fieldsOfEvents (): Map<string, string[]> {
  const path = 'lib/audit/events.ts'
  const program = ts.createProgram([path], { strict: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext })
  const checker = program.getTypeChecker()
  const declaration = program.getSourceFile(path)?.statements.filter(ts.isTypeAliasDeclaration).find(({ name }) => name.text === 'AuthEvent')
  const union = declaration === undefined ? undefined : checker.getTypeAtLocation(declaration)
  const fields = new Map(((union as ts.UnionType).types).map(member => {
    const [type, ...others] = member.getProperties().sort((one, other) => Number(other.name === 'type') - Number(one.name === 'type'))
    const literal = type === undefined ? undefined : checker.getTypeOfSymbol(type)
    return [(literal as ts.StringLiteralType).value, others.map(({ name }) => name)] as const
  }))
  return new Map(Object.keys(EVENT_LEVELS).map(type => [type, fields.get(type) ?? []]))
}

/** What the compiler says of blocks against lib, by the line of the README. Each is a module of its own. */
function complaints (programs: readonly Block[]): string[] {
  const modules = new Map(programs.flatMap(block => {
    const given = block.given.map(name => `declare const ${name}: ${GIVEN[name]};`).join(' ')
    const module = { block, text: `${given}${block.code}\nexport {}` }
    const path = `${process.cwd()}/readme-${block.line}`
    // A block of js is compiled as TypeScript, and parsed as JavaScript too: it holds no types.
    return block.language === 'js' ? [[`${path}.ts`, module], [`${path}.js`, module]] : [[`${path}.ts`, module]]
  }))
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd())
  const settings: ts.CompilerOptions = {
    ...options, allowJs: true, checkJs: false, noUnusedLocals: false, noUnusedParameters: false, lib: [...options.lib ?? [], 'lib.dom.d.ts', 'lib.dom.iterable.d.ts']
  }
  const host = ts.createCompilerHost(settings)
  const program = ts.createProgram([...modules.keys()], settings, {
    ...host,
    fileExists: path => modules.has(path) || host.fileExists(path),
    readFile: path => modules.get(path)?.text ?? host.readFile(path),
    getSourceFile: (path, languageVersion, ...more) => {
      const module = modules.get(path)
      return module === undefined ? host.getSourceFile(path, languageVersion, ...more) : ts.createSourceFile(path, module.text, languageVersion, true)
    }
  })
  return [...modules].flatMap(([path, { block }]) => {
    const file = program.getSourceFile(path)
    const found = path.endsWith('.js') ? program.getSyntacticDiagnostics(file) : [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    return found.map(({ start = 0, messageText }) => {
      const line = block.line + (file?.getLineAndCharacterOfPosition(start).line ?? 0)
      return `README.md:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  })
}

/** Runs a program against the packed package, as somebody who has installed that does. Gives its address. */
async function start (t: Test, program: string): Promise<string> {
  const { folder, write } = await createConsumer(t)
  await write('server.mjs', program)
  return await startProgram(t, process.execPath, ['--import', ANY_PORT, 'server.mjs'], { cwd: folder, env: { PATH: process.env['PATH'], AUTH_SECRET: SECRET } })
}

function lines (text: string): number {
  return text.split('\n').length - 1
}
