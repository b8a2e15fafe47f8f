import { randomUUID } from 'node:crypto'
import argon2 from 'argon2'
import t from 'tap'
import { type User, type UserId, type Users } from '../../lib/index.js'
import { FAST_HASHING, loggedIn, PASSWORD, payloadOf, server, setCookies, userTable } from '../support/server.js'

/** A row of Mongoose, Sequelize or an entity with accessors: a spread copies none of its fields. */
class Person implements User {
  readonly #row: { id: UserId, username: string, passwordHash: string | null }
  constructor (id: UserId, username: string, passwordHash: string | null) { this.#row = { id, username, passwordHash } }
  get id (): UserId { return this.#row.id }
  get username (): string { return this.#row.username }
  get passwordHash (): string | null { return this.#row.passwordHash }
  set passwordHash (hash: string | null) { this.#row.passwordHash = hash }
  get role (): string { return this.#row.username === 'ada' ? 'admin' : 'guest' }
}

/** A table with one live object per user, like an identity map. */
function personTable (newId: () => UserId): Required<Users> & { readonly people: Map<string, Person> } {
  const people = new Map<string, Person>()
  const byId = (id: string) => [...people.values()].find(person => String(person.id) === id)
  return {
    people,
    findByUsername: name => people.get(name),
    findById: byId,
    create ({ username, passwordHash }) {
      if (people.has(username)) return null
      const person = new Person(newId(), username, passwordHash)
      people.set(username, person)
      return person
    },
    updatePasswordHash (id, newHash, oldHash) {
      const person = byId(String(id))
      if (person?.passwordHash !== oldHash) return false
      person.passwordHash = newHash
      return true
    }
  }
}

/** Like ObjectId of MongoDB and classes of UUIDs: only toString returns the text. */
class ObjectId {
  readonly #text: string
  constructor (text: string) { this.#text = text }
  toString (): string { return this.#text }
}

/** Ids in the types of databases. */
const IDS: ReadonlyArray<readonly [of: string, id: UserId, subject: string]> = [
  ['a number', 7, '7'],
  ['a text', 'u_7', 'u_7'],
  ['a bigint, as Prisma gives it', 2n ** 60n, String(2n ** 60n)],
  ['an ObjectId', new ObjectId('65f0c0ffee65f0c0ffee65f0'), '65f0c0ffee65f0c0ffee65f0'],
  ['an object for a UUID', new ObjectId('0190a6b4-1c2d-7e3f-8a4b-5c6d7e8f9a0b'), '0190a6b4-1c2d-7e3f-8a4b-5c6d7e8f9a0b']
]

for (const [of, id, subject] of IDS) {
  t.test(`users that are model instances: signup, login, rehash and password change with an id that is ${of}`, async t => {
    const users = personTable(() => id)
    const given: unknown[] = []
    const updated: unknown[] = []
    const { browser, events } = await server(t, {
      users: {
        ...users,
        updatePasswordHash (id, newHash, oldHash) {
          updated.push(id)
          return users.updatePasswordHash(id, newHash, oldHash)
        }
      },
      accessToken: {
        claims (user: User) {
          given.push(user)
          return { role: (user as Person).role }
        }
      }
    })
    const ada = browser()
    t.equal((await ada.signup('ada')).statusCode, 201)
    t.match(payloadOf(ada.accessToken), { sub: subject, role: 'admin' })

    const person = users.people.get('ada')
    if (person === undefined) throw new Error('nobody signed up')
    person.passwordHash = await argon2.hash(PASSWORD, { memoryCost: 512, timeCost: 2, parallelism: 1 })
    t.equal((await ada.login('ada')).statusCode, 200)
    t.match(person.passwordHash, '$argon2id$v=19$m=1024,t=2,p=1$', 'the stronger hash is stored')
    t.equal((await ada.login('ada')).statusCode, 200)
    t.equal((await ada.refresh()).statusCode, 200)
    t.equal((await ada.send({ method: 'POST', url: '/auth/reauthenticate', payload: { password: PASSWORD } })).statusCode, 200)
    t.equal((await ada.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: 'violet umbrella' } })).statusCode, 200)
    t.equal((await browser().login('ada', { password: 'violet umbrella' })).statusCode, 200)

    t.ok(given.length >= 6)
    t.ok(given.every(user => user === person), 'every callback receives the app\'s own object')
    t.strictSame(updated, [id, id], 'and its own id')
    t.strictSame([...new Set(events.flatMap(event => 'subject' in event ? event.subject : []))], [subject])
  })
}

t.test('race: a login with the old password during a password change is refused, also with rows in memory', async t => {
  const users = personTable(() => randomUUID())
  let change = async (): Promise<void> => {}
  const claims = async (): Promise<object> => { await change(); return {} }
  const { browser, app } = await server(t, { users, accessToken: { claims: claims as () => Promise<Record<string, unknown>> } })
  const [ada, thief] = [browser(), browser()]
  await ada.signup('ada')
  change = async () => {
    change = async () => {}
    const answer = await ada.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: 'violet umbrella' } })
    t.equal(answer.statusCode, 200)
  }
  const answer = await thief.login('ada')
  t.match(answer.json(), { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' })
  t.strictSame(setCookies(answer), [])
  t.equal((await app.sessions.list(String(users.people.get('ada')?.id))).length, 1)
})

/** Invalid ids of untyped apps, and their names in the log. */
const NO_IDS: ReadonlyArray<readonly [id: unknown, named: string]> = [
  [undefined, 'undefined'], [null, 'null'], ['', 'an empty string'], [{}, 'an object of the class Object'], [2 ** 53, 'a number'], [NaN, 'a number'],
  [[7], 'an object of the class Array'], [Buffer.from('ada'), 'an object of the class Buffer'], [Promise.resolve(7), 'an object of the class Promise']
]

t.test('an invalid id creates no session and no row, and the log names the function and the fix', async t => {
  for (const [id, named] of NO_IDS) {
    const lines: string[] = []
    const users = userTable({ ada: { passwordHash: await argon2.hash(PASSWORD, { memoryCost: 512, timeCost: 2, parallelism: 1 }), id: id as UserId } })
    const create = async (row: { username: string, passwordHash: string }) => {
      await users.create(row)
      return { ...row, id: id as UserId }
    }
    const { browser, store, events } = await server(t, { users: { ...users, create } }, { logger: { level: 'error', stream: { write (line: string) { lines.push(line) } } } })
    const requests = { 'users.findByUsername': async () => await browser().login('ada'), 'users.create': async () => await browser().signup('bob') }
    for (const [from, request] of Object.entries(requests)) {
      const answer = await request()
      t.equal(answer.statusCode, 500)
      t.strictSame(setCookies(answer), [])
      t.match(lines.splice(0).join(''), `\\"${from}\\" gave ${named} as the id of a user: it must be`)
    }
    t.strictSame([store.calls, users.replaced, events], [[], [], []])
  }
})

/** The unique violation of a name, as thrown by databases and their libraries. */
const VIOLATIONS: ReadonlyArray<readonly [of: string, error: unknown]> = [
  ['pg', Object.assign(new Error('duplicate key value violates unique constraint "people_username_key"'), { code: '23505' })],
  ['mysql2', Object.assign(new Error("Duplicate entry 'ada' for key 'people.username'"), { code: 'ER_DUP_ENTRY', errno: 1062 })],
  ['MariaDB by number', Object.assign(new Error('conflict'), { errno: 1062 })],
  ['better-sqlite3', Object.assign(new Error('UNIQUE constraint failed: people.username'), { code: 'SQLITE_CONSTRAINT_UNIQUE' })],
  ['better-sqlite3, the name is the primary key', Object.assign(new Error('constraint'), { code: 'SQLITE_CONSTRAINT_PRIMARYKEY' })],
  ['node:sqlite', Object.assign(new Error('constraint'), { code: 'ERR_SQLITE_ERROR', errcode: 2067 })],
  ['node:sqlite, the name is the primary key', Object.assign(new Error('constraint'), { code: 'ERR_SQLITE_ERROR', errcode: 1555 })],
  ['sqlite3', Object.assign(new Error('SQLITE_CONSTRAINT: UNIQUE constraint failed: people.username'), { code: 'SQLITE_CONSTRAINT', errno: 19 })],
  ['MongoDB', Object.assign(new Error('E11000 duplicate key error'), { code: 11000, keyPattern: { username: 1 } })],
  ['MongoDB, on an update', Object.assign(new Error('E11001 duplicate key on update'), { code: 11001 })],
  ['Prisma', Object.assign(new Error('Unique constraint failed on the fields: (`username`)'), { code: 'P2002' })],
  ['SQL Server', Object.assign(new Error('Violation of UNIQUE KEY constraint'), { code: 'EREQUEST', number: 2627 })],
  ['SQL Server, a unique index', Object.assign(new Error('Cannot insert duplicate key row'), { code: 'EREQUEST', number: 2601 })],
  ['Oracle', Object.assign(new Error('unique constraint (APP.PEOPLE_USERNAME) violated'), { code: 'ORA-00001', errorNum: 1 })],
  ['MikroORM', Object.assign(new Error('insert into people'), { name: 'UniqueConstraintViolationException' })],
  ['Objection', Object.assign(new Error('insert into people'), { name: 'UniqueViolationError' })],
  ['Sequelize', Object.assign(new Error('Validation error'), { name: 'SequelizeUniqueConstraintError' })],
  ['Sequelize, by its cause', Object.assign(new Error('Validation error'), { parent: { code: '23505' } })],
  ['Sequelize, by its original', Object.assign(new Error('Validation error'), { original: { code: '23505' } })],
  ['an error that keeps the one of the driver as originalError', Object.assign(new Error('x'), { originalError: { code: '23505' } })],
  ['TypeORM', Object.assign(new Error('QueryFailedError'), { driverError: Object.assign(new Error('x'), { code: '23505' }) })],
  ['Drizzle', new Error('Failed query: insert', { cause: Object.assign(new Error('x'), { code: '23505' }) })],
  ['two libraries above the driver', new Error('a', { cause: new Error('b', { cause: { nativeError: { code: 'ER_DUP_ENTRY' } } }) })],
  ['five libraries above the driver', { cause: { cause: { cause: { cause: { cause: { code: '23505' } } } } } }]
]

t.test('a unique violation means a taken name, not an outage', async t => {
  let thrown: unknown
  const { browser } = await server(t, { users: { ...userTable(), create: async () => { throw thrown } } })
  for (const [of, error] of VIOLATIONS) {
    thrown = error
    t.match((await browser().signup('ada')).json(), { statusCode: 409, code: 'FST_AUTH_USERNAME_TAKEN' }, of)
  }
})

t.test('any other database error is a 503, even if it is its own cause', async t => {
  const circular = new Error('no connection')
  circular.cause = circular
  let thrown: unknown
  const { browser } = await server(t, { users: { ...userTable(), create: async () => { throw thrown } } })
  for (thrown of [circular, Object.assign(new Error('null value in column'), { code: '23502' }), 'UNIQUE constraint failed', null, undefined, { message: Symbol('x') }]) {
    t.match((await browser().signup('ada')).json(), { statusCode: 503, code: 'FST_AUTH_STORE_UNAVAILABLE' })
  }
})

/** Functions that work but return nothing or a wrong value, as in untyped apps. */
const SILENT: ReadonlyArray<readonly [of: string, answer: unknown, named: string]> = [
  ['an update that nobody returned', undefined, 'undefined'], ['a number of rows', 1, 'a number'], ['a row', { id: 1 }, 'an object of the class Object'], ['a row that is not there', null, 'null']
]

t.test('a password update that returns no boolean is logged as a bug, not as a wrong password', async t => {
  for (const [of, answer, named] of SILENT) {
    const lines: string[] = []
    const users = userTable()
    const updatePasswordHash = (async (...row: Parameters<typeof users.updatePasswordHash>) => { await users.updatePasswordHash(...row); return answer }) as unknown as typeof users.updatePasswordHash
    const { browser, events } = await server(t, { users: { ...users, updatePasswordHash } }, { logger: { level: 'error', stream: { write (line: string) { lines.push(line) } } } })
    const [ada, phone] = [browser(), browser()]
    await ada.signup('ada')
    await phone.login('ada')
    const reply = await ada.send({ method: 'POST', url: '/auth/password', payload: { currentPassword: PASSWORD, newPassword: 'violet umbrella' } })
    t.match(reply.json(), { statusCode: 500, message: 'Internal Server Error' }, of)
    t.strictSame(setCookies(reply), [])
    t.match(lines.join(''), `\\"users.updatePasswordHash\\" gave ${named}: it must return true where it replaced the hash, and false where`)
    t.notOk(events.some(({ type }) => type === 'password_changed' || type === 'login_failed'), 'and no event shows it')
    t.match((await phone.refresh()).json(), { code: 'FST_AUTH_SESSION_ENDED' }, 'since the password may have changed')
    t.equal((await ada.refresh()).statusCode, 200, 'the session that changed it stays logged in')
    t.equal((await browser().login('ada', { password: 'violet umbrella' })).statusCode, 200)
  }
})

t.test('a signup that returns no user is logged as a bug, not as a taken name', async t => {
  for (const silent of [false, true]) {
    const lines: string[] = []
    const users = userTable()
    const create = (async (row: { username: string, passwordHash: string }) => { await users.create(row) }) as unknown as typeof users.create
    const accounts = silent ? { signup: 'silent', onSignup () { t.fail('was called') } } as const : {}
    const { browser } = await server(t, { users: { ...users, create }, accounts }, { logger: { level: 'error', stream: { write (line: string) { lines.push(line) } } } })
    t.match((await browser().signup('ada')).json(), { statusCode: 500, message: 'Internal Server Error' })
    t.match(lines.join(''), '\\"users.create\\" gave undefined: it must return the new user, or null where the name is taken')
    t.equal((await browser().login('ada')).statusCode, 200, 'the account was created')
  }
})

t.test('rows, false or another user in place of that of findById are a 500, and no user', async t => {
  const users = userTable()
  let found: unknown
  const s = await loggedIn(t, { users: { ...users, findById: id => found === undefined ? users.findById(id) : found as never } }, {}, app => {
    app.get('/page', { onRequest: app.authenticateByCookie }, async ({ auth }) => auth.identity.sub)
  })
  for (const wrong of [[], [{ id: 1, disabled: true }], false, true, '', 0, {}, { rows: [] }, [[], []], { id: 2, username: 'bob', passwordHash: null }]) {
    found = wrong
    t.match((await s.ada.refresh()).json(), { statusCode: 500 }, JSON.stringify(wrong))
    t.match(await s.ada.get('/page'), { statusCode: 500 })
    t.match(await s.ada.send({ method: 'POST', url: '/auth/reauthenticate', payload: { password: PASSWORD } }), { statusCode: 500 })
  }
  found = undefined
  t.match(await s.ada.refresh(), { statusCode: 200 }, 'the session stays')
})

t.test('undefined means not found, as with find(), [0] and first() of query libraries', async t => {
  const { people, ...users } = personTable(() => randomUUID())
  const { browser } = await server(t, { users, passwords: FAST_HASHING })
  const ada = browser()
  t.match((await ada.login('ada')).json(), { statusCode: 401, code: 'FST_AUTH_CREDENTIALS_INVALID' })
  t.equal((await ada.signup('ada')).statusCode, 201)
  t.match((await browser().signup('ada')).json(), { statusCode: 409, code: 'FST_AUTH_USERNAME_TAKEN' })
  people.clear()
  t.match((await ada.refresh()).json(), { statusCode: 401, code: 'FST_AUTH_USER_REFUSED' })
})
