/** Database libraries write the values of a query into their errors: no hash and no token may reach the log in them. */
import { inspect } from 'node:util'
import t from 'tap'
import { AuthError, redactErrors } from '../../lib/index.js'
import { redacted } from '../../lib/redaction.js'
import { loggedIn, PASSWORD, userTable, type Answer, type LoggedIn } from '../support/server.js'

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo'
const SECRET_TEXT = /\$argon2|\$2b\$|eyJ[\w-]+\.[\w-]+\./

/** Errors of libraries about a row. */
const ERRORS: ReadonlyArray<readonly [of: string, make: (secret: string) => unknown]> = [
  ['Drizzle', secret => Object.assign(new Error(`Failed query: insert into people\nparams: ada,${secret}`, { cause: Object.assign(new Error('no table'), { code: '42P01' }) }), { query: 'insert', params: ['ada', secret] })],
  ['TypeORM', secret => Object.assign(new Error('no table'), { query: 'insert', parameters: ['ada', secret], driverError: { detail: `Failing row contains (ada, ${secret})` } })],
  ['pg, by its cause', secret => new Error('insert failed', { cause: Object.assign(new Error('null value'), { code: '23502', detail: `Failing row contains (ada, ${secret})` }) })],
  ['Sequelize', secret => Object.assign(new Error('Validation error'), { name: 'SequelizeUniqueConstraintError', errors: [{ instance: { passwordHash: secret } }] })],
  ['a text', secret => `insert ${secret}`],
  ['an object', secret => ({ message: 'insert failed', row: { passwordHash: secret } })]
]

for (const [of, make] of ERRORS) {
  t.test(`information leak: no password hash reaches the log in an error: ${of}`, async t => {
    const lines: string[] = []
    let broken = false
    const users = userTable()
    const s = await loggedIn(t, {
      users: {
        ...users,
        create: async row => { if (broken) throw make(row.passwordHash); return await users.create(row) },
        updatePasswordHash: async (_id, newHash) => { throw make(newHash) }
      },
      onEvent () { if (broken) throw make(HASH) }
    }, { logger: { level: 'trace', stream: { write (line: string) { lines.push(line) } } } })
    broken = true
    const requests: Array<(s: LoggedIn) => Promise<Answer>> = [
      async ({ browser }) => await browser().signup('bob'),
      async ({ ada }) => await ada.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: 'violet umbrella' } })
    ]
    for (const request of requests) t.ok((await request(s)).statusCode >= 409)
    t.ok(lines.some(line => line.includes('"err"')))
    t.strictSame(lines.filter(line => SECRET_TEXT.test(line)), [])
  })
}

for (const [kind, hash] of [
  ['Django', 'pbkdf2_sha256$600000$c2FsdA$aGFzaGhhc2g='], ['crypt', '$6$rounds=5000$salt$hashhash'], ['WordPress', '$P$Bsaltsaltsalthashhash'], ['LDAP', '{SSHA}c2FsdGhhc2g='], ['quotes', 'a"b\'c\\d\ne']
] as const) {
  t.test(`information leak: no hash of another system and no password reaches the log in an error: ${kind}`, async t => {
    const lines: string[] = []
    const users = userTable()
    const password = 'violet "umbrella"'
    const s = await loggedIn(t, {
      users: {
        ...users,
        updatePasswordHash: async (_id, newHash, oldHash) => { throw Object.assign(new Error(`Failed query\nparams: ${JSON.stringify([newHash, oldHash])}`), { oldHash }) }
      },
      passwords: {
        verifyLegacy (stored, typed) {
          if (typed === 'broken') throw new Error(`cannot read ${stored}`)
          return stored === hash && typed === password
        },
        check (text) { if (text.startsWith('violet')) throw new Error(`no answer about ${text}`) }
      }
    }, { logger: { level: 'trace', stream: { write (line: string) { lines.push(line) } } } })
    users.change('ada', { passwordHash: hash })
    t.match(await s.browser().login('ada', { password }), { statusCode: 200 }, 'the rehash fails, the login does not')
    t.match(await s.browser().login('ada', { password: 'broken' }), { statusCode: 503 })
    t.match(await s.browser().signup('bob', { password }), { statusCode: 503 })
    t.equal(lines.filter(line => line.includes('"err"')).length >= 3, true)
    const spellings = [hash, password].flatMap(secret => [secret, JSON.stringify(secret).slice(1, -1), JSON.stringify(JSON.stringify(secret).slice(1, -1)).slice(1, -1)])
    t.strictSame(lines.filter(line => spellings.some(spelling => line.includes(spelling))), [])
  })
}

