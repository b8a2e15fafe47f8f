/** Compiled by `npm run typecheck`, never run: an app whose users have more fields than required. */
import Fastify, { type FastifyRequest } from 'fastify'
import refreshCookie, { refreshCookieOptions, type User, type Users } from 'fastify-refresh-cookie'

interface Person {
  id: number
  username: string
  passwordHash: string | null
  disabled: boolean
  roles: string[]
  createdAt: Date
}

/** A row of a database library. */
class PersonTable {
  async findByUsername (username: string): Promise<Person | null> { return await this.find({ username }) }
  async findById (id: string): Promise<Person | null> { return await this.find({ id }) }
  async create (row: { username: string, passwordHash: string }): Promise<Person | null> { return await this.find(row) }
  async updatePasswordHash (id: number, newHash: string, oldHash: string): Promise<boolean> { return await this.find({ id, newHash, oldHash }) !== null }

  private async find (_where: object): Promise<Person | null> { return null }
}

/** As ObjectId of MongoDB. */
class ObjectId {
  readonly hex: string
  constructor (hex: string) { this.hex = hex }
  toString (): string { return this.hex }
}

export async function loginByObjectId (request: FastifyRequest): Promise<void> {
  await request.auth.login(new ObjectId('65f0c0ffee65f0c0ffee65f0'))
  await request.auth.login(7n)
  // @ts-expect-error an id that is a date
  await request.auth.login(new Date())
}

export async function appOfPeople (): Promise<void> {
  const app = Fastify()
  await app.register(refreshCookie, {
    secret: 'x',
    users: new PersonTable(),
    accessToken: {
      claims: (person: Person) => ({ roles: person.roles, since: person.createdAt.toISOString() })
    },
    passwords: {
      check: async (password, { username }) => password !== username
    }
  })
  await app.register(refreshCookie, { secret: 'x', accessToken: { claims: async (person: Person) => ({ roles: person.roles }) } })
  await app.register(refreshCookie, { secret: 'x', accessToken: { claims: user => ({ name: user.username }) } })
}

/** Without an annotation, by the app's own user type. */
export async function appWithTypedClaims (): Promise<void> {
  await Fastify().register(refreshCookie, refreshCookieOptions({
    secret: 'x',
    users: new PersonTable(),
    accessToken: { claims: person => ({ roles: person.roles, since: person.createdAt.toISOString() }) }
  }))
  // @ts-expect-error what no user has
  refreshCookieOptions({ secret: 'x', users: new PersonTable(), accessToken: { claims: person => ({ x: person.nope }) } })
  // @ts-expect-error an option that does not exist
  refreshCookieOptions({ secret: 'x', user: new PersonTable() })
}

/** Every function is optional, and may be synchronous. */
export const tables: Users[] = [
  {},
  { findById: () => null },
  { findById: async id => ({ id, username: 'ada', passwordHash: null }) },
  { findByUsername: username => ({ id: 1, username, passwordHash: null, disabled: true, roles: [] }) },
  { create: ({ username, passwordHash }) => ({ id: 1n.toString(), username, passwordHash }) },
  { updatePasswordHash: () => true },
  { updatePasswordHash: (id: number) => id > 0 },
  { findById: () => undefined, findByUsername: async () => undefined, create: () => null },
  { findById: id => [{ id, username: 'ada', passwordHash: null }].find(person => person.id === id) },
  { findById: async id => ({ id: BigInt(id), username: 'ada', passwordHash: null }) },
  { findById: id => ({ id: new ObjectId(id), username: 'ada', passwordHash: null }) }
]

export const wrongTables: Users[] = [
  // @ts-expect-error a function that does not exist
  { findByEmail: () => null },
  // @ts-expect-error a user without an id
  { findById: () => ({ username: 'ada', passwordHash: null }) },
  // @ts-expect-error a user without a hash: people without a password say null
  { findById: () => ({ id: 1, username: 'ada' }) },
  // @ts-expect-error an id that is a date
  { findById: () => ({ id: new Date(), username: 'ada', passwordHash: null }) },
  // @ts-expect-error an id that is bytes
  { findById: () => ({ id: Buffer.alloc(16), username: 'ada', passwordHash: null }) },
  // @ts-expect-error an id that is a list
  { findById: () => ({ id: [7], username: 'ada', passwordHash: null }) },
  // @ts-expect-error an id that nobody waited for
  { findById: () => ({ id: Promise.resolve(7), username: 'ada', passwordHash: null }) },
  // @ts-expect-error an id that is true or false
  { findById: () => ({ id: true, username: 'ada', passwordHash: null }) },
  // @ts-expect-error a function that forgets to return the user
  { create: async () => {} },
  // @ts-expect-error an answer of another kind
  { updatePasswordHash: () => 'yes' },
  // @ts-expect-error not a function
  { findById: null }
]

// @ts-expect-error what the plugin was given is not the plugin's to change
export const change = (user: User): void => { user.passwordHash = 'x' }
