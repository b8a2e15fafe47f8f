import t from 'tap'
import { alert, enter, examplePage, focus, hello, inThisTab, loginForm, PASSWORD, seen } from './support/example-page.js'

t.test('the example’s page in Chromium, with tokens of three seconds', async t => {
  const app = await examplePage(t, { ACCESS_TTL: '3s', GRACE: '1s' })
  if (app === undefined) return

  t.test('an access token ends, and the cookie brings another', async t => {
    const page = await app.signUp(t, 'carl')
    await seen(t, inThisTab(page, 'The access token ran out').first())
    await seen(t, inThisTab(page, 'The cookie brought a new access token').first())
    await seen(t, hello(page, 'carl'))
  })

  t.test('a copied cookie ends both sides, and the page says why', async t => {
    const owner = await app.signUp(t, 'fred')
    const thief = await app.person(t)
    await thief.addCookies(await owner.context().cookies())
    await seen(t, inThisTab(owner, 'The cookie brought a new access token').nth(1))

    const copy = await app.open(thief)
    for (const page of [copy, owner]) {
      await seen(t, alert(page, 'an old copy of your sign-in was used'))
      await seen(t, loginForm(page))
    }
    await enter(owner, 'Log in', 'fred')
    await seen(t, owner.getByText('Somebody used an old copy of your sign-in'))
  })

  t.test('what needs a fresh login asks for the password, and goes on', async t => {
    const page = await app.signUp(t, 'hans')
    await seen(t, inThisTab(page, 'The cookie brought a new access token').first()) // so the login is older than a token lives
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

  t.test('who does not give the password stays where they were', async t => {
    const page = await app.signUp(t, 'ida')
    await seen(t, inThisTab(page, 'The cookie brought a new access token').first())
    await page.getByRole('button', { name: 'Show my data' }).click()
    await seen(t, page.getByRole('dialog'))
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'hidden' })
    t.equal(await page.getByRole('alert').filter({ hasText: /./ }).count(), 0)
    await seen(t, hello(page, 'ida'))
  })

  t.test('while the server is away the page says so, and nobody is signed out', async t => {
    const page = await app.signUp(t, 'kurt')
    const banner = alert(page, 'The server cannot be reached. You are still logged in')
    t.equal(await app.server.stop(), 0)
    await seen(t, banner)
    await seen(t, hello(page, 'kurt'))

    await app.restart()
    await banner.waitFor({ state: 'hidden' })
    await seen(t, inThisTab(page, 'The cookie brought a new access token').first())
    await seen(t, hello(page, 'kurt'))
  })

  t.same(app.errors, [], 'no script of the page failed')
})