t.test('information leak: a hash is redacted in any nested cause', t => {
  let error = new Error(HASH)
  for (let depth = 0; depth < 20; depth++) error = new Error('failed', { cause: error })
  let last: unknown = redacted(error)
  for (; last instanceof Error && last.cause !== undefined; last = last.cause) t.equal(last.message, 'failed')
  t.notOk(SECRET_TEXT.test(String(last)))
  t.end()
})

/** Hashes of systems that `verifyLegacy` is for. */
const OTHER_HASHES = [
  '$6$rounds=5000$usesomesalt$KqJWpanXZHKq2BOB43TSaYhEWsQ1Lr5QNyPCDH', '$1$etNnh7FA$OlM7eljE', '$P$B12345678abcdefghijklmnop', '$bcrypt-sha256$v=2,t=2b,r=12$n79VH.0Q2TMWmt3Oqt9uku',
  'pbkdf2_sha256$260000$salt$aGFzaGhhc2g=', 'md5$salt$0123456789abcdef', 'scrypt:32768:8:1$salt$deadbeefdeadbeef', 'pbkdf2:sha256:600000$salt$deadbeef',
  HASH.replaceAll('$', '\\$'), HASH.replaceAll('$', '\\u0024'), HASH.replaceAll('$', '&#36;'), encodeURIComponent(encodeURIComponent(HASH)),
  'SCRAM-SHA-256$4096:c2FsdHNhbHQ=$c3RvcmVka2V5:c2VydmVya2V5', '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o', '$S$DeZVkmX8eIv0xqhN2', encodeURIComponent(HASH)
]

t.test('information leak: the hashes of other systems are redacted', async t => {
  for (const hash of OTHER_HASHES) t.match(redacted(new Error(`Failing row contains (ada, ${hash}), ($1, $2)`)), { message: 'Failing row contains (ada, [redacted]), ($1, $2)' })
  const harmless = new Error('insert into people values ($1, $2), costs $10 or $$, as md5 and bcrypt, at Outer$Inner$Companion.run of { $elemMatch$something: 1.2.3 }')
  t.equal(redacted(harmless), harmless)
})

t.test('information leak: a token is redacted behind an escape or a word', async t => {
  const token = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln'
  for (const before of ['', '\\t', '\\n', '%20', '%3D', '\\u003d', 'token', 'api.v1.', '.', '...', '__Host-refreshToken=', 'x-']) {
    const message = `insert ${before}${token} failed`
    t.notMatch(redacted(new Error(message)), { message: /eyJ|c2ln/ }, before)
  }
  const long = new Error(`no ${encodeURIComponent(PASSWORD)} at /reset?password=${encodeURIComponent(PASSWORD)}`)
  t.match(redacted(long, [PASSWORD]), { message: 'no [redacted] at /reset?password=[redacted]' })
})

t.test('information leak: a hash in any property that a logger writes is found', async t => {
  const deep = (depth: number): unknown => depth === 0 ? HASH : { down: deep(depth - 1) }
  class Query extends Error { get row (): string { return HASH } }
  Object.defineProperty(Query.prototype, 'row', { enumerable: true })
  const SHAPES: Record<string, unknown> = {
    'an inherited getter': new Query('failed'),
    'an own getter': Object.defineProperty(new Error('failed'), 'row', { enumerable: true, get: () => HASH }),
    'an inherited property': Object.setPrototypeOf(new Error('failed'), Object.assign(Object.create(Error.prototype), { row: HASH })),
    toJSON: Object.assign(new Error('failed'), { row: { toJSON: () => ({ hash: HASH }) } }),
    'a custom inspect': Object.assign(new Error('failed'), { row: HASH, [inspect.custom]: () => 'failed' }),
    'a custom inspect of a message': Object.defineProperty(new (class extends Error { [inspect.custom] () { return 'failed' } })('failed'), 'stack', { value: HASH }),
    'an error in an error, nine deep': Object.assign(new Error('failed'), { inner: [1, 2, 3, 4, 5, 6, 7, 8].reduce<object>(inner => Object.assign(new Error('inner'), { inner }), new Error(HASH)) }),
    'nine objects deep': Object.assign(new Error('failed'), { row: deep(9) }),
    'the 1500th of an array': Object.assign(new Error('failed'), { row: [...Array.from({ length: 1499 }, () => 0), HASH] }),
    'a circular object': Object.assign(new Error('failed'), { get self () { return this }, row: HASH })
  }
  for (const [shape, error] of Object.entries(SHAPES)) {
    t.not(redacted(error), error, shape)
    t.match(redacted(error), { message: 'failed', row: undefined })
  }
})

