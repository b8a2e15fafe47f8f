import { type Page } from 'playwright-core'
import t from 'tap'
import { ADA } from '../example-server/client.js'
import { exactly } from '../support/exactly.js'
import { examplePage } from './support/example-page.js'

/** Sends the request of an operation with the buttons of the page: status and text of the response. */
async function execute (page: Page, operation: string): Promise<[status: string, text: string]> {
  const block = page.locator(`[id$="-${operation}"]`)
  if (!await block.locator('.opblock-body').isVisible()) await block.locator('.opblock-summary-control').click()
  const tryIt = block.getByRole('button', { name: 'Try it out' })
  const send = block.getByRole('button', { name: 'Execute' })
  await tryIt.or(send).waitFor() // the block opens with a delay
  if (await tryIt.isVisible()) await tryIt.click()
  const clear = block.getByRole('button', { name: 'Clear' }) // else the previous reply would count as this one
  if (await clear.isVisible()) await clear.click()
  await send.click()
  const live = block.locator('.live-responses-table')
  await live.waitFor()
  return [(await live.locator('tbody .response-col_status').innerText()).trim(), await live.innerText()]
}

t.test('Swagger UI of the example in Chromium', async t => {
  const app = await examplePage(t)
  if (app === undefined) return
  const context = await app.person(t)
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  const errors: string[] = []
  page.on('pageerror', ({ message }) => errors.push(message))
  await page.goto(`${app.url}/docs`)
  await page.evaluate(async person => {
    await fetch('/auth/signup', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(person) })
  }, ADA)
  await context.clearCookies()

  t.test('a request without Authorize is refused', async t => {
    t.match(await execute(page, 'me'), exactly('401', /FST_AUTH_ACCESS_TOKEN_MISSING/))
  })

  t.test('Authorize logs in with the password form', async t => {
    await page.getByRole('button', { name: 'Authorize', exact: true }).first().click()
    const dialog = page.locator('.dialog-ux')
    const form = dialog.locator('.auth-container').first()
    await form.getByLabel('username').fill(ADA.username)
    await form.getByLabel('password').fill(ADA.password)
    await form.getByRole('button', { name: 'Apply given OAuth2 credentials' }).click()
    await form.getByRole('button', { name: 'Remove authorization' }).waitFor()
    await dialog.getByRole('button', { name: 'Close' }).first().click()
    t.match(await context.cookies(), exactly({ name: '__Host-Http-refresh', httpOnly: true, secure: true, sameSite: 'Strict' }))
  })

  t.test('an authorized request succeeds', async t => {
    t.match(await execute(page, 'me'), exactly('200', /"username": "ada"/))
  })

  t.test('XSS: the cookie is invisible to scripts', async t => {
    t.equal(await page.evaluate(() => document.cookie), '')
  })

  t.test('refresh works with the cookie that the browser sends', async t => {
    t.match(await execute(page, 'refresh'), exactly('200', /"access_token"/))
  })

  t.test('the session list is shown', async t => {
    t.match(await execute(page, 'listSessions'), exactly('200', /"current": true/))
  })

  t.test('logout ends the session, and the browser deletes the cookie', async t => {
    t.match(await execute(page, 'logout'), exactly('204', String))
    t.strictSame(await context.cookies(), [])
    t.match(await execute(page, 'refresh'), exactly('401', /FST_AUTH_REFRESH_TOKEN_MISSING/))
  })

  t.test('the page had no error', async t => {
    t.strictSame(errors, [])
  })
})
