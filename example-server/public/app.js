import { createAuth } from './auth.js'

const $ = id => document.getElementById(id)
const auth = createAuth({ onChange: show })

/** What each refusal means to a person. Others are told in the server's words. */
const SENTENCES = {
  FST_AUTH_CREDENTIALS_INVALID: 'The username or the password is wrong.',
  FST_AUTH_USERNAME_TAKEN: 'This username is taken. Is it you? Then log in.',
  FST_AUTH_REFRESH_TOKEN_EXPIRED: 'You were away for long, so your session has expired. Please log in again.',
  FST_AUTH_REFRESH_TOKEN_REUSED: 'An old copy of your cookie was used, perhaps by somebody else. To be safe, this session was ended: log in again.',
  FST_AUTH_REFRESH_TOKEN_INVALID: 'The server does not recognise your cookie. Please log in again.',
  FST_AUTH_SESSION_ENDED: 'This session was ended, perhaps from another of your devices. Please log in again.',
  FST_AUTH_USER_REFUSED: 'This account can no longer log in.',
  COOKIE_REFUSED: document.location.protocol === 'https:'
    ? 'Your browser did not keep the cookie, so you would not stay logged in: allow cookies for this site.'
    : 'Your browser did not keep the cookie, which is for secure connections only (Safari wants https even on this machine): use https, or another browser at http://localhost, or start the server with COOKIE_SECURE=false.'
}

/** A sentence for a person; `advice` follows where the trouble will pass. */
function explain ({ status, code, message, retryAfter }, advice = 'Please try again in a moment.') {
  if (SENTENCES[code]) return SENTENCES[code]
  if (status === 0) return `The server does not answer; are you offline? ${advice}`
  if (status === 429) return `That was too often. Please wait ${waitingTime(retryAfter)}.`
  if (status >= 500) return `The server has a problem right now. ${advice}`
  return `${message}.`
}

function waitingTime (seconds) {
  if (seconds === null) return 'a moment'
  return seconds < 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`
}

/* ---------- Who is here ---------- */

let renewals = 0

/** Shows every new state of the login. */
function show (state, before) {
  const { status, reason, token, claims } = state
  $('main').setAttribute('aria-busy', status === 'unknown')
  $('welcome').hidden = status !== 'out'
  $('account').hidden = status !== 'in'

  if (status === 'in') {
    $('hello').textContent = `Hello, ${claims.username}`
    $('claims').textContent = token === null ? 'It is gone.' : describe(claims)
    $('cookie').textContent = document.cookie || 'Nothing: document.cookie is empty. Only the browser and the server know it.'
    if (before.status !== 'in') notice('')
    else if (token !== null) showRenewal()
    if (token !== null) loadDevices()
    tick()
  } else {
    renewals = 0
    for (const id of ['hello', 'claims', 'renewals', 'answer', 'devices', 'diary']) $(id).replaceChildren()
    $('answer').hidden = true
  }
  if (status === 'out') {
    notice(SENTENCES[reason] ?? '')
    setMode(SENTENCES[reason] ? 'login' : 'signup')
  }
}

function showRenewal () {
  renewals++
  notice('')
  say('The cookie brought a new access token')
  $('renewals').textContent = renewals === 1 ? 'It has done so once.' : `It has done so ${renewals} times.`
  $('ring').classList.remove('renewed')
  window.requestAnimationFrame(() => $('ring').classList.add('renewed'))
}

/** Claims as JSON, with the time of day beside each moment. */
function describe (claims) {
  return JSON.stringify(claims, null, 2)
    .replace(/"(?:iat|exp|auth_time)": (\d+),?/g, (claim, seconds) => `${claim} // ${new Date(seconds * 1000).toLocaleTimeString()}`)
}

/* ---------- The token that expires ---------- */

let renewAt = null // when the page next uses an expired token

/** Four times a second: what is left of the token, and a new one once it is used up. */
function tick () {
  const { status, token, expiresAt, lifetime } = auth.state
  if (status !== 'in') return
  const left = Math.max(0, expiresAt - Date.now())
  const phase = token === null ? 'gone' : left === 0 ? 'expired' : 'valid'
  if (phase === 'expired' && $('ring').dataset.phase !== 'expired') {
    say('The access token expired')
    renewAt = Date.now() + 1000 // a moment to see it
  }
  $('ring').dataset.phase = phase
  $('ring').style.setProperty('--left', left / lifetime / 10)
  $('time').textContent = clock(Math.ceil(left / 1000))
  $('phase').textContent = { valid: 'left', expired: 'expired', gone: 'no token' }[phase]
  // A page that nobody looks at keeps no session alive.
  if (phase === 'expired' && Date.now() >= renewAt && document.visibilityState === 'visible') useToken()
}
setInterval(tick, 250)

/** Any request will do: the token is renewed because it is used. */
async function useToken () {
  renewAt = Infinity
  try {
    await auth.call('/me')
  } catch (problem) {
    if (auth.state.status !== 'in') return
    notice(explain(problem, 'You are still logged in, and this page goes on trying.'))
    renewAt = Date.now() + 1000 * (problem.retryAfter ?? 5)
  }
}
window.addEventListener('online', () => { renewAt = Date.now() })