t.test('information leak: the bytes of a known secret, and a secret in name or code are found', async t => {
  const bytes = Buffer.from(PASSWORD)
  for (const parameter of [bytes, [...bytes], bytes.toString('hex'), bytes.toString('base64')]) {
    t.match(redacted(Object.assign(new Error('failed'), { parameters: [parameter] }), [PASSWORD]), { message: 'failed', parameters: undefined })
  }
  t.match(redacted(Object.assign(new Error('failed'), { name: `E ${HASH}`, code: HASH, errno: 7 })), { name: 'E [redacted]', code: '[redacted]', errno: 7 })
})

t.test('information leak: a mail library quotes a mail as it is sent, in lines, in quoted-printable or in base64', async t => {
  const token = `eyJhbGciOiJIUzI1NiIsInR5cCI6ImN0K2p3dCIsImtpZCI6IkFCQ0RFRkdISUpLTE1OT1BRUlNUVSJ9.${Buffer.from('{"jti":"challenge-abc","sub":"42","purpose":"reset"}').toString('base64url')}.3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs`
  const mail = `Hello, https://app.example/reset#${token}`
  const SENT: Readonly<Record<string, string>> = {
    'quoted-printable': mail.replace(/.{75}/g, '$&=\r\n'),
    'lines of 76': mail.replace(/.{76}/g, '$&\n'),
    base64: Buffer.from(mail).toString('base64').replace(/.{76}/g, '$&\r\n'),
    'escaped dots': mail.replaceAll('.', '&#46;'),
    'a URL': mail.replaceAll('.', '%2E'),
    'its claims and signature': token.split('.').slice(1).join(' ')
  }
  const BY_LOOK = ['quoted-printable', 'base64']
  const parts = [token.slice(20, 60), token.slice(-30), Buffer.from(mail).toString('base64').slice(60, 120)]
  for (const [form, text] of Object.entries(SENT)) {
    for (const error of [new Error(`550 rejected: ${text}`), Object.assign(new Error('550'), { response: { text } })]) {
      const shown = inspect(redacted(error, [token]), { depth: 9 })
      t.strictSame(parts.filter(part => shown.includes(part)), [], form)
    }
    if (BY_LOOK.includes(form)) t.match(redacted(new Error(text)), { message: '[redacted]' }, `${form}, without the token`)
  }
  const hash = Buffer.from(`id=7 ${HASH}`)
  t.match(redacted(new Error(`row ${hash.toString('base64')}`)), { message: '[redacted]' })
  t.match(redacted(new Error(`row ${hash.toString('hex').toUpperCase()}`), [String(hash)]), { message: 'row [redacted]' })
})

t.test('information leak: a known secret is found in every common encoding', async t => {
  const FORMS: ReadonlyArray<readonly [secret: string, text: string]> = [
    ['correct horse', 'username=ada&password=correct+horse'], ['secret!pass', 'p=secret%21pass'], ['a/b/c/secret', 'a%2fb%2fc%2fsecret'],
    ['correct horse', `Authorization: Basic ${Buffer.from('ada:correct horse').toString('base64')}`],
    ['correct horse', Buffer.from('correct horse').toString('base64url')], ['correct horse', inspect(Buffer.from('correct horse'))],
    ['pa&ss"word', 'pa&amp;ss&quot;word'], ["o'neill-pass", "'o''neill-pass'"], ['a"b\\cdef', JSON.stringify(JSON.stringify({ password: 'a"b\\cdef' }))],
    ['p\u00e4ssword1', 'p\\u00e4ssword1'], ['correct horse battery', 'correct=20horse=20battery'], ['p\u00e4ss word1', 'p=C3=A4ss word1']
  ]
  for (const [secret, text] of FORMS) {
    t.match(redacted(new Error(`failed: ${text}`), [secret]), { message: /\[redacted\]/ }, text)
    t.notMatch(redacted(new Error(`failed: ${text}`), [secret]), { message: text }, text)
  }
  t.match(redacted(new Error(`row \\x${Buffer.from(HASH).toString('hex')}`)), { message: /^row .{0,2}\[redacted\]$/ }, 'bytea')
  t.match(redacted(new Error('at eyJhbGciOiJIUzI1NiJ9%2EeyJzdWIiOiIxIn0%2Ec2ln')), { message: 'at [redacted]' })
})

