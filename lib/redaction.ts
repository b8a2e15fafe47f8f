import { inspect } from 'node:util'

/** A dollar sign: plain, escaped, or encoded for a URL or HTML. */
const DOLLAR = String.raw`(?:\\{0,2}\$|%(?:25)?24|\\u0024|&#36;)`
const NAMED = '(?:argon2[a-z]{1,2}|2[abxy]?|[1567]|g?y|[PHS]|apr1|scrypt|pbkdf2[\\w-]{0,20}|bcrypt[\\w-]{0,20})'
const UNMARKED = '(?:pbkdf2|scrypt|bcrypt|argon2|sha1|md5|SCRAM-SHA-)[\\w:-]{0,40}'

/**
 * Password hashes of the modular crypt format, also escaped or in a URL, and those of Django, Werkzeug and PostgreSQL. An
 * error may quote user input, so every repetition is limited or begins where it cannot begin again: otherwise the time
 * would be quadratic (ReDoS, CWE-1333).
 */
const HASHES = new RegExp(`(?:${DOLLAR}${NAMED}|${UNMARKED})${DOLLAR}${String.raw`[\w+/=,.$:%\\&#;-]{8,}`}`, 'g')

/** Such hashes in hexadecimal, as in the bytea of PostgreSQL. */
const HEX_HASHES = /(?:246172676f6e32|2432[0-9a-f]{2}24)[0-9a-f]{16,}/gi

/** At least three words, joined by dots. A token is such a text, even after characters of an escape. */
const DOTTED = /(?<![\w-])[\w-]+(?:(?:\.|%2e|&#46;)[\w-]*){2,}/gi

/** `{"` in base64url, with which the header of every token begins. */
const TOKEN_HEADER = 'eyJ'

/** A copy keeps the class of the error, since callers decide by it: a TypeError of a store stops the start, a SyntaxError may quote a key. */
const KINDS = [TypeError, SyntaxError]

const REDACTED = '[redacted]'
const TOO_LONG = '[a text that is too long to be searched for secrets]'

/** Shorter ones also occur in other texts. */
const SHORTEST_SEGMENT = 16

/** A line break, also escaped as in JSON; the soft one of quoted-printable follows an equals sign. */
const LINE_BREAK = /(?:\r|\\r)?(?:\n|\\n)/g
const SOFT_BREAK = new RegExp(`=${LINE_BREAK.source}`, 'g')

/** Shorter ones hold no password of eight characters. */
const BASE64 = /[\w+/-]{11,}/g

/** Properties of an error that a copy keeps. Any other may hold the values of a query. */
const KEPT_PROPERTIES = ['name', 'code', 'errno', 'errcode'] as const

/** The most causes that a copy keeps. An error may be its own cause. */
const MAX_DEPTH = 5

/**
 * The most values and characters that are read of an error, which takes 50 ms: a client of HTTP or of a database may hang all its
 * connections on one. A value counts each time that `inspect` prints it.
 */
const MAX_VALUES = 10_000
const MAX_LENGTH = 200_000

/**
 * Makes a thrown value safe to log: returns it unchanged if it holds no secret, else a copy without its own properties, with
 * secrets replaced in message, stack and causes. Database libraries write the values of a query into their errors. Besides
 * hashes and tokens it finds the secrets in `known`, by their value. It never throws.
 */
export function redacted (thrown: unknown, known: readonly string[] = []): unknown {
  try {
    const encodings = known.flatMap(encodingsOf).sort((one, other) => other.length - one.length)
    return holdsSecret(thrown, encodings) ? copyOf(thrown, encodings, 0) : thrown
  } catch {
    // It is called while an error is handled: another one would end the process.
    return new Error('the thrown value cannot be read')
  }
}

/**
 * Calls a function, and makes the error that it throws safe for a log and a reply: database and mail libraries write the values of
 * a call into their errors. It finds password hashes and tokens by their format, and `secrets` by their value. An error without any
 * is rethrown unchanged; else a copy with `message`, `name`, `code`, `stack` and `cause`, and "[redacted]" in their place.
 */
export async function redactErrors<T> (secrets: readonly string[], call: () => Promise<T> | T): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw redacted(error, secrets)
  }
}

/** True also for an error that cannot be read, such as one with a getter that throws, and for one that a logger could not write. */
function holdsSecret (error: unknown, encodings: readonly string[]): boolean {
  try {
    assertLoggable(error)
    const text = inspect(error, { depth: MAX_DEPTH, maxStringLength: null, maxArrayLength: 1000 }) + JSON.stringify(error, errorReader())
    return withoutSecrets(text, encodings) !== text
  } catch {
    return true
  }
}

/**
 * Throws for an error that is too large to be read at once, and for one that contains itself other than as its cause: pino follows
 * `errors` without end, and the log line of an error must not throw another one.
 */
function assertLoggable (error: unknown): void {
  const path = new Set<object>()
  let values = 0
  let length = 0
  visit(error)

  function visit (value: unknown): void {
    if (typeof value === 'string') length += value.length
    if (++values > MAX_VALUES || length > MAX_LENGTH) throw new Error('it is too large')
    if (typeof value !== 'object' || value === null || path.size > MAX_DEPTH) return
    if (path.has(value)) {
      if (value instanceof Error) throw new Error('it contains itself')
      return
    }
    path.add(value)
    for (const [name, inner] of membersOf(value)) if (name !== 'cause' || !path.has(Object(inner))) visit(inner)
    path.delete(value)
  }
}

/** The members of an object that `inspect` prints. It calls no getter. */
function membersOf (value: object): Iterable<readonly [name: unknown, value: unknown]> {
  if (value instanceof Map) return [...value.keys(), ...value.values()].entries()
  if (value instanceof Set || Array.isArray(value)) return value.entries()
  if (ArrayBuffer.isView(value)) return [] // inspect prints the first bytes only
  return Reflect.ownKeys(value).map(name => [name, Reflect.getOwnPropertyDescriptor(value, name)?.value])
}

/**
 * Reads an error for JSON as a logger writes it, at any depth: inherited properties too, and the values of getters and of `toJSON`,
 * which inspect leaves out. An object is read once, since errors of HTTP clients have cycles.
 */
function errorReader (): (name: string, value: unknown) => unknown {
  const seen = new Set<unknown>()
  let values = 0
  return (_name, value) => {
    if (++values > MAX_VALUES) throw new Error('it is too large') // deeper than `inspect` prints, or from a getter
    if (typeof value === 'bigint') return String(value)
    if (typeof value !== 'object' || value === null) return value
    if (seen.has(value)) return undefined
    seen.add(value)
    if (!(value instanceof Error)) return value
    const { message, stack, cause } = value
    const properties: unknown[] = [message, stack, cause, Reflect.get(value, 'errors')] // of an AggregateError, not enumerable
    for (const name in value) properties.push(name, Reflect.get(value, name))
    return properties
  }
}

/**
 * A secret as an error may contain it: itself, escaped as by JSON, inspect, a URL, a form, HTML, SQL or a mail, its bytes, and the
 * segments of a token.
 */
function encodingsOf (secret: string): string[] {
  const bytes = Buffer.from(secret)
  const hex = bytes.toString('hex')
  const json = JSON.stringify(secret).slice(1, -1)
  const [url, form] = [encodeURIComponent(secret), new URLSearchParams([['', secret]]).toString().slice(1)]
  const encodings = [
    secret, json, JSON.stringify(json).slice(1, -1), inspect(secret).slice(1, -1),
    ...[url, form, secret.replaceAll('.', '%2E')].flatMap(text => [text, text.replace(/%[0-9A-F]{2}/g, part => part.toLowerCase())]),
    escaped(secret, /[&<>"'.]/g, character => HTML[character]), escaped(secret, /[^\x20-\x7e]/g, unicodeEscape), secret.replaceAll("'", "''"),
    escaped(bytes.toString('latin1'), /[^!-<>-~]/g, quotedPrintable), escaped(bytes.toString('latin1'), /[^ -<>-~]/g, quotedPrintable),
    hex, hex.toUpperCase(), hex.replace(/..(?!$)/g, '$& '), bytes.join(','), bytes.join(', '),
    bytes.toString('base64'), bytes.toString('base64').replaceAll('=', ''), bytes.toString('base64url'),
    ...segmentsOf(secret)
  ]
  return [...new Set(encodings)].filter(encoding => encoding !== '')
}

function escaped (text: string, characters: RegExp, escape: (character: string) => string | undefined): string {
  return text.replace(characters, character => String(escape(character)))
}

function unicodeEscape (character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** RFC 2045 section 6.7. */
function quotedPrintable (byte: string): string {
  return `=${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}

const HTML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;', '.': '&#46;' }

function segmentsOf (secret: string): string[] {
  return secret.startsWith(TOKEN_HEADER) ? secret.split('.').filter(({ length }) => length >= SHORTEST_SEGMENT) : []
}

function copyOf (thrown: unknown, encodings: readonly string[], depth: number): unknown {
  const clean = (text: unknown): string => String(text).length > MAX_LENGTH ? TOO_LONG : withoutSecrets(String(text), encodings) // a library may set a message that is no string
  if (!(thrown instanceof Error)) return new Error(depth < MAX_DEPTH && typeof thrown === 'string' ? clean(thrown) : 'the thrown value contained a secret')
  const Kind = KINDS.find(kind => thrown instanceof kind) ?? Error
  const copy = new Kind(clean(propertyOf(thrown, 'message')))
  copy.stack = clean(propertyOf(thrown, 'stack'))
  if (thrown.cause !== undefined && depth < MAX_DEPTH) copy.cause = copyOf(thrown.cause, encodings, depth + 1)
  for (const name of KEPT_PROPERTIES) {
    const found = propertyOf(thrown, name)
    const value = typeof found === 'string' ? clean(found) : found
    if (typeof value === 'string' || typeof value === 'number') Object.defineProperty(copy, name, { value, enumerable: name !== 'name', configurable: true })
  }
  return copy
}

/** Undefined for a getter that throws. */
function propertyOf (error: Error, name: string): unknown {
  try {
    return Reflect.get(error, name)
  } catch {
    return undefined
  }
}

/** `encodings` come first, the longest first: the patterns could replace a part of one and leave the rest. */
function withoutSecrets (text: string, encodings: readonly string[]): string {
  const withoutKnown = encodings.reduce((cleaned, encoding) => cleaned.replaceAll(encoding, () => REDACTED), text)
  const cleaned = withoutPatterns(withoutKnown)
  return isMailWithSecret(cleaned, encodings) ? REDACTED : cleaned
}

/** True if a text quotes a mail with a secret as it is sent (RFC 2045): folded into lines, in quoted-printable or in base64. */
function isMailWithSecret (text: string, encodings: readonly string[]): boolean {
  const softBreaks = text.replace(SOFT_BREAK, '')
  const unfolded = softBreaks.replace(LINE_BREAK, '')
  const decoded = unfolded.match(BASE64)?.map(part => Buffer.from(part, 'base64').toString()).join('\n') ?? ''
  return [unfolded, decoded].some(part => encodings.some(encoding => part.includes(encoding))) ||
    [softBreaks, decoded].some(part => withoutPatterns(part) !== part)
}

function withoutPatterns (text: string): string {
  return withoutTokens(text.replace(HASHES, REDACTED).replace(HEX_HASHES, REDACTED))
}

function withoutTokens (text: string): string {
  return text.includes(TOKEN_HEADER) ? text.replace(DOTTED, words => words.includes(TOKEN_HEADER) ? REDACTED : words) : text
}
