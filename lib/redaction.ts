import { inspect } from 'node:util'

/**
 * Password hashes of the modular crypt format, also in a URL, and those of Django, Werkzeug and PostgreSQL. Users can have their
 * input quoted in an error, so every repetition is limited or begins where it cannot begin again: otherwise the time would be
 * quadratic (ReDoS, CWE-1333).
 */
const HASHES = /(?:(?:\$|%24)(?:argon2[a-z]{1,2}|2[abxy]?|[1567]|g?y|[PHS]|apr1|scrypt|pbkdf2[\w-]{0,20}|bcrypt[\w-]{0,20})|(?:pbkdf2|scrypt|bcrypt|argon2|sha1|md5|SCRAM-SHA-)[\w:-]{0,40})(?:\$|%24)[\w+/=,.$:%-]{8,}/g

/** Words that are joined by dots, at least three; a token is such a text, whatever characters of an escape precede it. */
const DOTTED = /(?<![\w.-])[\w-]+(?:\.[\w-]*){2,}/g

/** `{"` in base64url, with which the header of every token begins. */
const TOKEN_HEADER = 'eyJ'

/** True for a text with a password hash. */
export function holdsHash (text: string): boolean {
  return text.search(HASHES) >= 0
}

const REDACTED = '[redacted]'

/** Properties of an error that a copy keeps. Any other may hold the values of a query. */
const KEPT_PROPERTIES = ['name', 'code', 'errno', 'errcode'] as const

/** The most causes that a copy keeps. An error may be its own cause. */
const MAX_DEPTH = 5

/** The most causes that are searched: a logger writes the messages of all. */
const MAX_CAUSES = 100

/**
 * Makes a thrown value safe to log: returns it unchanged if it holds no secret, else a copy without its own properties, with
 * secrets replaced in message, stack and causes. Database libraries write the values of a query into their errors. Besides
 * hashes and tokens it finds the secrets in `known`, by their value.
 */
export function redacted (thrown: unknown, known: readonly string[] = []): unknown {
  const encodings = known.flatMap(encodingsOf)
  return chainOf(thrown).some(error => holdsSecret(error, encodings)) ? copyOf(thrown, encodings, 0) : thrown
}

/** Calls a function of the app, and redacts the secrets that it was called with from its errors. */
export async function redactErrors<T> (secrets: readonly string[], call: () => Promise<T> | T): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw redacted(error, secrets)
  }
}

/** A thrown value and its causes. */
function chainOf (thrown: unknown): unknown[] {
  const chain = [thrown]
  for (let next = thrown; next instanceof Error && next.cause !== undefined && chain.length < MAX_CAUSES;) chain.push(next = next.cause)
  return chain
}

/** True also for an error that cannot be read, such as one with a getter that throws. */
function holdsSecret (error: unknown, encodings: readonly string[]): boolean {
  try {
    const text = inspect(error, { depth: MAX_DEPTH, maxStringLength: null, maxArrayLength: 1000 }) + jsonOf(error)
    return withoutSecrets(text, encodings) !== text
  } catch {
    return true
  }
}

/** The properties of an error as a logger writes them: inherited ones, and the values of getters and of `toJSON`, which inspect leaves out. */
function jsonOf (error: unknown): string {
  if (!(error instanceof Error)) return JSON.stringify(error) ?? ''
  const properties: unknown[] = []
  for (const name in error) properties.push(name, Reflect.get(error, name))
  return JSON.stringify(properties)
}

/** A secret as a message may contain it: itself, and escaped as by JSON, inspect or a URL. */
function encodingsOf (secret: string): string[] {
  return [...new Set([secret, JSON.stringify(secret).slice(1, -1), inspect(secret).slice(1, -1), encodeURIComponent(secret)])].filter(encoding => encoding !== '')
}

function copyOf (thrown: unknown, encodings: readonly string[], depth: number): unknown {
  const clean = (text: string): string => withoutSecrets(text, encodings)
  if (!(thrown instanceof Error)) return new Error(depth < MAX_DEPTH && typeof thrown === 'string' ? clean(thrown) : 'the thrown value contained a secret')
  const copy = new Error(clean(thrown.message))
  copy.stack = clean(String(thrown.stack))
  if (thrown.cause !== undefined && depth < MAX_DEPTH) copy.cause = copyOf(thrown.cause, encodings, depth + 1)
  for (const name of KEPT_PROPERTIES) {
    const value: unknown = Reflect.get(thrown, name)
    if (value !== undefined) Object.defineProperty(copy, name, { value, enumerable: name !== 'name', configurable: true })
  }
  return copy
}

function withoutSecrets (text: string, encodings: readonly string[]): string {
  return encodings.reduce((cleaned, encoding) => cleaned.replaceAll(encoding, () => REDACTED), withoutTokens(text.replace(HASHES, REDACTED)))
}

function withoutTokens (text: string): string {
  return text.includes(TOKEN_HEADER) ? text.replace(DOTTED, words => words.includes(TOKEN_HEADER) ? REDACTED : words) : text
}
