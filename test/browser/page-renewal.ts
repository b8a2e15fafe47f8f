import { type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { ACCESS_TTL, alert, enter, examplePage, focus, hello, inThisTab, loginForm, PASSWORD, seen } from './support/example-page.js'

/** A page shows for a second that its access token has expired. */
const PAUSE = 1000

t.test('the example’s page in Chromium, with short access tokens', async t => {
  const app = await examplePage(t)
  if (app === undefined) return

  async function expire (t: Test, page: Page): Promise<void> {
    const expiries = inThisTab(page, 'The access token ran out')
    const before = await expiries.count()
    await app?.wait(ACCESS_TTL, page)
    await seen(t, expiries.nth(before)) // on a busy machine "expired" beside the ring may be gone before the check
    await app?.wait(PAUSE, page)
  }

  async function renew (t: Test, page: Page): Promise<void> {
    const renewals = inThisTab(page, 'The cookie brought a new access token')
    const before = await renewals.count()
    await expire(t, page)
    await seen(t, renewals.nth(before))
  }

  t.test('an access token expires, and the cookie brings another', async t => {
    const page = await app.signUp(t, 'carl')
    await renew(t, page)
    await seen(t, inThisTab(page, 'The access token ran out'))
    await seen(t, hello(page, 'carl'))
  })

  t.test('reuse detection: a copied cookie ends both sides, and the page says why', async t => {
    const owner = await app.signUp(t, 'fred')
    const thief = await app.person(t)
    await thief.addCookies(await owner.context().cookies())
    await renew(t, owner)
    await renew(t, owner)

    const copy = await app.open(thief)
    await seen(t, alert(copy, 'an old copy of your sign-in was used'))
    await expire(t, owner)
    await seen(t, alert(owner, 'an old copy of your sign-in was used'))
    for (const page of [copy, owner]) await seen(t, loginForm(page))
    await enter(owner, 'Log in', 'fred')
    await seen(t, owner.getByText('Somebody used an old copy of your sign-in'))
  })

  t.test('step-up: an action that needs a fresh login asks for the password, and continues', async t => {
    const page = await app.signUp(t, 'hans')
    await renew(t, page) // so the login is older than a token lives
    await page.getByRole('button', { name: 'Show my data' }).click()
    const dialog = page.getByRole('dialog', { name: 'Is it still you?' })
    await dialog.getByLabel('Password').fill('a wild guess')
    await dialog.getByLabel('Password').press('Enter')
    await seen(t, dialog.getByRole('alert').getByText('This is not your password.'))
    await dialog.getByLabel('Password').fill(PASSWORD)
    await dialog.getByRole('button', { name: 'Continue' }).click()
    await dialog.waitFor({ state: 'hidden' })
    await seen(t, page.getByText('"username": "hans"').last())
    t.equal(await focus(page), 'data')
  })

  t.test('step-up: cancelling the password changes nothing', async t => {
    const page = await app.signUp(t, 'ida')
    await renew(t, page)
    await page.getByRole('button', { name: 'Show my data' }).click()
    await seen(t, page.getByRole('dialog'))
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    t.equal(await page.getByRole('alert').filter({ hasText: /./ }).count(), 0)
    await seen(t, hello(page, 'ida'))
  })

  t.test('during an outage the page says so, and nobody is signed out', async t => {
    const page = await app.signUp(t, 'kurt')
    const banner = alert(page, 'The server cannot be reached. You are still logged in')
    t.equal(await app.stop(), 0)
    await expire(t, page)
    await seen(t, banner)
    await seen(t, hello(page, 'kurt'))

    await app.restart()
    await banner.waitFor({ state: 'hidden' })
    await seen(t, inThisTab(page, 'The cookie brought a new access token').first())
    await seen(t, hello(page, 'kurt'))
  })

  t.same(app.errors, [], 'no script of the page failed')
})
