/** The longest subject, in characters (OpenID Connect Core section 2, `sub`). */
export const MAX_SUBJECT_LENGTH = 255

/**
 * Converts a user's id, which `from` returned, to the subject. Throws a TypeError for an invalid id: a missing id, an inexact
 * number, or an object without its own `toString` would give many users the same subject.
 */
export function subjectOf (id: unknown, from = 'the app'): string {
  const text = textOf(id)
  if (isSubject(text)) return text
  throw new TypeError(`${from} gave ${kindOf(id)} as the id of a user: it must be a string of 1 to ${MAX_SUBJECT_LENGTH} characters, a safe integer, a bigint, or an object whose own toString() gives such a string, e.g. an ObjectId`)
}

/** Throws a TypeError if the id of a user from `users.findById` is another than `subject`, a valid one, for which it was called. */
export function assertFound (id: unknown, subject: string): void {
  if (textOf(id) === subject) return
  subjectOf(id, '"users.findById"') // throws for an invalid id, and says why
  throw new TypeError('"users.findById" gave another user than the one with the id that it was called with')
}

function textOf (id: unknown): string | null {
  if (typeof id === 'string' || typeof id === 'bigint' || Number.isSafeInteger(id)) return String(id)
  return typeof id === 'object' && id !== null ? ownTextOf(id) : null
}

/** Null for objects whose text identifies nobody: plain objects, lists, dates, and bytes that are no text. */
function ownTextOf (id: object): string | null {
  if (Array.isArray(id) || ArrayBuffer.isView(id) || id instanceof Date || typeof id.toString !== 'function') return null
  const text: unknown = id.toString()
  return typeof text !== 'string' || text.startsWith('[object ') || text.includes('\ufffd') ? null : text
}

/** Describes a value for a message by its type only: the value itself may be a secret. */
export function kindOf (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'object') return `an object of the class ${value.constructor?.name ?? 'null'}`
  return value === '' ? 'an empty string' : `a ${typeof value}`
}

/** True for a valid subject: neither empty nor too long, and text that every database stores unchanged. */
export function isSubject (value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_SUBJECT_LENGTH &&
    value.isWellFormed() && !value.includes('\0')
}