function clock (seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

/* ---------- Devices ---------- */

async function loadDevices () {
  const devices = await auth.call('/auth/sessions').catch(() => null)
  if (devices === null || auth.state.status !== 'in') return
  $('devices').replaceChildren(...devices.toReversed().map(deviceItem))
  $('others').hidden = devices.length < 2
}

function deviceItem (device) {
  const name = deviceName(device.userAgent ?? '')
  const since = ago(device.createdAt)
  const item = element('li', {}, element('div', {},
    element('strong', {}, name), device.current ? element('span', { className: 'badge' }, 'this one') : '',
    element('small', {}, `Logged in ${since} from ${device.ip}`),
    element('small', {}, `Cookie replaced ${ago(device.lastUsedAt)}`)))
  if (!device.current) {
    const button = element('button', { type: 'button', ariaLabel: `Sign out ${name}, logged in ${since}` }, 'Sign out')
    button.addEventListener('click', () => act(button, async () => {
      await auth.call(`/auth/sessions/${device.id}`, { method: 'DELETE' })
      say(`Signed out ${name}`)
      await loadDevices()
      $('devices-title').focus()
    }))
    item.append(button)
  }
  return item
}

const BROWSERS = [['Edg/', 'Edge'], ['OPR/', 'Opera'], ['Firefox/', 'Firefox'], ['Chrome/', 'Chrome'], ['Safari/', 'Safari'], ['curl/', 'curl']]
const SYSTEMS = [['iPhone', 'iPhone'], ['iPad', 'iPad'], ['Android', 'Android'], ['Windows', 'Windows'], ['Mac OS', 'Mac'], ['Linux', 'Linux']]

function deviceName (userAgent) {
  const find = names => names.find(([mark]) => userAgent.includes(mark))?.[1]
  const browser = find(BROWSERS) ?? 'A program'
  const system = find(SYSTEMS)
  return system === undefined ? browser : `${browser} on ${system}`
}

function ago (iso) {
  const seconds = Math.min(0, (Date.parse(iso) - Date.now()) / 1000)
  if (seconds > -10) return 'just now'
  const [size, unit] = [[86_400, 'day'], [3600, 'hour'], [60, 'minute']].find(([size]) => -seconds >= size) ?? [1, 'second']
  return new Intl.RelativeTimeFormat('en', { numeric: 'auto' }).format(Math.trunc(seconds / size), unit)
}

/* ---------- Buttons and forms ---------- */

/** Runs what a button is for, once at a time, and says what went wrong. */
async function act (button, work, complain = notice) {
  button.disabled = true
  try {
    await work()
    complain('')
  } catch (problem) {
    complain(explain(problem))
  } finally {
    button.disabled = false
  }
}

function onClick (id, work) {
  $(id).addEventListener('click', () => act($(id), work))
}

onClick('ask', async () => {
  const me = await auth.call('/me')
  $('answer').textContent = `GET /me → ${JSON.stringify(me)}`
  $('answer').hidden = false
})

onClick('renew', () => auth.refresh())

onClick('forget', async () => {
  auth.forget()
  say('You dropped the access token: ask who you are, and the cookie brings another')
})

onClick('others', async () => {
  await auth.call('/auth/sessions', { method: 'DELETE' })
  say('Signed out all other devices')
  await loadDevices()
  $('devices-title').focus()
})

onClick('logout', async () => {
  await auth.logout()
  setMode('login')
  $('username').focus()
})

const MODES = {
  signup: { title: 'Create an account', submit: 'Sign up', other: 'login', question: 'Been here before?', autocomplete: 'new-password', said: 'Welcome! Your browser now keeps the cookie' },
  login: { title: 'Welcome back', submit: 'Log in', other: 'signup', question: 'New here?', autocomplete: 'current-password', said: 'Logged in: your browser keeps the cookie' }
}
let mode

function setMode (next) {
  mode = next
  const { title, submit, other, question, autocomplete } = MODES[mode]
  $('form-title').textContent = title
  $('submit').textContent = submit
  $('switch-text').textContent = question
  $('switch').textContent = MODES[other].submit
  $('password').autocomplete = autocomplete
  $('password').minLength = mode === 'signup' ? 8 : 0
  $('hint').hidden = mode === 'login'
  complainInForm('')
}

function complainInForm (sentence) {
  $('form-error').textContent = sentence
  for (const id of ['username', 'password']) $(id).setAttribute('aria-invalid', sentence !== '')
  if (sentence !== '') $('password').focus()
}

$('switch').addEventListener('click', () => {
  setMode(MODES[mode].other)
  $('username').focus()
})

$('form').addEventListener('submit', event => {
  event.preventDefault()
  const { said } = MODES[mode]
  act($('submit'), async () => {
    await auth[mode]({ username: $('username').value, password: $('password').value })
    say(said)
    $('form').reset()
    $('hello').focus()
  }, complainInForm)
})

/* ---------- Telling ---------- */

function notice (sentence) {
  $('notice').textContent = sentence
  $('notice').hidden = sentence === ''
}

/** Adds a line to the diary, newest first. */
function say (sentence) {
  const time = element('time', {}, new Date().toLocaleTimeString())
  $('diary').prepend(element('li', {}, time, element('span', {}, sentence)))
  $('diary').children[30]?.remove()
}

function element (name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children)
  return made
}

/* ---------- Here we go ---------- */

async function start () {
  try {
    await auth.init()
    if (auth.state.status === 'in') say('Welcome back: the cookie brought an access token')
  } catch (problem) {
    notice(explain(problem, 'This page goes on trying.'))
    setTimeout(start, 1000 * (problem.retryAfter ?? 5))
  }
}
start()
