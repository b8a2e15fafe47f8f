import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { posix } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { authErrorCodes, statusOf } from '../lib/errors.js'
import { EVENT_LEVELS } from '../lib/http/audit-log.js'
import { optionTable } from '../lib/options/schema.js'
import { verifierTable } from '../lib/options/verifier-schema.js'
import { warningCodes } from '../lib/warnings.js'
import { createConsumer } from './package/consumer.js'
import { PAGES, read, rowsUnder, type Page } from './support/documentation.js'
import { exactly } from './support/exactly.js'
import { mysqlDatabase } from './support/mysql.js'
import { postgres } from './support/postgres.js'
import { SECRET } from './support/server.js'
import { ANY_PORT, startProgram } from './support/start-program.js'

/**
 * The variables that a block of the documentation may use without a declaration, with their types. The line before its fence
 * lists them: `<!-- given: app, pool -->`. A block imports or declares everything else.
 */
const GIVEN: Readonly<Record<string, string>> = {
  User: 'any', // a model of Mongoose
  $state: '<T>(value: T) => T', // Svelte's
  app: "import('fastify').FastifyInstance",
  askForCode: '(request: unknown, purpose: string) => Promise<{ challenge: string } | null>', // of docs/logins.md
  auth: "import('fastify-refresh-cookie/client').AuthClient<import('fastify-refresh-cookie/client').AccessClaims>",
  takeOldSession: "(request: import('fastify').FastifyRequest) => Promise<string | number | null>",
  client: '{ getDel (key: string): Promise<string | null> }', // of node-redis
  mercurius: 'any',
  oldSecret: 'string | string[]',
  options: "import('fastify-refresh-cookie').RefreshCookieOptions",
  pool: "import('pg').Pool",
  privateKey: 'string',
  publicKey: 'string',
  reply: "import('fastify').FastifyReply",
  request: "import('fastify').FastifyRequest",
  secret: 'string',
  socket: "{ close (code: number): void, on (event: 'close', listener: () => void): void }", // of @fastify/websocket
  shallowRef: '<T>(value: T) => { value: T }', // Vue's
  store: "import('fastify-refresh-cookie').SessionStore",
  token: 'string',
  settings: '(name: unknown) => string',
  send: '(to: string, text: string) => void',
  repository: 'any',
  resolvers: 'object',
  schema: 'string',
  recoveryCodes: 'any',
  prisma: 'any',
  people: 'any',
  passkeys: 'any',
  page: '(sub: string) => string',
  linkedAccounts: 'any',
  issuer: 'string',
  home: '(who: unknown) => string',
  db: 'any',
  clientSecret: 'string',
  clientId: 'string',
  authenticators: 'any',
  // React's
  useSyncExternalStore: '<T>(subscribe: (onChange: () => void) => () => void, snapshot: () => T, onServer: () => T) => T',
  users: "Required<import('fastify-refresh-cookie').Users>"
}

/** The same for blocks in JavaScript: their bodies and queries may be anything. */
const GIVEN_UNTYPED: Readonly<Record<string, string>> = {
  ...GIVEN,
  app: 'UntypedApp'
}

