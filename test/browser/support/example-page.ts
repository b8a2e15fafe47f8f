import { join } from 'node:path'
import { chromium, type BrowserContext, type BrowserContextOptions, type Locator, type Page } from 'playwright-core'
import { type Test } from 'tap'
import { startServer, type ServerProcess } from '../../example-server/server-process.js'
import { CHROMIUM_ARGUMENTS, programOf } from './browsers.js'

export const PASSWORD = 'correct horse battery staple'
export const PHONE = { viewport: { width: 360, height: 740 } }

/** The example server, and people in front of its page. */
export interface ExamplePage {
  readonly server: ServerProcess
  /** Starts the server anew, where it was and with what it knew. */
  restart (): Promise<ServerProcess>
  /** Somebody's browser, until `t` ends. */
  person (t: Test, options?: BrowserContextOptions): Promise<BrowserContext>
  /** Opens the page in a tab of somebody's browser. */
  open (person: BrowserContext): Promise<Page>
  /** The page of somebody who has just signed up, in a browser of their own. */
  signUp (t: Test, username: string): Promise<Page>
  /** What scripts of the page did not catch. */
  readonly errors: readonly string[]
}

/** The example's page in Chromium, until `t` ends; undefined where there is no Chromium, which `t` shows. */
export async function examplePage (t: Test, variables: Readonly<Record<string, string>>): Promise<ExamplePage | undefined> {
  const executablePath = programOf(t, 'Chromium')
  if (executablePath === undefined) return undefined
  const browser = await chromium.launch({ executablePath, args: [...CHROMIUM_ARGUMENTS] })
  t.teardown(() => browser.close())
  const settings = { RATE_LIMIT: 'off', LOG_LEVEL: 'warn', DATA_DIR: join(t.testdir(), 'data'), ...variables }
  const server = await startServer(t, settings)
  const errors: string[] = []

  const self: ExamplePage = {
    server,
    errors,
    restart: () => startServer(t, { ...settings, PORT: new URL(server.url).port }),
    async person (t, options) {
      const context = await browser.newContext(options)
      context.setDefaultTimeout(30_000)
      context.on('weberror', error => errors.push(error.error().message))
      t.teardown(() => context.close())
      return context
    },
    async open (person) {
      const page = await person.newPage()
      await page.goto(server.url)
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

/** Fills in the form for one of the two, and sends it. */
export async function enter (page: Page, button: 'Sign up' | 'Log in', username: string, password = PASSWORD): Promise<void> {
  if (await page.getByRole('heading', { name: button === 'Sign up' ? 'Create an account' : 'Welcome back' }).isHidden()) {
    await page.getByRole('button', { name: button }).click()
  }
  const form = page.getByRole('form')
  await form.getByLabel('Username').fill(username)
  await form.getByLabel('Password').fill(password)
  await form.getByRole('button', { name: button }).first().click()
}

/** Waits until something can be seen. */
export async function seen (t: Test, place: Locator): Promise<void> {
  await place.waitFor()
  t.pass(`there is ${place}`)
}

export const hello = (page: Page, username: string): Locator => page.getByRole('heading', { name: `Hello, ${username}` })
export const loginForm = (page: Page): Locator => page.getByRole('heading', { name: 'Welcome back' })
export const alert = (page: Page, words: string): Locator => page.getByRole('alert').getByText(words)
export const inThisTab = (page: Page, words: string): Locator => page.getByRole('log', { name: 'In this tab' }).getByText(words)

/** The id of the element that the keyboard is at. */
export const focus = (page: Page): Promise<string | undefined> => page.evaluate(() => document.activeElement?.id)
