import { kindOf } from '../tokens/subject.js'
import { type User } from './user.js'

/**
 * Checks the result of `users.create`: the new user, or null for a taken username. Throws a TypeError for anything else: a
 * function without `return` gives undefined, which does not say whether the account was created.
 */
export function createdUser (answer: User | null): User | null {
  if (typeof answer === 'object') return answer
  throw new TypeError(`"users.create" gave ${kindOf(answer)}: it must return the new user, or null where the name is taken`)
}

/** Checks the result of `users.updatePasswordHash`. Throws a TypeError for anything but true and false. */
export function wasReplaced (answer: boolean): boolean {
  if (typeof answer === 'boolean') return answer
  throw new TypeError(`"users.updatePasswordHash" gave ${kindOf(answer)}: it must return true where it replaced the hash, and false where that was no longer oldHash`)
}

/** The codes of databases and their libraries for a unique violation. */
const CODES: ReadonlySet<unknown> = new Set([
  '23505', // SQLSTATE unique_violation: PostgreSQL, CockroachDB
  'ER_DUP_ENTRY', 1062, // MySQL, MariaDB
  'SQLITE_CONSTRAINT_UNIQUE', 'SQLITE_CONSTRAINT_PRIMARYKEY', 2067, 1555, // SQLite: better-sqlite3 by name, node:sqlite by number
  11000, 11001, // MongoDB
  'P2002', // Prisma
  2601, 2627, // SQL Server
  'ORA-00001' // Oracle
])

/** The names of errors without such a code. */
const NAMES: ReadonlySet<unknown> = new Set(['SequelizeUniqueConstraintError', 'UniqueConstraintViolationException', 'UniqueViolationError'])

/** Properties in which libraries keep the code of an error. */
const CODE_FIELDS = ['code', 'errno', 'errcode', 'number'] as const

/** Properties in which libraries keep the error of the driver: Drizzle and others, Sequelize, TypeORM, Knex and Objection. */
const CAUSE_FIELDS = ['cause', 'parent', 'original', 'driverError', 'originalError', 'nativeError'] as const

/** The maximum depth of causes, since an error may be its own cause. */
const DEEPEST = 5

/** True if the error of a database call, or one of its causes, is a unique violation. */
export function isUniqueViolation (error: unknown, depth = 0): boolean {
  if (typeof error !== 'object' || error === null || depth > DEEPEST) return false
  const read = (field: string): unknown => Reflect.get(error, field)
  return CODE_FIELDS.some(field => CODES.has(read(field))) || NAMES.has(read('name')) ||
    /UNIQUE constraint failed/.test(String(read('message'))) || // SQLite where it gives no exact code: sqlite3, libSQL, D1
    CAUSE_FIELDS.some(field => isUniqueViolation(read(field), depth + 1))
}