/** Declarations of packages that the tests do not install, or whose types a sample in JavaScript does not need. */
const AMBIENT = {
  ts: `
    declare module '@fastify/aws-lambda'
    declare module 'next/headers'
    declare module 'next/server' { export const NextResponse: any; export type NextRequest = Request }
    declare module 'react' {
      export const cache: any
      export type FormEvent<Target> = Omit<Event, 'currentTarget'> & { currentTarget: Target, nativeEvent: Event }
      export function useEffect (effect: () => void, inputs: unknown[]): void
      export function useState<T> (first: T): [T, (next: T) => void]
      export function useSyncExternalStore<T> (subscribe: (onChange: () => void) => () => void, snapshot: () => T, onServer: () => T): T
    }
    declare namespace JSX { interface IntrinsicElements { [element: string]: any } interface IntrinsicAttributes { key?: unknown } }
    declare module '*/helper' { export function build (t: import('node:test').TestContext): Promise<{ app: import('fastify').FastifyInstance, auth: import('fastify-refresh-cookie/testing').AuthTest }> }
  `,
  js: `
    declare module 'better-sqlite3'
    declare module 'drizzle-orm'
    declare module 'mongoose'
    declare module 'mysql2/promise'
    declare module 'node:diagnostics_channel' { export function subscribe (name: string, onMessage: (message: any) => void): void }
    declare module 'otplib'
    declare module 'vitest'
    declare module '*/app.mjs' { export function build (auth?: object): import('fastify').FastifyInstance }
    type UntypedHandler = (request: Omit<import('fastify').FastifyRequest, 'body' | 'query' | 'params'> & Record<'body' | 'query' | 'params', any>, reply: import('fastify').FastifyReply) => unknown
    type UntypedApp = Omit<import('fastify').FastifyInstance, 'get' | 'post'> & { github: any, google: any } & Record<'get' | 'post', {
      (path: string, handler: UntypedHandler): unknown
      (path: string, options: object, handler: UntypedHandler): unknown
    }>
  `
}

/** Samples in JavaScript are compiled without the strict checks. */
const LENIENT: ts.CompilerOptions = { strict: false, exactOptionalPropertyTypes: false, noUncheckedIndexedAccess: false }

/** The languages of a fence; the first three are compiled. */
const LANGUAGES = ['ts', 'tsx', 'js', 'sh', 'html', 'sql', 'ini', 'nginx', 'json', 'http', 'text', 'yaml']

const README_LINES = 260
const PAGE_LINES = 200

interface Block {
  readonly page: string
  readonly language: string
  readonly given: readonly string[]
  /** Its name, for blocks that import each other: the line before the fence is `<!-- file: auth.ts -->`. */
  readonly file: string | undefined
  readonly code: string
  /** The line of the page that its code starts on, from 1. */
  readonly line: number
}

const [readme] = PAGES
const blocks = PAGES.flatMap(readBlocks)
const programs = blocks.filter(({ language }) => ['ts', 'tsx', 'js'].includes(language))

t.test('every code block compiles', async t => {
  t.strictSame(blocks.filter(({ language }) => !LANGUAGES.includes(language)).map(({ page, line, language }) => `${page}:${line}: ${language}`), [])
  t.strictSame(programs.flatMap(({ given }) => given).filter(name => !Object.hasOwn(GIVEN, name)), [], 'what is given is known')
  t.strictSame(complaints(programs), [])
})

