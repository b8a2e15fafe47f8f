import crypto from 'node:crypto'
import diagnostics from 'node:diagnostics_channel'
import stream from 'node:stream'
import cookie from '@fastify/cookie'
import * as opentelemetry from '@opentelemetry/api'
import Fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import * as jose from 'jose'
import * as prometheus from 'prom-client'
import { type Test } from 'tap'
import ts from 'typescript'
import * as library from '../../lib/index.js'
import * as postgres from '../../lib/stores/postgres/index.js'
import * as verifying from '../../lib/verifier.js'
import { cookieJar } from '../support/cookie-jar.js'
import { DOCUMENTATION } from '../support/documentation.js'
import { FAST_HASHING, openBrowser, SECRET, testClock, userTable, type Browser, type TestClock, type UserTable } from '../support/server.js'

/** A server of a recipe, with everything around it under the control of the test. */
export interface Recipe {
  readonly app: FastifyInstance
  readonly users: UserTable
  readonly clock: TestClock
  readonly wait: TestClock['wait']
  browser (): Browser
}

/** Inputs of a recipe. */
export interface RecipeSurroundings {
  /** Variables of its block, besides `app` and `users`. */
  readonly given?: Readonly<Record<string, unknown>>
  /** Changed settings, from a table of the page. */
  readonly options?: library.RefreshCookieOptions
  /** A clock shared with another server. */
  readonly clock?: TestClock
  /** Modules that its block imports, besides the usual ones. */
  readonly modules?: Readonly<Record<string, object>>
  /** Additions to the app before the recipe. */
  readonly before?: (app: FastifyInstance) => unknown
}

/** Runs the server that a page prints below `<!-- recipe: name -->`, or that several such blocks are together. */
export async function recipe (t: Test, name: string | readonly string[], { given = {}, options = {}, clock = testClock(), modules: more = {}, before = () => {} }: RecipeSurroundings = {}): Promise<Recipe> {
  const app = Fastify()
  t.teardown(async () => { await app.close() })
  const users = userTable()
  await before(app)
  const modules: Readonly<Record<string, object>> = {
    'fastify-refresh-cookie': { ...library, __esModule: true, default: underTest({ clock, ...options }) },
    'fastify-refresh-cookie/postgres': postgres,
    'fastify-refresh-cookie/verifier': { ...verifying, __esModule: true, default: verifierUnderTest({ clock }) },
    '@fastify/cookie': { ...cookie, __esModule: true, default: cookie },
    '@opentelemetry/api': opentelemetry,
    'node:crypto': crypto,
    'node:diagnostics_channel': diagnostics,
    'node:stream': stream,
    'prom-client': prometheus,
    jose,
    ...more
  }
  process.env['AUTH_SECRET'] = SECRET
  await run([name].flat().map(blockOf).join('\n'), { app, users, ...given }, path => modules[path])
  await app.ready()
  return { app, users, clock, wait: clock.wait, browser: () => openBrowser(app, cookieJar(clock)) }
}

/** The plugin with additions for tests: a clock, cheap hashing and changed options. Groups are merged, not replaced. */
function underTest ({ refreshToken, ...options }: library.RefreshCookieOptions): FastifyPluginAsync<library.RefreshCookieOptions> {
  return fp(async (app, printed: library.RefreshCookieOptions) => {
    await app.register(library.refreshCookie, {
      ...printed,
      ...(printed.users && { passwords: FAST_HASHING, rateLimit: false }),
      ...options,
      ...(printed.refreshToken && { refreshToken: { ...printed.refreshToken, ...refreshToken } })
    })
  })
}

/** The verifier with the test's clock. */
function verifierUnderTest (options: verifying.VerifierOptions): FastifyPluginAsync<verifying.VerifierOptions> {
  return fp(async (app, printed: verifying.VerifierOptions) => { await app.register(verifying.verifier, { ...printed, ...options }) })
}

function blockOf (name: string): string {
  const [, code] = new RegExp(`^<!-- recipe: ${name} -->\\n(?:<!--.*-->\\n)?\`\`\`[jt]s\\n([^]*?)^\`\`\`$`, 'm').exec(DOCUMENTATION) ?? []
  if (code === undefined) throw new Error(`no page prints the recipe "${name}"`)
  return code
}

/** Runs a TypeScript module; `load` resolves its imports. */
async function run (code: string, given: Readonly<Record<string, unknown>>, load: (path: string) => unknown): Promise<void> {
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true }
  })
  const AsyncFunction = Object.getPrototypeOf(run).constructor as typeof Function // the only way to it
  await AsyncFunction('require', 'exports', ...Object.keys(given), outputText)(load, {}, ...Object.values(given))
}
