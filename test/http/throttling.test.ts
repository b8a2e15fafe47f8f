import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { type RefreshCookieOptions, type Users } from '../../lib/index.js'
import { exactly } from '../support/exactly.js'
import { ioredisOn, newPrefix, nodeRedisOn, ownRedisServer, redisServer } from '../support/redis.js'
import { forget, loggedIn, PASSWORD, server, setCookies, userTable, type Answer, type Browser } from '../support/server.js'

const WRONG = { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' }
const TOO_MANY = { statusCode: 429, code: 'FST_AUTH_TOO_MANY_ATTEMPTS' }
const UNAVAILABLE = { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' }

/** The default limits. */
const BY_DEFAULT: RefreshCookieOptions = { rateLimit: {} }

/** Sends a request to a route of the plugin, from a public address. */
async function send (browser: Browser, route: string, payload: object, remoteAddress = '192.0.2.1', headers = {}): Promise<Answer> {
  return await browser.send({ method: 'POST', url: `/auth/${route}`, payload, remoteAddress, headers })
}

async function login (browser: Browser, username: string, password: string, remoteAddress?: string, headers?: object): Promise<Answer> {
  return await send(browser, 'login', { username, password }, remoteAddress, headers)
}

/** The nth of many addresses. */
function addressOf (nth: number): string {
  return `10.${nth >> 16 & 255}.${nth >> 8 & 255}.${nth & 255}`
}

/** A clock that moves only when the test moves it, for the counters too. */
function stopTime (t: Test): void {
  mock.timers.enable({ apis: ['Date', 'setTimeout'] })
  t.teardown(() => mock.timers.reset())
}

t.test('brute force: of 500 wrong passwords for one account from everywhere ten are verified, and the owner gets in', async t => {
  const { ada, browser, users, events } = await loggedIn(t, BY_DEFAULT)
  const answers: number[] = []
  for (let nth = 1; nth <= 500; nth++) answers.push((await login(browser(), 'ada', `wrong password ${nth}`, addressOf(nth))).statusCode)
  t.strictSame(answers, [...Array(10).fill(401), ...Array(490).fill(429)])
  t.equal(users.calls.filter(call => call === 'findByUsername').length, 10, 'the others run no verification')
  t.equal(events.filter(({ type }) => type === 'throttled').length, 490)
  t.match(events.at(-1), { type: 'throttled', what: 'account', subject: null, ip: addressOf(500) })

  t.match((await login(browser(), 'ada', PASSWORD)).json(), TOO_MANY, 'other addresses are refused, even with the correct password')
  t.match(await login(ada, 'ada', PASSWORD), { statusCode: 200 })
})

t.test('a 429 has Retry-After, and leaves cookie and session unchanged', async t => {
  stopTime(t)
  const { ada, browser } = await loggedIn(t, BY_DEFAULT)
  for (let nth = 1; nth <= 10; nth++) await login(browser(), 'ada', 'wrong password', addressOf(nth))
  mock.timers.tick(60_500)
  const thief = browser()
  const answer = await login(thief, 'ada', PASSWORD)
  t.match(answer.json(), { ...TOO_MANY, error: 'Too Many Requests' })
  t.match(answer.headers, { 'retry-after': '840', 'cache-control': 'no-store' })
  t.strictSame(setCookies(answer), [])
  t.match(await ada.refresh(), { statusCode: 200 })

  mock.timers.tick(839_500)
  t.match(await login(thief, 'ada', PASSWORD), { statusCode: 200 })
})

t.test('user enumeration: an unknown name is limited like a known one', async t => {
  stopTime(t)
  const { browser } = await loggedIn(t, BY_DEFAULT)
  const answers = await Promise.all(['ada', 'nobody'].map(async name => {
    for (let nth = 1; nth <= 10; nth++) await login(browser(), name, 'wrong password', addressOf(nth))
    const { statusCode, headers: { date, ...headers }, body } = await login(browser(), name, PASSWORD)
    return { statusCode, headers, body }
  }))
  t.equal(answers[0]?.statusCode, 429)
  t.strictSame(answers[0], answers[1])
})

t.test('brute force: an account gets ten guesses over all spellings that its database accepts', async t => {
  /** John in a table whose collation compares base letters, found by name or e-mail address. */
  async function john (t: Test) {
    const { compare } = new Intl.Collator('en', { sensitivity: 'base' })
    const table = userTable()
    const findByUsername: Users['findByUsername'] = async name => {
      table.calls.push('findByUsername')
      const found = [...table.byName.values()].find(({ username }) => compare(username, name) === 0)
      return found ?? (name === 'john@example.com' ? table.byName.get('john ae1984') : null)
    }
    const s = await server(t, { ...BY_DEFAULT, users: { ...table, findByUsername } })
    const owner = s.browser()
    await owner.signup('john ae1984')
    return { ...s, owner }
  }
  const SPELLINGS = ['john ae1984', 'john æ1984', 'john ae١٩٨٤', 'john ae१९८४', 'john æ19८4', 'john@example.com']

  /** The replies to ten guesses in each spelling, each from another address. */
  async function guess (browser: () => Browser, rounds = 10): Promise<number[]> {
    const answers: number[] = []
    for (let round = 0; round < rounds; round++) {
      for (const [nth, name] of SPELLINGS.entries()) answers.push((await login(browser(), name, 'wrong password', addressOf(10 * round + nth))).statusCode)
    }
    return answers
  }

  t.test('from anyone', async t => {
    const { browser, events } = await john(t)
    t.strictSame(await guess(browser), [...Array(10).fill(401), ...Array(50).fill(429)])
    t.match(events.at(-1), { type: 'throttled', what: 'account', subject: '1' })
    for (const name of SPELLINGS) t.match((await login(browser(), name, PASSWORD)).json(), TOO_MANY, name)
    t.match((await login(browser(), 'john ae1985', 'wrong password')).json(), WRONG, 'and no other account is locked')
  })

  t.test('lockout: the owner with a live session is not affected', async t => {
    const { browser, owner } = await john(t)
    await guess(browser, 2)
    const thief = owner.copy()
    for (let nth = 1; nth <= 9; nth++) t.match((await login(owner, 'john æ1984', 'mistyped', addressOf(nth))).json(), WRONG)
    t.match(await login(owner, 'john@example.com', PASSWORD), { statusCode: 200 })
    t.match((await login(browser(), 'john ae١٩٨٤', PASSWORD)).json(), TOO_MANY, 'and refunds no attempt of strangers')
    t.match((await login(thief, 'john æ1984', PASSWORD)).json(), TOO_MANY, 'of a replaced session')
  })

  t.test('brute force: a holder of a stolen cookie gets ten guesses too, over all spellings', async t => {
    const { browser, owner } = await john(t)
    await guess(browser, 2)
    const thief = owner.copy()
    const answers: number[] = []
    for (let nth = 0; nth < 18; nth++) answers.push((await login(thief, SPELLINGS[nth % 6] ?? '', 'wrong password', addressOf(nth))).statusCode)
    t.strictSame(answers, [...Array(10).fill(401), ...Array(8).fill(429)])
  })

  t.test('token theft: a stale cookie at the limit of an account is reuse, so a copy cannot be tested without detection', async t => {
    const { browser, owner, events, wait } = await john(t)
    const thief = owner.copy()
    for (let nth = 0; nth < 2; nth++) {
      wait('1h')
      await owner.refresh()
    }
    await guess(browser, 2)
    forget(events)
    t.match((await login(thief, 'john æ1984', 'wrong password')).json(), TOO_MANY)
    t.match(events, exactly({ type: 'reuse' }, { type: 'throttled' }))
    t.match((await owner.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
  })

  t.test('brute force: a success refunds only failures of the same user', async t => {
    const { browser } = await john(t)
    await browser().signup('mallory')
    t.strictSame(await guess(browser, 1), Array(6).fill(401))
    t.match(await login(browser(), 'mallory', PASSWORD), { statusCode: 200 })
    for (let nth = 1; nth <= 3; nth++) await login(browser(), 'john æ1984', 'wrong password', addressOf(nth))
    t.match(await login(browser(), 'john æ1984', PASSWORD), { statusCode: 200 })
    t.strictSame((await guess(browser, 2)).slice(0, 10), Array(10).fill(401))
    t.match(await login(browser(), 'john ae१९८४', PASSWORD), { statusCode: 429 })
  })
})

t.test('lockout: correct passwords that end in a 503 are no failures', async t => {
  let slow = false
  let passed = 0
  const now = performance.now.bind(performance)
  t.intercept(performance, 'now', { value: () => now() + passed })
  const lines: string[] = []
  const logger = { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } }
  const table = userTable()
  const { browser } = await server(t, {
    ...BY_DEFAULT,
    users: { ...table, async findByUsername (name) { if (slow) passed += 3000; return await table.findByUsername(name) } }
  }, { logger })
  await browser().signup('ada')
  slow = true
  for (let nth = 1; nth <= 12; nth++) t.match((await login(browser(), 'ada', PASSWORD)).json(), UNAVAILABLE)
  slow = false
  t.match(await login(browser(), 'ada', PASSWORD), { statusCode: 200 })
  t.strictSame(lines.filter(line => line.includes('attempt counters')), [], 'and no outage of the counters is logged')
})

t.test('denial of service: a flood of correct logins from one address affects no other', async t => {
  const { browser } = await server(t, BY_DEFAULT)
  const mallory = Array.from({ length: 6 }, (_, nth) => `mallory ${nth}`)
  for (const name of ['ada', ...mallory]) await browser().signup(name)
  const flood = Array.from({ length: 60 }, (_, nth) => login(browser(), mallory[nth % 6] ?? '', PASSWORD, '192.0.2.66'))
  const others = await Promise.all(Array.from({ length: 8 }, (_, nth) => login(browser(), 'ada', PASSWORD, addressOf(nth))))
  t.strictSame(others.map(({ statusCode }) => statusCode), Array(8).fill(200))
  t.ok((await Promise.all(flood)).some(({ statusCode }) => statusCode === 503), 'the flood itself is limited')
})

t.test('spoofing: X-Forwarded-For changes the address only with trustProxy, and a port no address', async t => {
  const cases: ReadonlyArray<readonly [trustProxy: boolean, forwarded: (nth: number) => string, fourth: number]> = [
    [false, addressOf, 429],
    [true, addressOf, 401],
    [true, nth => `203.0.113.9:${4000 + nth}`, 429], // as Azure Application Gateway and IIS write it
    [true, nth => `2001:db8::${nth}`, 429],
    [true, nth => `<img src=x onerror=alert(${nth})>${'x'.repeat(9000)}`, 429]
  ]
  for (const [trustProxy, forwarded, fourth] of cases) {
    const { browser } = await server(t, { rateLimit: { perAddress: { max: 3, per: '1m' } } }, { trustProxy })
    const answers = []
    for (let nth = 1; nth <= 4; nth++) answers.push((await login(browser(), `name ${nth}`, 'wrong password', undefined, { 'x-forwarded-for': forwarded(nth) })).statusCode)
    t.strictSame(answers, [401, 401, 401, fourth], forwarded(1).slice(0, 40))
  }
})

t.test('log injection by an address: sessions and events hold valid addresses, or null', async t => {
  const { browser, events } = await server(t, {}, { trustProxy: true })
  const cases = [['203.0.113.9:4711', '203.0.113.9'], ['[2001:DB8::1]:443', '2001:db8::1'], ['::ffff:cb00:7109', '203.0.113.9'], [`<b>${'x'.repeat(9000)}`, null]] as const
  for (const [nth, [forwarded, ip]] of cases.entries()) {
    const person = browser()
    forget(events)
    person.accessToken = (await send(person, 'signup', { username: `name ${nth}`, password: PASSWORD }, undefined, { 'x-forwarded-for': forwarded })).json().access_token
    t.match(events.find(({ type }) => type === 'signup'), { ip }, forwarded.slice(0, 40))
    t.match((await person.get('/auth/sessions')).json(), exactly({ ip }), forwarded.slice(0, 40))
  }
})

t.test('signups count against their address, successful or not', async t => {
  const { browser, users } = await server(t, { rateLimit: { perAddress: { max: 3, per: '1m' } } })
  const signup = async (username: string, password = PASSWORD) => (await send(browser(), 'signup', { username, password })).statusCode
  t.strictSame([await signup('ada'), await signup('ada'), await signup('bob', 'password1'), await signup('bob')], [201, 409, 400, 429])
  t.strictSame([...users.byName.keys()], ['ada'])
})

t.test('a body that fails validation is not counted', async t => {
  const { browser } = await server(t, { rateLimit: { perAddress: { max: 1, per: '1m' } } })
  for (let nth = 1; nth <= 5; nth++) t.match(await send(browser(), 'login', { username: 'ada' }), { statusCode: 400 })
  t.match((await login(browser(), 'ada', 'wrong password')).json(), WRONG)
})

t.test('brute force: a stolen access token cannot guess the password without limit', async t => {
  const { ada, browser, users } = await loggedIn(t, BY_DEFAULT)
  for (let nth = 1; nth <= 10; nth++) t.match((await send(ada, 'reauthenticate', { password: `wrong password ${nth}` }, addressOf(nth))).json(), WRONG)
  forget(users.calls)
  t.match((await send(ada, 'reauthenticate', { password: PASSWORD })).json(), TOO_MANY)
  t.match((await send(ada, 'password', { currentPassword: PASSWORD, newPassword: 'violet umbrella' })).json(), TOO_MANY, 'nor by any other route')
  t.strictSame(users.calls, [])
  t.match(await login(browser(), 'ada', PASSWORD), { statusCode: 200 }, 'without locking other accounts')
})

t.test('a refused new password is not a wrong password', async t => {
  const { ada } = await loggedIn(t, { rateLimit: { perAddress: { max: 2, per: '1m' }, perAccount: { max: 2, per: '1m' } } })
  for (let nth = 1; nth <= 5; nth++) {
    t.match((await send(ada, 'password', { currentPassword: PASSWORD, newPassword: 'password1' })).json(), { code: 'FST_AUTH_PASSWORD_REFUSED' })
  }
})

t.test('rate limit of a session: sixty refreshes a minute', async t => {
  stopTime(t)
  const { ada, browser, users, store, events } = await loggedIn(t, BY_DEFAULT)
  for (let nth = 1; nth <= 60; nth++) t.equal((await ada.refresh()).statusCode, 200)
  forget(store.calls, users.calls, events)

  const answer = await ada.refresh()
  t.match([answer.json(), answer.headers, setCookies(answer)], exactly(TOO_MANY, { 'retry-after': '60' }, exactly()))
  t.strictSame([store.calls, users.calls], [['get'], []], 'nothing is written')
  t.match(events, exactly({ type: 'throttled', what: 'session', subject: '1' }))

  const other = browser()
  await other.login('ada')
  t.match(await other.refresh(), { statusCode: 200 }, 'another session of hers')
  mock.timers.tick(60_000)
  t.match(await ada.refresh(), { statusCode: 200 })
})

t.test('reuse detection: a thief who uses up the limit of the session is found', async t => {
  stopTime(t)
  for (const refreshToken of [{}, { grace: 0, recoverLostReply: false }]) {
    const { ada, wait, events } = await loggedIn(t, { ...BY_DEFAULT, refreshToken })
    const thief = ada.copy()
    wait('31s')
    await thief.refresh()
    wait('31s')
    let nth = 1
    while ((await thief.refresh()).statusCode === 200) nth++
    t.equal(nth, 60)
    forget(events)
    t.match((await ada.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
    t.match(events, exactly({ type: 'throttled' }, { type: 'reuse' }, { type: 'refresh_refused' }))
    t.match((await thief.refresh()).json(), { code: 'FST_AUTH_REFRESH_TOKEN_REUSED' })
  }
})

t.test('limits can be changed and switched off, together and one by one', async t => {
  const cases: ReadonlyArray<readonly [options: RefreshCookieOptions['rateLimit'], tried: number]> = [
    [false, 30],
    [{ perAddress: false, perAccount: false }, 30],
    [{ perAccount: false, perAddress: { max: 20, per: '1m' } }, 20],
    [{ perAddress: false }, 10],
    [{ perAccount: [{ max: 5, per: '1m' }, { max: 7, per: '1h' }] }, 5]
  ]
  for (const [rateLimit, tried] of cases) {
    const { browser } = await server(t, { rateLimit })
    const answers: number[] = []
    for (let nth = 1; nth <= 30; nth++) answers.push((await login(browser(), 'ada', 'wrong password')).statusCode)
    t.equal(answers.filter(status => status === 401).length, tried, JSON.stringify(rateLimit))
  }
})

t.test('counters in Redis', async t => {
  t.test('are shared by all instances', async t => {
    const redis = await redisServer(t)
    if (redis === null) return
    const keyPrefix = newPrefix(t, redis)
    const one = await server(t, { rateLimit: { redis: await ioredisOn(t, redis.ioredis), keyPrefix } })
    const other = await server(t, { rateLimit: { redis: await nodeRedisOn(t, redis.nodeRedis), keyPrefix } })
    for (let nth = 1; nth <= 10; nth++) t.match((await login((nth % 2 === 0 ? one : other).browser(), 'ada', 'wrong password')).json(), WRONG)
    for (const { browser } of [one, other]) t.match((await login(browser(), 'ada', 'wrong password')).json(), TOO_MANY)
  })

  t.test('of two apps on one Redis are separate', async t => {
    const redis = await ownRedisServer(t)
    if (redis === null) return
    const rateLimit = { redis: await ioredisOn(t, redis.ioredis), perAddress: false } as const
    const [one, other] = [await server(t, { rateLimit }), await server(t, { rateLimit, secret: randomBytes(48).toString('base64') })]
    for (const { browser } of [one, other]) await browser().signup('ada')
    for (let nth = 1; nth <= 10; nth++) await login(one.browser(), 'ada', 'wrong password')
    t.match(await login(other.browser(), 'ada', PASSWORD), { statusCode: 200 }, 'neither counts failures at one for the other')
    t.match((await login(one.browser(), 'ada', 'wrong password')).json(), TOO_MANY, 'nor does a success there refund any')
    const same = await server(t, { rateLimit })
    t.match((await login(same.browser(), 'ada', 'wrong password')).json(), TOO_MANY, 'instances of one app count together')
  })

  t.test('information leak: hold no input', async t => {
    const redis = await ownRedisServer(t)
    if (redis === null) return
    const client = await ioredisOn(t, redis.ioredis)
    const { browser } = await server(t, { rateLimit: { redis: client } })
    const ada = browser()
    await ada.signup('ada@example.com')
    await ada.refresh()
    await login(ada, 'ada@example.com', 'wrong password')
    const keys = await client.keys('*')
    t.strictSame(keys.map(key => key.replace(/^auth:[\w-]{8,}:/, '').replace(/:\{[\w-]{22}\}$/, '')).sort(), ['account:10/900', 'account:100/86400', 'address:100/900', 'address:100/900', 'session:60/60', 'total:1000/900', 'total:1000/900', 'user:10/900', 'user:100/86400'])
    const values = await Promise.all(keys.map(async key => await client.hgetall(key)))
    t.notMatch(JSON.stringify(values), /ada|example/)
  })

  t.test('during an outage logins are refused and refreshes go on, with one log line', async t => {
    const redis = await ownRedisServer(t)
    if (redis === null) return
    const client = await ioredisOn(t, { ...redis.ioredis, retryStrategy: () => 1 })
    const lines: string[] = []
    const logger = { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } }
    const { ada, browser, users } = await loggedIn(t, { rateLimit: { redis: client } }, { logger })

    await redis.stop()
    for (let nth = 1; nth <= 3; nth++) t.match(await ada.refresh(), { statusCode: 200 })
    const answer = await login(browser(), 'ada', PASSWORD)
    t.match([answer.json(), setCookies(answer)], exactly(UNAVAILABLE, exactly()))
    t.match(answer.headers['retry-after'], /^[2-5]$/)
    t.match((await send(browser(), 'signup', { username: 'bob', password: PASSWORD })).json(), UNAVAILABLE)
    t.match((await send(ada, 'reauthenticate', { password: PASSWORD })).json(), UNAVAILABLE)
    t.match((await send(ada, 'password', { currentPassword: PASSWORD, newPassword: 'violet umbrella' })).json(), UNAVAILABLE)
    t.strictSame([...users.byName.keys()], ['ada'])
    t.equal(lines.filter(line => line.includes('attempt counters')).length, 1)

    await redis.start()
    await once(client, 'ready')
    t.match(await login(browser(), 'ada', PASSWORD), { statusCode: 200 })
  })
})
