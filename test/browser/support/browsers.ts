import { accessSync, constants } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { chromium, type Browser as Chromium } from 'playwright-core'
import type Puppeteer from 'puppeteer-core'
import root, { type Test } from 'tap'

// Not imported: tap's loader uses the first matching pattern of a package's exports, and Node the longest.
const { default: puppeteer } = createRequire(import.meta.url)('puppeteer-core') as { default: typeof Puppeteer }

/** An open page. */
export interface Tab {
  /** Runs a function in the page. It receives only the argument, and the result is a copy. */
  run<Result, Argument = undefined> (work: (argument: Argument) => Result | Promise<Result>, argument?: Argument): Promise<Result>
  /** Opens an address, and waits until the page has loaded. */
  visit (url: string): Promise<void>
  /** Opens an address with a link on the page, and waits until the page there has loaded. */
  follow (url: string): Promise<void>
  /** Reloads with the button, and waits until the page has loaded. */
  reload (): Promise<void>
  /** Goes back with the button, and waits for the previous page: unchanged, if the browser kept it. */
  back (): Promise<void>
  close (): Promise<void>
}

/** A user's browser: its tabs share cookies and storage only with each other. */
export interface Browser {
  readonly engine: EngineName
  /** Opens a page in a new tab, and waits until it has loaded. */
  open (url: string): Promise<Tab>
  /** Another user's browser of the same engine. */
  another (): Promise<Browser>
}

export type EngineName = 'Chromium' | 'Firefox'

/** A host of this machine without a secure context: plain http, and not a localhost name. */
export const INSECURE_HOST = 'insecure.test'

/** A page with an interface common to both drivers. */
interface DrivenPage {
  evaluate (work: (argument: unknown) => unknown, argument: unknown): Promise<unknown>
  goto (url: string): Promise<unknown>
  reload (): Promise<unknown>
  close (): Promise<void>
}

/** A running browser that creates profiles. */
interface Running {
  /** The browser as a Playwright object. */
  readonly chromium?: Chromium
  profile (): Promise<{ newPage (): Promise<DrivenPage>, close (): Promise<void> }>
  close (): Promise<void>
}

interface Engine {
  /** Possible names of the program. */
  readonly programs: readonly string[]
  launch (executablePath: string): Promise<Running>
}

/** Arguments of Chromium: headless, without traffic of its own. */
const CHROMIUM_ARGUMENTS: readonly string[] = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  // Instead of Playwright's longer list, which lets frames of other sites share the storage of our pages.
  '--disable-component-update', '--disable-sync', '--disable-features=HttpsUpgrades,Translate', `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`
]

const ENGINES: Readonly<Record<EngineName, Engine>> = {
  Chromium: {
    programs: ['chromium', 'chromium-browser', 'google-chrome'],
    async launch (executablePath) {
      const browser = await chromium.launch({ executablePath, ignoreDefaultArgs: ['--disable-back-forward-cache'], args: [...CHROMIUM_ARGUMENTS] })
      return { chromium: browser, profile: () => browser.newContext({ ignoreHTTPSErrors: true }), close: () => browser.close() }
    }
  },
  Firefox: {
    programs: ['firefox-esr', 'firefox'],
    async launch (executablePath) {
      const browser = await puppeteer.launch({
        browser: 'firefox',
        executablePath,
        acceptInsecureCerts: true,
        extraPrefsFirefox: {
          'network.dns.localDomains': INSECURE_HOST,
          // Otherwise timers of background tabs run once a second.
          'dom.min_background_timeout_value': 4,
          'dom.min_background_timeout_value_without_budget_throttling': 4,
          'dom.timeout.enable_budget_timer_throttling': false
        }
      })
      return { profile: () => browser.createBrowserContext(), close: () => browser.close() }
    }
  }
}

type BrowserTest = (t: Test, browser: Browser) => Promise<void>

/** The tests of each engine, in the order of their registration. */
const tests: Readonly<Record<EngineName, Array<readonly [name: string, test: BrowserTest]>>> = { Chromium: [], Firefox: [] }

/** Registers a test for every engine. */
export function inEveryBrowser (name: string, test: BrowserTest): void {
  for (const registered of Object.values(tests)) registered.push([name, test])
}

/** Registers a test of behaviour that only one engine has, or shows. */
export function inBrowser (engine: EngineName, name: string, test: BrowserTest): void {
  tests[engine].push([name, test])
}

/** Runs the registered tests of one engine, each in its own profile. Without the engine they are skipped. */
export function runTestsIn (engine: EngineName): void {
  for (const [name, test] of tests[engine]) {
    root.test(`${name} (${engine})`, { timeout: 60_000 }, async t => {
      const running = await started(t, engine)
      if (running !== undefined) await test(t, await newProfile(t, engine, running))
    })
  }
}

/** Chromium with Playwright. Without it `t` is skipped. */
export async function startedChromium (t: Test): Promise<Chromium | undefined> {
  return (await started(t, 'Chromium'))?.chromium
}

/** The browsers of this test file, each started by the first test that needs it. */
const running = new Map<EngineName, Promise<Running>>()

async function started (t: Test, engine: EngineName): Promise<Running | undefined> {
  const path = programOf(t, engine)
  if (path === undefined) return undefined
  const starting = running.get(engine) ?? ENGINES[engine].launch(path)
  if (!running.has(engine)) root.teardown(async () => await (await starting).close())
  running.set(engine, starting)
  return await starting
}

async function newProfile (t: Test, engine: EngineName, running: Running): Promise<Browser> {
  const profile = await running.profile()
  t.teardown(() => profile.close())
  return {
    engine,
    another: () => newProfile(t, engine, running),
    async open (url) {
      const tab = tabOf(await profile.newPage())
      await tab.visit(url)
      return tab
    }
  }
}

function tabOf (page: DrivenPage): Tab {
  return {
    run: async <Result, Argument>(work: (argument: Argument) => Result | Promise<Result>, argument?: Argument) =>
      await page.evaluate(work as (argument: unknown) => unknown, argument) as Result, // drivers' types differ in how they say so
    async visit (url) { await page.goto(url) },
    async follow (url) {
      await leave(page, () => page.evaluate(url => {
        const link = document.body.appendChild(document.createElement('a'))
        link.href = String(url)
        setTimeout(() => link.click())
      }, url))
    },
    async reload () { await page.reload() },
    // Not with the drivers' methods: they wait for a page load, which a page from the back/forward cache does not have.
    back: () => leave(page, () => page.evaluate(() => { setTimeout(() => history.back()) }, undefined)),
    close: () => page.close()
  }
}

/** Navigates, and waits until the other page is there. */
async function leave (page: DrivenPage, act: () => Promise<unknown>): Promise<void> {
  const where = () => page.evaluate(() => performance.getEntriesByType('navigation').some(entry => 'loadEventEnd' in entry && entry.loadEventEnd !== 0) && location.href, undefined)
  const left = await where()
  await act()
  for (let here = left; here === left || here === false; here = await where().catch(() => false)) await delay(20)
}

/** The path of an engine's program. Without it `t` is skipped. */
function programOf (t: Test, engine: EngineName): string | undefined {
  const { programs } = ENGINES[engine]
  const folders = process.env['PATH']?.split(delimiter) ?? []
  const path = programs.flatMap(program => folders.map(folder => join(folder, program))).find(isExecutable)
  if (path === undefined) t.pass(`needs ${engine}`, { skip: `needs the program ${programs.join(' or ')}` })
  return path
}

function isExecutable (path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