t.test('denial of service: in a long chain each cause is read once, and not once for each error above it', async t => {
  let reads = 0
  let error: Error = Object.defineProperty(new Error('the first'), 'detail', { enumerable: true, get () { return ++reads } })
  for (let depth = 0; depth < 50; depth++) error = new Error('failed', { cause: error })
  t.equal(redacted(error), error)
  t.equal(reads, 1)
})

t.test('denial of service: an error that is too large is not printed to be searched, and is logged without its properties', async t => {
  let printed = 0
  const counter = { [inspect.custom]: () => String(++printed) }
  const many = Array.from({ length: 100_000 }, () => ({}))
  const linked = Array.from({ length: 12 }, (): Record<string, unknown> => ({}))
  for (const one of linked) for (const [nth, other] of linked.entries()) one[`to${nth}`] = other
  const LARGE: Readonly<Record<string, object>> = {
    'many values': many,
    'few values that name each other': linked,
    'a map of maps': new Map([1, 2, 3].map(key => [key, new Map(many.map((_, nth) => [nth, nth]))])),
    'a set of long texts': new Set(Array.from({ length: 30 }, (_, nth) => 'x'.repeat(10_000 + nth)))
  }
  for (const [title, rows] of Object.entries(LARGE)) {
    const logged = redacted(Object.assign(new Error('no answer'), { code: 'ECONNRESET', counter, rows }))
    t.match(logged, { message: 'no answer', code: 'ECONNRESET', rows: undefined }, title)
    t.equal(printed, 0, title)
  }
  let reads = 0
  const behindGetter = Object.defineProperty(new Error('no answer'), 'rows', { enumerable: true, get: () => many.map(() => ({ get row () { return ++reads } })) })
  t.match(redacted(behindGetter), { message: 'no answer', rows: undefined })
  t.ok(reads < 20_000, `${reads} were read`)
  t.match(redacted(new Error('x'.repeat(300_000))), { message: '[a text that is too long to be searched for secrets]' })
  const small = Object.assign(new Error('no answer'), { counter, bytes: Buffer.alloc(100) })
  t.equal(redacted(small), small)
  t.equal(printed, 1)
})

t.test('denial of service: an error that contains itself, which a logger would follow without end, is logged without its properties', async t => {
  const one = Object.assign(new Error('no answer'), { errors: [] as unknown[] })
  one.errors.push(Object.assign(new Error('again'), { errors: [one] }))
  t.match(redacted(one), { message: 'no answer', errors: undefined })
  const own = new Error('no answer')
  own.cause = own
  t.equal(redacted(own), own)
})

t.test('information leak: of a known secret that looks like a hash or a token nothing is left', async t => {
  for (const secret of ['hunter$1$abcdefgh!!rest-of-password', 'my.eyJ.secret-word phrase tail', 'abc', 'abcabc']) {
    t.match(redacted(new Error(`no answer about ${secret}`), ['abc', secret]), { message: 'no answer about [redacted]' }, secret)
  }
})

