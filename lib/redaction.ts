import { inspect } from 'node:util'

/** Password hashes and tokens. */
const SECRETS = /\$(?:argon2(?:id|i|d)?|2[abxy]|scrypt)\$[\w+/=,.$-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*/g

/** Properties of an error that a copy keeps. Any other may hold the values of a query. */
const KEPT = ['name', 'code', 'errno', 'errcode'] as const

/** The most causes that a copy keeps. An error may be its own cause. */
const DEEPEST = 5

/** The most causes that are searched: a logger writes the messages of all. */
const MOST_CAUSES = 100

/**
 * Makes a thrown value safe to log: returns it unchanged if it holds no secret, else a copy without its own properties, with
 * secrets replaced in message, stack and causes. Database libraries write the values of a query into their errors. Besides
 * hashes and tokens it finds the secrets in `known`, by their value.
 */
export function redacted (thrown: unknown, known: readonly string[] = []): unknown {
  const spellings = known.flatMap(spellingsOf)
  return chainOf(thrown).some(error => holdsSecret(error, spellings)) ? copyOf(thrown, spellings, 0) : thrown
}

/** Calls a function of the app, and redacts the secrets that it was called with from its errors. */
export async function withholding<T> (secrets: readonly string[], call: () => Promise<T> | T): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw redacted(error, secrets)
  }
}

/** A thrown value and its causes. */
function chainOf (thrown: unknown): unknown[] {
  const chain = [thrown]
  for (let next = thrown; next instanceof Error && next.cause !== undefined && chain.length < MOST_CAUSES;) chain.push(next = next.cause)
  return chain
}

function holdsSecret (error: unknown, spellings: readonly string[]): boolean {
  const text = inspect(error, { depth: DEEPEST, maxStringLength: null, maxArrayLength: 1000 })
  return text.search(SECRETS) >= 0 || spellings.some(spelling => text.includes(spelling))
}

/** A secret as a message may contain it: itself, and escaped as by JSON or inspect. */
function spellingsOf (secret: string): string[] {
  return [...new Set([secret, JSON.stringify(secret).slice(1, -1), inspect(secret).slice(1, -1)])].filter(spelling => spelling !== '')
}

function copyOf (thrown: unknown, spellings: readonly string[], depth: number): unknown {
  const clean = (text: string): string => withoutSecrets(text, spellings)
  if (!(thrown instanceof Error)) return new Error(depth < DEEPEST && typeof thrown === 'string' ? clean(thrown) : 'the thrown value contained a secret')
  const copy = new Error(clean(thrown.message))
  copy.stack = clean(String(thrown.stack))
  if (thrown.cause !== undefined && depth < DEEPEST) copy.cause = copyOf(thrown.cause, spellings, depth + 1)
  for (const name of KEPT) {
    const value: unknown = Reflect.get(thrown, name)
    if (value !== undefined) Object.defineProperty(copy, name, { value, enumerable: name !== 'name', configurable: true })
  }
  return copy
}

function withoutSecrets (text: string, spellings: readonly string[]): string {
  return spellings.reduce((cleaned, spelling) => cleaned.replaceAll(spelling, () => '[redacted]'), text.replace(SECRETS, '[redacted]'))
}
