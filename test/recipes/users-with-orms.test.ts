import { readFileSync } from 'node:fs'
import knex from 'knex'
import { Kysely, SqliteDialect } from 'kysely'
import t, { type Test } from 'tap'
import { sqliteStore } from '../../lib/stores/sqlite/index.js'
import { type Users } from '../../lib/index.js'
import { server } from '../support/server.js'
import { sqliteDatabase, sqliteFile } from '../support/sqlite.js'

const page = readFileSync('docs/users-with-orms.md', 'utf8')

/** The `users` of a recipe, as the page prints it. */
function usersOf (recipe: string, db: unknown): Required<Users> {
  const [, code = ''] = new RegExp(`<!-- runs: ${recipe} -->\n<!--.*-->\n\`\`\`js\n([^]*?)^\`\`\`$`, 'm').exec(page) ?? []
  // eslint-disable-next-line no-new-func -- our own page
  return new Function('db', `${code}; return users`)(db)
}

/** An instance of each library on a database file. */
const LIBRARIES: Readonly<Record<string, (t: Test, file: string) => unknown>> = {
  kysely: (t, file) => new Kysely({ dialect: new SqliteDialect({ database: sqliteDatabase(t, file) }) }),
  knex (t, file) {
    const db = knex({ client: 'better-sqlite3', connection: { filename: file }, useNullAsDefault: true })
    t.teardown(() => db.destroy())
    return db
  }
}

for (const [recipe, open] of Object.entries(LIBRARIES)) {
  t.test(`users with ${recipe}: signup, login, refresh and a password change, with sessions in the same SQLite`, async t => {
    const file = await sqliteFile(t)
    const db = sqliteDatabase(t, file)
    db.exec('CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT UNIQUE NOT NULL, passwordHash TEXT)')
    const users = usersOf(recipe, open(t, file))
    const { browser } = await server(t, { users, store: sqliteStore(db) })
    const ada = browser()
    t.equal((await ada.signup('ada')).statusCode, 201)
    t.equal((await browser().signup('ada')).statusCode, 409)
    t.equal((await ada.refresh()).statusCode, 200)
    t.equal((await ada.get('/me')).statusCode, 200)
    t.equal((await browser().login('ada')).statusCode, 200)
    t.equal((await browser().login('bob')).statusCode, 401)

    const user = await users.findByUsername('ada')
    t.match(user, { id: 1, username: 'ada' })
    t.equal(await users.updatePasswordHash('1', 'new', 'not the old one'), false)
    t.equal(await users.updatePasswordHash('1', 'new', String(user?.passwordHash)), true)
    t.match(await users.findById('1'), { passwordHash: 'new' })
    t.equal(await users.findById('2'), null)
  })
}
