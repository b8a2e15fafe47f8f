import t from 'tap'
import { alert, enter, examplePage, focus, hello, inThisTab, loginForm, PASSWORD, PHONE, seen } from './support/example-page.js'

t.test('the example’s page in Chromium', async t => {
  const app = await examplePage(t)
  if (app === undefined) return

  t.test('a first visit logs nothing to the console, and shows no error', async t => {
    const person = await app.person(t)
    const page = await person.newPage()
    const written: string[] = []
    page.on('console', message => written.push(message.text()))
    const answered = page.waitForResponse(response => response.url().includes('/auth/refresh'))
    await page.goto(app.url)
    await seen(t, page.getByRole('heading', { name: 'Create an account' }))
    t.equal((await answered).status(), 204)
    t.equal(await page.getByRole('alert').filter({ visible: true }).count(), 0)
    t.strictSame(written, [])
  })

  t.test('a user signs up, and a reload needs no password', async t => {
    const page = await app.signUp(t, '<i>ada</i>')
    await seen(t, page.getByRole('listitem').filter({ hasText: 'this one' }))
    await seen(t, page.getByText('Account created'))
    t.match(await page.getByRole('timer').textContent(), /^[45]:\d\d$/)
    t.equal(await page.evaluate(() => document.cookie), '')

    await page.reload()
    await seen(t, hello(page, '<i>ada</i>'))
    await seen(t, inThisTab(page, 'The cookie signed you in, without a password'))
  })

  t.test('a wrong password is shown at its field', async t => {
    await app.signUp(t, 'bob')
    const page = await app.open(await app.person(t))
    await enter(page, 'Log in', 'bob', 'a wild guess')
    await seen(t, page.getByRole('alert').filter({ hasText: 'The username or the password is wrong.' }))
    await enter(page, 'Log in', 'bob')
    await seen(t, hello(page, 'bob'))
    await seen(t, page.getByText('Somebody gave a wrong password'))
  })

  t.test('a second tab follows the first', async t => {
    const first = await app.signUp(t, 'dora')
    const second = await app.open(first.context())
    await seen(t, hello(second, 'dora'))
    await first.getByRole('button', { name: 'Renew now' }).click()
    await seen(t, inThisTab(second, 'Another tab got a new access token, and shared it'))

    await first.getByRole('button', { name: 'Log out' }).click()
    await seen(t, loginForm(second))
    t.equal(await second.getByText('dora').count(), 0, 'nothing of the user is left')
    await enter(first, 'Log in', 'dora')
    await seen(t, hello(second, 'dora'))
  })

  t.test('one device signs out another, whose next action shows the login', async t => {
    const laptop = await app.signUp(t, 'emma')
    const phone = await app.open(await app.person(t, { ...PHONE, userAgent: 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1' }))
    await enter(phone, 'Log in', 'emma')
    await seen(t, hello(phone, 'emma'))

    await laptop.reload()
    await laptop.getByRole('button', { name: /^Sign out Safari on iPhone/ }).click()
    await seen(t, laptop.getByRole('status').getByText('Safari on iPhone is signed out.'))
    await seen(t, laptop.getByText('Another device was signed out'))
    t.equal(await laptop.getByRole('button', { name: /^Sign out/ }).count(), 0)
    t.equal(await focus(laptop), 'devices-title')

    await phone.getByRole('button', { name: 'Who am I?' }).click()
    await seen(t, loginForm(phone))
    await seen(t, alert(phone, 'You were signed out from another of your devices'))
  })

  t.test('a password change signs out every other device', async t => {
    const page = await app.signUp(t, 'gina')
    const other = await app.open(await app.person(t))
    await enter(other, 'Log in', 'gina')
    await seen(t, hello(other, 'gina'))

    await page.getByLabel('New password').fill('three small words')
    await page.getByLabel('Current password').fill('a wild guess')
    await page.getByRole('button', { name: 'Change password' }).click()
    await seen(t, alert(page, 'This is not your password.'))
    await page.getByLabel('Current password').fill(PASSWORD)
    await page.getByRole('button', { name: 'Change password' }).click()
    await seen(t, page.getByRole('status').getByText('Your password is changed.'))
    await seen(t, page.getByText('Password changed, and every other device signed out'))

    await other.getByRole('button', { name: 'Who am I?' }).click()
    await seen(t, loginForm(other))
    await page.reload()
    await seen(t, hello(page, 'gina'))
    await page.getByRole('button', { name: 'Log out' }).click()
    await enter(page, 'Log in', 'gina', 'three small words')
    await seen(t, hello(page, 'gina'))
  })

  t.test('a browser that rejects the cookie gets an explanation', async t => {
    const context = await app.person(t)
    const page = await app.open(context)
    await page.route('**/auth/signup', async route => {
      const response = await route.fetch()
      await context.clearCookies()
      const { 'set-cookie': _refused, ...headers } = response.headers()
      await route.fulfill({ response, headers })
    })
    await enter(page, 'Sign up', 'lena')
    await seen(t, alert(page, 'Your browser did not keep the cookie, which is for secure connections only'))
    t.ok(await page.getByRole('heading', { name: 'Hello' }).isHidden())
  })

  t.test('accessibility: the keyboard is enough, also on a phone’s width', async t => {
    const page = await app.open(await app.person(t, PHONE))
    await seen(t, page.getByRole('heading', { name: 'Create an account' }))
    const tabTo = async (id: string) => {
      for (let presses = 0; presses < 20; presses++) {
        if (await focus(page) === id) return
        await page.keyboard.press('Tab')
      }
      t.fail(`no way to ${id}`)
    }
    await tabTo('username')
    await page.keyboard.type('judy')
    await tabTo('password')
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press('Enter')
    await seen(t, hello(page, 'judy'))
    t.equal(await focus(page), 'hello', 'a screen reader starts there')
    t.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.viewport.width)
    await tabTo('ask')
    await page.keyboard.press('Enter')
    await seen(t, page.getByText('"username":"judy"'))
    t.equal(await focus(page), 'ask', 'it stays where it was')
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('Enter')
    await seen(t, loginForm(page))
    t.equal(await focus(page), 'username')
  })

  t.test('accessibility: on a phone the login form has a page heading, and links are large enough to tap (WCAG 2.5.8)', async t => {
    const page = await app.open(await app.person(t, PHONE))
    await page.getByRole('button', { name: 'Log in' }).click()
    await seen(t, loginForm(page))
    t.ok(await page.getByRole('heading', { level: 1 }).isVisible())
    const box = await page.getByRole('link', { name: 'API' }).boundingBox()
    t.ok(box !== null && box.height >= 24, `${box?.height} px`)
  })

  t.same(app.errors, [], 'no script of the page failed')
})