t.test('the sample of a password reset needs only the types of its inputs in strict TypeScript', async t => {
  const samples = blocks.filter(({ code }) => code.includes("app.post('/reset'"))
  t.equal(samples.length, 1)
  const typed = samples.map(sample => ({ ...sample, code: sample.code.replace(/app\.post\('/g, "app.post<{ Body: Record<'username' | 'token' | 'password', string> }>('").replaceAll('async sub =>', 'async (sub: string) =>') }))
  t.strictSame(diagnose(typed, GIVEN, AMBIENT.ts), [])
})

t.test('the first example is short, and runs as printed', async t => {
  const [first] = programs
  t.match(first, { language: 'js', given: exactly() })
  t.ok(lines(first?.code ?? '') <= 20, 'at most 20 lines')
  await signUp(t, await start(t, first?.code ?? ''))
})

t.test('the sample of docs/sqlite.md runs as printed', async t => {
  await signUp(t, await start(t, programOf('docs/sqlite.md'), { hosts: ['fastify', 'better-sqlite3'] }))
})

t.test('the sample of docs/postgres.md runs as printed', async t => {
  const DATABASE_URL = await postgres(t)
  if (DATABASE_URL === null) return
  await signUp(t, await start(t, programOf('docs/postgres.md'), { hosts: ['fastify', 'pg'], environment: { DATABASE_URL } }))
})

t.test('the sample of docs/mysql.md runs as printed', async t => {
  const place = await mysqlDatabase(t)
  if (place === null) return
  const { host, port, user, password, database } = place
  const DATABASE_URL = `mysql://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`
  await signUp(t, await start(t, programOf('docs/mysql.md'), { hosts: ['fastify', 'mysql2'], environment: { DATABASE_URL } }))
})

t.test('the commands of the quick start run as printed', async t => {
  const [, , commands] = blocks.filter(({ page, language }) => page === readme?.path && language === 'sh')
  t.match(commands?.code, /curl.*signup/)
  const url = await start(t, programs[0]?.code ?? '')
  const script = commands?.code.replaceAll('localhost:3000', new URL(url).host) ?? ''
  const { stdout, status } = spawnSync('bash', ['-ec', script], { cwd: t.testdir(), encoding: 'utf8' })
  t.equal(status, 0)
  t.match(stdout, /"sub":"[\w-]{36}".*"access_token":/, 'the user, then the next access token')
})

t.test('the two commands are in the README', async t => {
  const commands = blocks.filter(({ language }) => language === 'sh').flatMap(({ code }) => code.split('\n'))
  for (const command of ['npm ci && npm start', 'npm ci && npm test']) t.ok(commands.includes(command), command)
})

for (const [header, table] of [['option', optionTable], ['option of the verifier', verifierTable]] as const) {
  t.test(`the table "${header}" has a row for each, with its default`, async t => {
    const rows = rowsUnder(header, 'default')
    const options = leaves(table, '')
    t.strictSame(rows.map(([name]) => name).sort(), options.map(([name]) => `\`${name}\``).sort())
    // Other defaults are no plain values, such as a store; the README describes them in words.
    const plain = options.filter(([, fallback]) => fallback !== undefined && typeof fallback !== 'function')
    const defaults = new Map(rows.map(([name, fallback]) => [name, fallback]))
    t.strictSame(
      plain.map(([name]) => [name, defaults.get(`\`${name}\``)]),
      plain.map(([name, fallback]) => [name, `\`${inspect(fallback)}\``])
    )
  })
}

t.test('the short table of options names options, with their defaults', async t => {
  const defaults = new Map<string, unknown>([...Object.keys(optionTable.checks).map(name => [name, undefined] as const), ...leaves(optionTable, '')])
  const rows = rowsUnder('to', 'set', 'default').map(([, name = '', fallback]) => [name.replaceAll('`', ''), fallback] as const)
  t.equal(rows.length, 12)
  t.strictSame(rows.filter(([name]) => !defaults.has(name)), [])
  const plain = rows.map(([name, printed]) => [name, printed, defaults.get(name)] as const).filter(([, , fallback]) => typeof fallback !== 'function' && fallback !== undefined)
  t.strictSame(plain.filter(([, printed, fallback]) => printed !== `\`${inspect(fallback)}\``), [])
})

t.test('the table of events has a row for each type, with its level and fields', async t => {
  const rows = rowsUnder('event', 'log', 'fields')
  t.strictSame(rows.map(([type]) => type), Object.keys(EVENT_LEVELS).map(type => `\`${type}\``))
  // The level of dropped events is that of their type.
  const levels = Object.entries(EVENT_LEVELS).map(([type, level]) => type === 'events_dropped' ? 'as `of`' : level)
  t.strictSame(rows.map(([, level]) => level), levels)
  const sorted = (fields: readonly string[]): string => [...fields].sort().join(', ')
  t.strictSame(
    rows.map(([type, , fields = '']) => [type, sorted(fields.match(/\w+/g) ?? [])]),
    [...fieldsOfEvents()].map(([type, fields]) => [`\`${type}\``, sorted(fields)])
  )
})

t.test('the table of errors has a row for each code, with its status', async t => {
  const rows = rowsUnder('code', 'status')
  t.strictSame(rows.map(([code, status]) => [code, status]), authErrorCodes.map(code => [`\`${code}\``, String(statusOf(code))]))
  t.strictSame(rows.filter(cells => !cells[2]).map(([code]) => code), [], 'each says what a client does')
})

t.test('the tables of warnings have a row for each code', async t => {
  t.strictSame(rowsUnder('warning', 'way out').map(([code]) => code), warningCodes.map(code => `\`${code}\``))
  const stores = readdirSync('lib/stores', { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.ts')).map(path => read(`lib/stores/${path}`).text)
  const emitted = stores.flatMap(text => [...text.matchAll(/emitWarning\(.*code: '(\w+)'/g)].map(([, code]) => `\`${code}\``))
  t.strictSame(rowsUnder('warning of a store', 'way out').map(([code]) => code), emitted.sort())
})

t.test('each page is short, and the README fits on a few screens', async t => {
  const long = PAGES.filter(page => lines(page.text) > (page === readme ? README_LINES : PAGE_LINES))
  t.strictSame(long.map(({ path, text }) => `${path}: ${lines(text)} lines`), [])
})

t.test('every link leads to a file and a heading that exist', async t => {
  const broken = [...PAGES, ...['CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md'].map(read)].flatMap(page => linksOf(page).filter(link => !leadsSomewhere(page, link)).map(link => `${page.path}: ${link}`))
  t.strictSame(broken, [])
})

t.test('every test that a page names exists', async t => {
  const named = PAGES.flatMap(({ path, text }) => [...text.matchAll(/\]\((\S+\.ts) "([^"]+)"\)/g)].map(([, file = '', title = '']) => ({ page: path, file: posix.join(posix.dirname(path), file), title })))
  t.ok(named.length > 40)
  t.strictSame(named.filter(({ file, title }) => !existsSync(file) || !read(file).text.includes(`'${title.replaceAll("'", "\\'")}'`)), [])
})

t.test('the README leads to every page', async t => {
  const linked = new Set(readme === undefined ? [] : linksOf(readme).map(link => link.replace(/#.*/, '')))
  t.strictSame(PAGES.filter(page => page !== readme && !linked.has(page.path)).map(({ path }) => path), [])
})

function readBlocks ({ path, text }: Page): Block[] {
  return [...text.matchAll(/^(?:<!-- (?:given: (?<given>.*)|file: (?<file>.*)) -->\n)?```(?<language>\w*)\n(?<code>[^]*?)^```$/gm)].map(({ groups = {}, index, 0: all }) => ({
    page: path,
    language: groups['language'] ?? '',
    given: groups['given']?.split(', ') ?? [],
    file: groups['file'],
    code: groups['code'] ?? '',
    line: lines(text.slice(0, index + all.indexOf('\n', all.indexOf('```')))) + 2
  }))
}

/** The targets inside the repository of the links and pictures of a page, outside of code. */
function linksOf ({ text }: Page): string[] {
  const prose = text.replace(/^```[^]*?^```$/gm, '').replace(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)(?: "[^"]*")?\)|\b(?:src|srcset)="([^"]+)"/g)].map(([, link, picture]) => link ?? picture ?? '').filter(link => !/^https?:/.test(link))
}

function leadsSomewhere (page: Page, link: string): boolean {
  const [file = '', anchor] = link.split('#')
  const target = file === '' ? page.path : posix.join(posix.dirname(page.path), file)
  return existsSync(target) && (anchor === undefined || anchorsOf(read(target)).includes(anchor))
}

/** The anchors that GitHub gives to headings. */
function anchorsOf ({ text }: Page): string[] {
  const headings = text.replace(/^```[^]*?^```$/gm, '').matchAll(/^#+ (.*)$/gm)
  return [...headings].map(([, heading = '']) => heading.toLowerCase().replace(/\]\([^)]*\)/g, '').replace(/[^\p{L}\p{N}_ -]/gu, '').replaceAll(' ', '-'))
}

/** Every option of the table in the code that is no group, with its default. */
function leaves (check: unknown, name: string): Array<readonly [name: string, fallback: unknown]> {
  const { checks, fallback } = check as { checks?: object, fallback?: unknown } // the properties that `group` and `defaultTo` add to a check
  if (checks === undefined) return [[name, fallback]]
  return Object.entries(checks).flatMap(([member, read]) => leaves(read, name === '' ? member : `${name}.${member}`))
}

/** The fields that each type of event has for itself, in the order of the table of levels. */
function fieldsOfEvents (): Map<string, string[]> {
  const path = 'lib/events.ts'
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

/** The errors of the compiler for blocks, by the line of the page. */
function complaints (blocks: readonly Block[]): string[] {
  const untyped = blocks.filter(({ language }) => language === 'js')
  const typed = blocks.filter(({ language }) => language !== 'js')
  return [...diagnose(typed, GIVEN, AMBIENT.ts), ...diagnose(untyped, GIVEN_UNTYPED, AMBIENT.js, LENIENT), ...untyped.flatMap(typesIn)]
}

/** The errors for TypeScript syntax in a block of JavaScript. */
function typesIn (block: Block): string[] {
  const { diagnostics = [] } = ts.transpileModule(block.code, { fileName: 'block.js', reportDiagnostics: true, compilerOptions: { module: ts.ModuleKind.ESNext, allowJs: true } })
  return diagnostics.map(found => complaint(block, found))
}

function diagnose (blocks: readonly Block[], given: Readonly<Record<string, string>>, ambient: string, special: ts.CompilerOptions = {}): string[] {
  const texts = new Map(blocks.map((block, index) => {
    const declared = block.given.map(name => `declare const ${name}: ${given[name]};`).join(' ') // on one line, so that the line numbers are those of the page
    return [`${process.cwd()}/${block.file ?? `docs-block-${index}.${block.language === 'tsx' ? 'tsx' : 'ts'}`}`, `${declared}${block.code}\nexport {}`]
  }))
  const modules = new Map([...texts, [`${process.cwd()}/docs-ambient.d.ts`, ambient]])
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd())
  const settings: ts.CompilerOptions = {
    ...options, experimentalDecorators: true, emitDecoratorMetadata: true, jsx: ts.JsxEmit.Preserve, noUnusedLocals: false, noUnusedParameters: false, lib: [...options.lib ?? [], 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'], ...special
  }
  const host = ts.createCompilerHost(settings)
  const program = ts.createProgram([...modules.keys()], settings, {
    ...host,
    fileExists: path => modules.has(path) || host.fileExists(path),
    readFile: path => modules.get(path) ?? host.readFile(path),
    getSourceFile: (path, languageVersion, ...more) => {
      const text = modules.get(path)
      return text === undefined ? host.getSourceFile(path, languageVersion, ...more) : ts.createSourceFile(path, text, languageVersion, true)
    }
  })
  return [...texts.keys()].flatMap((path, index) => {
    const block = blocks[index]
    const file = program.getSourceFile(path)
    if (block === undefined) return []
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(found => complaint(block, found))
  })
}

function complaint (block: Block, { file, start = 0, messageText }: ts.Diagnostic): string {
  const line = block.line + (file?.getLineAndCharacterOfPosition(start).line ?? 0)
  return `${block.page}:${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
}

/** The first program of a page. */
function programOf (page: string): string {
  return programs.find(block => block.page === page)?.code ?? ''
}

/** Runs a program in a project with the packed package and the `hosts`. Resolves to its address. */
async function start (t: Test, program: string, { hosts = ['fastify'], environment = {} }: { readonly hosts?: readonly string[], readonly environment?: Record<string, string> } = {}): Promise<string> {
  const { folder, write } = await createConsumer(t, hosts)
  await write('server.mjs', program)
  return await startProgram(t, process.execPath, ['--import', ANY_PORT, 'server.mjs'], { cwd: folder, env: { PATH: process.env['PATH'], AUTH_SECRET: SECRET, ...environment } })
}

/** Signs up, calls a protected route, refreshes and logs out. */
async function signUp (t: Test, url: string): Promise<void> {
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
}

function lines (text: string): number {
  return text.split('\n').length - 1
}
