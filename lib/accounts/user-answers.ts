import { kindOf } from '../tokens/subject.js'
import { type User } from './user.js'

/**
 * What `users.create` gave: the new user, or null for a taken name. A TypeError for anything else: nothing at all is what a
 * function without `return` gives, and says neither that the account was made nor that the name is taken.
 */
export function createdUser (answer: User | null): User | null {
  if (typeof answer === 'object') return answer
  throw new TypeError(`"users.create" gave ${kindOf(answer)}: it must return the new user, or null where the name is taken`)
}

/** What `users.updatePasswordHash` gave. A TypeError for anything but true and false, as for `createdUser`. */
export function wasReplaced (answer: boolean): boolean {
  if (typeof answer === 'boolean') return answer
  throw new TypeError(`"users.updatePasswordHash" gave ${kindOf(answer)}: it must return true where it replaced the hash, and false where that was no longer oldHash`)
}

/** The codes that databases and their libraries give a violated unique constraint. */
const CODES: ReadonlySet<unknown> = new Set([
  '23505', // SQLSTATE unique_violation: PostgreSQL, CockroachDB
  'ER_DUP_ENTRY', 1062, // MySQL, MariaDB
  'SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_CONSTRAINT_PRIMARYKEY', 2067, 1555, // SQLite: better-sqlite3 by name, node:sqlite by number
  11000, 11001, // MongoDB
  'P2002', // Prisma
  2601, 2627, // SQL Server
  'ORA-00001' // Oracle
])

/** The names of errors that carry no such code of their own. */
const NAMES: ReadonlySet<unknown> = new Set(['SequelizeUniqueConstraintError', 'UniqueConstraintViolationException', 'UniqueViolationError'])

/** Where libraries keep the code of an error. */
const CODE_FIELDS = ['code', 'errno', 'errcode', 'number'] as const

/** Where libraries keep the error of the driver below: Drizzle and others, Sequelize, TypeORM, Knex and Objection. */
const CAUSE_FIELDS = ['cause', 'parent', 'original', 'driverError', 'originalError', 'nativeError'] as const

/** How deep a cause may lie. An error may be its own cause. */
const DEEPEST = 5

/** Whether what a database call threw says that a unique constraint was violated, itself or by its cause. */
export function isUniqueViolation (error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > DEEPEST) return false
  const read = (field: string): unknown => Reflect.get(error, field)
  return CODE_FIELDS.some(field => CODES.has(read(field))) || NAMES.has(read('name')) ||
    /UNIQUE constraint failed/.test(String(read('message'))) || // SQLite where it gives no exact code: sqlite3, libSQL, D1
    CAUSE_FIELDS.some(field => isUniqueViolation(read(field), depth + 1))
}
