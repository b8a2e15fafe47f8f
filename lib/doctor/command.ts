import { parseArgs } from 'node:util'
import { relationOf } from '../browser-rules.js'
import { systemMilliseconds } from '../time.js'
import { runChecks } from './checks.js'
import { openConnection, type Send } from './connection.js'
import { type Account, probe, type Target, clearedCookie } from './observations.js'
import { formatJson, formatTable, printable, type Row, skipped } from './report.js'
import { walk } from './walk.js'

/** The surroundings of the command. */
export interface CommandContext {
  /** `DOCTOR_USERNAME` and `DOCTOR_PASSWORD`: a test account. Arguments would show in the list of processes. */
  readonly env: Readonly<Record<string, string | undefined>>
  print (text: string): void
  printError (text: string): void
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  /** For each request; 30 seconds by default. */
  readonly timeoutMs?: number
}

const USAGE = `Usage: fastify-refresh-cookie doctor <url> [options]

Checks a running deployment from outside. It changes nothing and needs no account.

  <url>                    the public URL of the plugin's routes; /auth is added to a URL without a path
  --origin <origin>        the origin of the pages, if it is not that of <url>
  --username-field <name>  the name of the username in a login: username by default
  --json                   print JSON

With the environment variables DOCTOR_USERNAME and DOCTOR_PASSWORD of a test account it also logs in, refreshes and logs out.
Exit codes: 0 no finding, 1 findings, 2 it could not run.`

interface CommandSettings {
  readonly target: Target
  readonly account: Account | null
  /** The environment variables that an account lacks. */
  readonly missing: readonly string[]
  readonly json: boolean
}

/** Runs the command. Returns its exit code: 0 without a finding, 1 with findings, 2 if it could not run. */
export async function run (args: readonly string[], { env, print, printError, now = systemMilliseconds, timeoutMs = 30_000 }: CommandContext): Promise<0 | 1 | 2> {
  if (args.includes('--help')) {
    print(USAGE)
    return 0
  }
  const settings = readSettings(args, env)
  if (typeof settings === 'string') {
    printError(settings)
    return 2
  }
  try {
    const rows = await examine(settings, openConnection(settings.target.base, { now, timeoutMs }))
    const format = settings.json ? formatJson : formatTable
    print(format(settings.target.base, rows))
    return rows.some(({ result }) => result === 'finding') ? 1 : 0
  } catch (error) {
    printError(`Could not reach ${settings.target.base}: ${explain(error as NodeJS.ErrnoException)}`) // of a connection
    return 2
  }
}

function explain ({ name, code, message }: NodeJS.ErrnoException): string {
  if (name === 'TimeoutError') return 'it did not answer in time'
  if (code === undefined) return printable(message)
  return /CERT|ISSUER/.test(code) ? `${code}. For a certificate of your own CA set NODE_EXTRA_CA_CERTS` : code
}

/** The rows of all checks. A password goes to another machine over https only. */
export async function examine ({ target, account, missing }: Pick<CommandSettings, 'target' | 'account' | 'missing'>, send: Send): Promise<Row[]> {
  const seen = await probe(send, target)
  const rows = runChecks(seen)
  if (account === null) return [...rows, { check: 'login', ...skipped(`needs ${missing.join(' and ')}`) }]
  if (rows.some(({ check, result }) => check === 'route' && result === 'finding')) return rows
  const { certificateEnds, isLoopback } = seen.visit
  if (certificateEnds === null && !isLoopback) return [...rows, { check: 'login', ...skipped('no password is sent over plain http: give an https URL') }]
  return [...rows, ...await walk(send, target, account, clearedCookie(seen.logout)?.name)]
}

/** The settings, or what is wrong with the arguments. */
function readSettings (args: readonly string[], { DOCTOR_USERNAME: username, DOCTOR_PASSWORD: password }: CommandContext['env']): CommandSettings | string {
  const read = parseArguments(args)
  if (read === null) return USAGE
  const { url, origin, field, json } = read
  if (!isHttp(url)) return `${USAGE}\n\nThe URL must begin with http:// or https://`
  const { origin: own, pathname } = new URL(url)
  const path = pathname === '/' ? '/auth' : pathname.replace(/\/+$/, '')
  const page = origin ?? own
  if (!isHttp(page) || new URL(page).origin !== page) return `${USAGE}\n\n--origin must be an origin such as https://app.example, without a path`
  const account = username && password ? { username, password, field } : null
  const missing = [username ? [] : 'DOCTOR_USERNAME', password ? [] : 'DOCTOR_PASSWORD'].flat()
  return { target: { base: own + path, path, page, site: relationOf(page, own) }, account, missing, json }
}

function parseArguments (args: readonly string[]): { readonly url: string, readonly origin: string | undefined, readonly field: string, readonly json: boolean } | null {
  try {
    const { positionals: [command, url, ...more], values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        origin: { type: 'string' },
        'username-field': { type: 'string', default: 'username' },
        json: { type: 'boolean', default: false }
      }
    })
    if (command !== 'doctor' || url === undefined || more.length > 0) return null
    return { url, origin: values.origin, field: values['username-field'], json: values.json }
  } catch {
    return null
  }
}

function isHttp (url: string): boolean {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)
}
