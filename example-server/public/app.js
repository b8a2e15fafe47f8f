import { auth, call, changePassword, enter, newest, prove } from './api.js'
import { $, act, confirm, element, notice } from './dom.js'
import { ago, clock, deviceName, describe, ending, explain, happening } from './words.js'

/* ---------- The user ---------- */

let shown = { status: 'unknown' }
let entering = false // between the login and the check of the cookie

/** Shows a login state: the form, or the account. */
function show (state) {
  if (entering) return
  const before = shown
  shown = state
  const { status, claims, error } = state
  $('main').setAttribute('aria-busy', status === 'unknown')
  $('welcome').hidden = status !== 'out'
  $('account').hidden = status !== 'in'

  if (status === 'in') {
    if (before.claims?.sub !== claims.sub) greet(claims, before.status)
    else if (before.claims.jti !== claims.jti) tellRenewal()
    $('claims').textContent = describe(claims)
    $('cookie').textContent = document.cookie || 'Nothing: document.cookie is empty. Only the browser and the server know it.'
    newest.isOurs = false
    tick()
  }
  if (status === 'out' && before.status !== 'out') sayGoodbye(error, before.status)
  if (status !== 'out' && !followConnection(error) && error !== undefined) notice(explain(error))
}

function greet ({ username }, before) {
  forgetPerson()
  notice('')
  document.title = `${username} · Lasting logins`
  $('hello').textContent = `Hello, ${username}`
  for (const id of ['who', 'whose']) $(id).defaultValue = username // for password managers
  note(before === 'unknown' ? 'The cookie signed you in, without a password' : 'You logged in; your browser keeps the cookie')
  load()
  if (before !== 'unknown') $('hello').focus()
}

function sayGoodbye (error, before) {
  forgetPerson()
  document.title = 'Lasting logins'
  notice(ending(error))
  setMode(before === 'in' || ending(error) ? 'login' : 'signup')
  if (before === 'in') $('username').focus()
}

/** Removes all data of the user from the page. */
function forgetPerson () {
  for (const id of ['hello', 'events', 'answer', 'claims', 'devices', 'activity', 'data', 'status']) $(id).replaceChildren()
  for (const id of ['answer', 'data']) $(id).hidden = true
  for (const id of ['who', 'whose']) $(id).defaultValue = ''
  for (const id of ['form', 'password-form', 'proof-form']) $(id).reset()
  for (const id of ['form-error', 'password-error']) $(id).textContent = ''
  $('proof').close()
  $('ring').dataset.phase = ''
}

/* ---------- The token that expires ---------- */

let renewAt = 0 // the time at which the page renews an expired token

/** Runs four times a second: shows the remaining lifetime of the token, and renews an expired one. */
function tick () {
  const { status, expiresAt, claims } = auth.state
  if (status !== 'in') return
  const left = Math.max(0, expiresAt - Date.now())
  const phase = left > 0 ? 'valid' : 'expired'
  if (phase === 'expired' && $('ring').dataset.phase === 'valid') {
    note('The access token ran out')
    renewAt = Date.now() + 1000 // so that the user can see it
  }
  $('ring').dataset.phase = phase
  $('ring').style.setProperty('--left', left / (claims.exp - claims.iat) / 10)
  $('time').textContent = clock(left)
  $('phase').textContent = phase === 'valid' ? 'left' : 'expired'
  // Any use of an expired token renews it. A hidden page does not keep the session alive.
  if (phase === 'expired' && Date.now() >= renewAt && document.visibilityState === 'visible') auth.token().catch(() => {})
}
setInterval(tick, 250)

function tellRenewal () {
  note(newest.isOurs ? 'The cookie brought a new access token' : 'Another tab got a new access token, and shared it')
  load()
}

/** Adds a line to the events of this tab, newest first. */
function note (sentence) {
  $('events').prepend(element('li', {}, element('time', {}, new Date().toLocaleTimeString()), element('span', {}, sentence)))
  $('events').children[5]?.remove()
}

/* ---------- Lost connections ---------- */

let retrying

/** Shows a temporary failure, and retries until requests succeed. */
function followConnection (problem) {
  const isLost = problem !== undefined && (problem.status === undefined || problem.status === 429 || problem.status >= 500)
  if (isLost) {
    const advice = auth.state.status === 'in' ? 'You are still logged in; this page keeps trying.' : 'This page keeps trying.'
    notice(explain(problem, advice), 'connection')
    retrying ??= setInterval(retry, 2000)
  } else if (retrying !== undefined) {
    clearInterval(retrying)
    retrying = undefined
    notice('')
  }
  return isLost
}

async function retry () {
  try {
    if ((await auth.init()).status === 'in') await readAccount()
    if (auth.state.status !== 'unknown') followConnection()
  } catch (problem) {
    followConnection(problem)
  }
}
window.addEventListener('online', () => retrying && retry())
window.addEventListener('offline', () => auth.state.status === 'in' && followConnection({}))

/* ---------- Devices and activity ---------- */

/** Reads devices and activity, and shows them. */
async function readAccount () {
  const { sub } = auth.state.claims
  const [devices, activity] = await Promise.all([call('/auth/sessions'), call('/me/activity')])
  if (auth.state.claims?.sub !== sub) return // another user has logged in meanwhile
  $('devices').replaceChildren(...devices.toReversed().map(deviceItem))
  $('others').hidden = devices.length < 2
  $('activity').replaceChildren(...activity.slice(0, 12).map(activityItem))
}

