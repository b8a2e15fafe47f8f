/** The longest subject, in characters (OpenID Connect Core section 2, `sub`). */
export const MAX_SUBJECT_LENGTH = 255

/**
 * The subject of a user's id, which `from` gave. Throws a TypeError, with the way out, for what is no id: as text, a missing
 * id, a number that is not exact, or an object without a text of its own would make one subject of many people.
 */
export function subjectOf (id: unknown, from = 'the app'): string {
  const text = textOf(id)
  if (isSubject(text)) return text
  throw new TypeError(`${from} gave ${kindOf(id)} as the id of a user: it must be a text of 1 to ${MAX_SUBJECT_LENGTH} characters, a safe integer, a bigint, or an object whose own toString() gives such a text, e.g. an ObjectId`)
}

function textOf (id: unknown): string | null {
  if (typeof id === 'string' || typeof id === 'bigint' || Number.isSafeInteger(id)) return String(id)
  return typeof id === 'object' && id !== null ? ownTextOf(id) : null
}

/** Null for a text that says nothing of who it is: of a plain object, of a list or a date, of bytes that are no text. */
function ownTextOf (id: object): string | null {
  if (Array.isArray(id) || ArrayBuffer.isView(id) || id instanceof Date || typeof id.toString !== 'function') return null
  const text: unknown = id.toString()
  return typeof text !== 'string' || text.startsWith('[object ') || text.includes('\ufffd') ? null : text
}

/** What kind of value it is, for a message: the value itself may be anything. */
export function kindOf (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'object') return `an object of the class ${value.constructor?.name ?? 'null'}`
  return value === '' ? 'an empty text' : `a ${typeof value}`
}

/** Whether a text can be a subject: neither empty nor too long, and one that every database keeps as it is. */
export function isSubject (value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= MAX_SUBJECT_LENGTH &&
    value.isWellFormed() && !value.includes('\0')
}