t.test('redactErrors is for functions of the app', async t => {
  const link = 'https://app.example/reset#a-token'
  t.equal(await redactErrors([link], () => 'sent'), 'sent')
  await t.rejects(redactErrors([link], async () => { throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', config: { data: JSON.stringify({ link }) } }) }), { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED', config: undefined })
})

t.test('ReDoS: a long error of repeated beginnings of secrets takes linear time', async t => {
  // A quadratic expression would take minutes, so that the test would end with a timeout.
  for (const unit of ['-eyJ', 'eyJ-', 'eyJa.', 'eyJ', '.', 'a.', '$a', '$2', '%24', 'md5:', 'sha1-', 'pbkdf2', '$pbkdf2-', '$', '\\', '\\$', '&#36;', 'a-', 'a%2e', '246172676f6e32', '\n', '=\n', 'ab12']) {
    const error = new Error(unit.repeat(200_000))
    t.ok(redacted(error) instanceof Error, unit)
  }
})

t.test('an error that cannot be printed is logged without its properties', async t => {
  const unprintable = Object.assign(new Error('no row'), { code: 'E', [inspect.custom] () { throw new Error('a bug of a library') } })
  t.match(redacted(unprintable), { message: 'no row', code: 'E' })
  t.not(redacted(unprintable), unprintable)

  const users = userTable()
  const s = await loggedIn(t, { users: { ...users, findByUsername: async () => { throw unprintable } } })
  t.match(await s.browser().login('ada'), { statusCode: 503 })
})

t.test('denial of service: an error of any shape ends no process and gives a 503', async t => {
  const cycle = (error: object): object => Object.assign(error, { hash: HASH, self: error })
  const getter = (name: string): object => Object.defineProperty(cycle(new Error('failed')), name, { get () { throw new Error(HASH) } })
  const unreadable = new Proxy(new Error(HASH), { get () { throw new Error(HASH) } })
  const SHAPES = [
    ...[['a', 'b'], { a: 1 }, undefined, null, 7, Object.create(null)].map(message => cycle(Object.assign(new Error('failed'), { message }))),
    ...['message', 'stack', 'code', 'name', 'cause'].map(getter), unreadable, cycle({}), cycle(() => {}), Symbol('failed'), null, undefined
  ]
  for (const thrown of SHAPES) {
    t.notMatch(inspect(redacted(thrown)), HASH)
    const s = await loggedIn(t)
    s.users.findByUsername = async () => { throw thrown }
    t.match(await s.browser().login('ada'), { statusCode: 503 })
  }
})

t.test('information leak: a hash in the errors of an AggregateError is found at any depth', t => {
  const nested = [1, 2, 3, 4, 5, 6].reduce((inner: Error) => new AggregateError([inner], 'several failed'), new Error(HASH))
  t.not(redacted(nested), nested)
  t.match(redacted(nested), { message: 'several failed', errors: undefined })
  t.end()
})

t.test('an error without secrets is logged unchanged, a redacted one keeps name, code, stack and causes', t => {
  const harmless = Object.assign(new Error('no connection'), { address: '192.0.2.1' })
  t.equal(redacted(harmless), harmless)
  t.equal(redacted(undefined), undefined)
  const request: Record<string, unknown> = { headers: { retries: 1n } }
  request['response'] = { request }
  const ofClient = Object.assign(new Error('no connection'), { statusCode: 502, request }) // as of axios
  t.equal(redacted(ofClient), ofClient, 'also with a cycle or a bigint')
  request['hash'] = HASH
  t.not(redacted(ofClient), ofClient)

  const cause = Object.assign(new TypeError('no table'), { code: '42P01' })
  const thrown = Object.assign(new Error(`insert ${HASH} eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln and $2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW`, { cause }), { code: 'E', params: [HASH] })
  const error = redacted(thrown)
  t.match(error, { name: 'Error', message: 'insert [redacted] [redacted] and [redacted]', code: 'E', params: undefined, cause: { name: 'TypeError', message: 'no table', code: '42P01' } })
  t.match(error, { stack: /^Error: insert \[redacted\].*\n +at / })
  const frames = (of: unknown): string[] => String(Object(of).stack).split('\n').slice(1)
  t.strictSame(frames(error), frames(thrown), 'where it was thrown, not where it was redacted')

  const circular = new Error(HASH)
  circular.cause = circular
  t.match(redacted(circular), { message: '[redacted]', cause: { cause: { message: '[redacted]' } } })
  t.match(redacted({ message: HASH }), { message: 'the thrown value contained a secret' })
  t.notOk(SECRET_TEXT.test(String(new AuthError('FST_AUTH_BUSY', { cause: redacted(HASH) }).cause)))
  t.end()
})

t.test('information leak: a hash behind many other values of a Map or a Set is found', t => {
  const values = new Set([...Array.from({ length: 900 }, (_, nth) => nth), HASH])
  const error = Object.assign(new Error('failed'), { values })
  t.not(redacted(error), error)
  t.end()
})

t.test('an error whose message cannot be read keeps its code', t => {
  const error = Object.defineProperty(Object.assign(new Error('failed'), { code: 'E' }), 'message', { get () { throw new Error('closed') } })
  t.match(redacted(error), { code: 'E' })
  t.end()
})
