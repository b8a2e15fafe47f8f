import { join } from 'node:path'
import { type Browser, type BrowserContext, type BrowserContextOptions, type Locator, type Page } from 'playwright-core'
import root, { type Test } from 'tap'
import { startServer, type ServerProcess } from '../../example-server/server-process.js'
import { startedChromium } from './browsers.js'

export const PASSWORD = 'correct horse battery staple'
export const PHONE = { viewport: { width: 360, height: 740 } }

/** The lifetime of an access token of the example, in milliseconds. */
export const ACCESS_TTL = 300_000

/** The example server, and users of its page. */
export interface ExamplePage {
  readonly url: string
  /** Moves the time of the server and of these pages. */
  wait (milliseconds: number, ...pages: readonly Page[]): Promise<void>
  /** Stops the server: its exit code. */
  stop (): Promise<number | null>
  /** Restarts the server at the same address with the same data. */
  restart (): Promise<void>
  /** A user's browser, until `t` ends. */
  person (t: Test, options?: BrowserContextOptions): Promise<BrowserContext>
  /** Opens the page in a tab of a user's browser. */
  open (person: BrowserContext): Promise<Page>
  /** The page of a user who has just signed up, in their own browser. */
  signUp (t: Test, username: string): Promise<Page>
  /** Uncaught errors of the page. */
  readonly errors: readonly string[]
}

let started: Promise<ExamplePage> | undefined

/** The example's page in Chromium: one server for all tests of a file. Without Chromium `t` is skipped. */
export async function examplePage (t: Test): Promise<ExamplePage | undefined> {
  const browser = await startedChromium(t)
  if (browser === undefined) return undefined
  started ??= start(browser)
  return await started
}

async function start (browser: Browser): Promise<ExamplePage> {
  const settings = { RATE_LIMIT: 'off', LOG_LEVEL: 'warn', DATA_DIR: join(root.testdir(), 'data'), ACCESS_TTL: `${ACCESS_TTL / 1000}s` }
  let server: ServerProcess | undefined = await startServer(root, settings)
  const { url } = server
  const errors: string[] = []
  let ahead = 0

  const self: ExamplePage = {
    url,
    errors,
    async wait (milliseconds, ...pages) {
      ahead += milliseconds
      await server?.wait(milliseconds)
      for (const page of pages) await page.evaluate(milliseconds => skip(milliseconds), milliseconds)
    },
    async stop () {
      const code = await server?.stop() ?? null
      server = undefined
      return code
    },
    async restart () {
      server = await startServer(root, { ...settings, PORT: new URL(url).port })
      await server.wait(ahead)
    },
    async person (t, options) {
      const context = await browser.newContext(options)
      context.setDefaultTimeout(30_000)
      context.on('weberror', error => errors.push(error.error().message))
      await context.addInitScript(() => {
        const now = Date.now
        let ahead = 0
        Date.now = () => now() + ahead
        Object.assign(globalThis, { skip: (milliseconds: number) => { ahead += milliseconds } })
      })
      t.teardown(() => context.close())
      return context
    },
    async open (person) {
      const page = await person.newPage()
      await page.goto(url)
      return page
    },
    async signUp (t, username) {
      const page = await self.open(await self.person(t))
      await enter(page, 'Sign up', username)
      await seen(t, hello(page, username))
      return page
    }
  }
  return self
}

/** Fills in and sends the login or the signup form. */
export async function enter (page: Page, button: 'Sign up' | 'Log in', username: string, password = PASSWORD): Promise<void> {
  if (await page.getByRole('heading', { name: button === 'Sign up' ? 'Create an account' : 'Welcome back' }).isHidden()) {
    await page.getByRole('button', { name: button }).click()
  }
  const form = page.getByRole('form')
  await form.getByLabel('Username').fill(username)
  await form.getByLabel('Password').fill(password)
  await form.getByRole('button', { name: button }).first().click()
}

/** Waits until an element is visible. */
export async function seen (t: Test, place: Locator): Promise<void> {
  await place.waitFor()
  t.pass(`there is ${place}`)
}

export const hello = (page: Page, username: string): Locator => page.getByRole('heading', { name: `Hello, ${username}` })
export const loginForm = (page: Page): Locator => page.getByRole('heading', { name: 'Welcome back' })
export const alert = (page: Page, words: string): Locator => page.getByRole('alert').getByText(words)
export const inThisTab = (page: Page, words: string): Locator => page.getByRole('log', { name: 'In this tab' }).getByText(words)

/** The id of the element with the keyboard focus. */
export const focus = (page: Page): Promise<string | undefined> => page.evaluate(() => document.activeElement?.id)