function load () {
  return readAccount().catch(complain)
}

function deviceItem ({ id, userAgent, ip, createdAt, current }) {
  const name = deviceName(userAgent)
  const item = element('li', {}, element('div', {},
    element('strong', {}, name), current ? element('span', { className: 'badge' }, 'this one') : '',
    element('small', {}, `Logged in ${ago(createdAt)} from ${ip}`)))
  if (!current) {
    const button = element('button', { type: 'button', ariaLabel: `Sign out ${name}, logged in ${ago(createdAt)}` }, 'Sign out')
    button.addEventListener('click', () => act(button, () => signOut(`/auth/sessions/${id}`, `${name} is signed out.`), complain))
    item.append(button)
  }
  return item
}

async function signOut (path, said) {
  await call(path, { method: 'DELETE' }).finally(load)
  confirm(said)
  $('devices-title').focus() // the button is gone
}

function activityItem (entry) {
  const { sentence, alarming } = happening(entry)
  return element('li', { className: alarming ? 'alarming' : '' },
    element('span', {}, sentence),
    element('time', { dateTime: entry.at, title: new Date(entry.at).toLocaleString() }, ago(entry.at)))
}

/* ---------- Buttons and forms ---------- */

/** Shows an error at the top of the page; after a logout the page shows its reason already. */
function complain (problem) {
  if (problem === null && retrying === undefined) notice('')
  if (problem === null || auth.state.status !== 'in' || followConnection(problem)) return
  notice(explain(problem))
}

/** Shows an error in a form. */
function complainIn (form, words = explain) {
  return problem => {
    const sentence = problem === null ? '' : words(problem)
    $(`${form}-error`).textContent = sentence
    for (const input of $(form === 'form' ? 'form' : `${form}-form`).querySelectorAll('input')) input.setAttribute('aria-invalid', sentence !== '')
  }
}

const wordsForOwner = problem => problem.code === 'FST_AUTH_CREDENTIALS_INVALID' ? 'This is not your password.' : explain(problem)

function onClick (id, work) {
  $(id).addEventListener('click', () => act($(id), work, complain))
}

onClick('ask', async () => {
  $('answer').textContent = `GET /me → ${JSON.stringify(await call('/me'))}`
  $('answer').hidden = false
})

onClick('renew', () => auth.refresh())

onClick('others', () => signOut('/auth/sessions', 'All other devices are signed out.'))

$('logout').addEventListener('click', () => act($('logout'), () => auth.logout(), problem => {
  if (problem !== null) notice('You are logged out here. The server could not be told; this page tells it when it is next opened.')
}))

onClick('show-data', async () => {
  const data = await withFreshLogin(() => call('/me/data'))
  if (data === null) return
  $('data').textContent = JSON.stringify(data, null, 2)
  $('data').hidden = false
  $('data').focus()
})

/** Runs work that may need a fresh login: then asks for the password and runs it again. Null if the user cancels. */
async function withFreshLogin (work) {
  try {
    return await work()
  } catch (problem) {
    if (problem.code !== 'FST_AUTH_FRESH_LOGIN_REQUIRED') throw problem
    return await askForPassword() ? await work() : null
  }
}

/** Asks for the password. True if the user reauthenticated. */
async function askForPassword () {
  $('proof-form').reset()
  complainIn('proof')(null)
  $('proof').returnValue = ''
  $('proof').showModal()
  await new Promise(resolve => $('proof').addEventListener('close', resolve, { once: true }))
  return $('proof').returnValue === 'proven'
}

$('proof-form').addEventListener('submit', event => {
  event.preventDefault()
  act($('proof-submit'), async () => {
    await prove($('proof-password').value)
    $('proof').close('proven')
  }, complainIn('proof', wordsForOwner))
})
$('proof-cancel').addEventListener('click', () => $('proof').close(''))

$('password-form').addEventListener('submit', event => {
  event.preventDefault()
  act($('change-password'), async () => {
    await changePassword($('current-password').value, $('new-password').value)
    $('password-form').reset()
    confirm('Your password is changed. Every other device is signed out.')
    await load()
  }, complainIn('password', wordsForOwner))
})

/* ---------- Logging in ---------- */

const MODES = {
  signup: { title: 'Create an account', submit: 'Sign up', other: 'login', question: 'Been here before?', autocomplete: 'new-password', minLength: 8 },
  login: { title: 'Welcome back', submit: 'Log in', other: 'signup', question: 'New here?', autocomplete: 'current-password', minLength: 0 }
}
let mode

function setMode (next) {
  mode = next
  const { title, submit, other, question, autocomplete, minLength } = MODES[mode]
  $('welcome').dataset.mode = mode
  $('form-title').textContent = title
  $('submit').textContent = submit
  $('switch-text').textContent = question
  $('switch').textContent = MODES[other].submit
  $('password').autocomplete = autocomplete
  $('password').minLength = minLength
  $('hint').hidden = mode === 'login'
  complainIn('form')(null)
}

$('switch').addEventListener('click', () => {
  setMode(MODES[mode].other)
  $('username').focus()
})

$('form').addEventListener('submit', event => {
  event.preventDefault()
  act($('submit'), async () => {
    entering = true
    try {
      await enter(mode, { username: $('username').value, password: $('password').value })
    } finally {
      entering = false
      show(auth.state)
    }
  }, complainIn('form'))
})

auth.subscribe(show)
show(await auth.init())
