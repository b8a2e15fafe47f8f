import { inspect } from 'node:util'

/** What was handed to the app or to a store and must not be in a log: hashes of passwords, and tokens. */
const SECRETS = /\$(?:argon2(?:id|i|d)?|2[abxy]|scrypt)\$[\w+/=,.$-]+|\beyJ[\w-]+\.[\w-]+\.[\w-]*/g

/** What of an error says where it comes from; everything else may be the values of a query. */
const KEPT = ['name', 'code', 'errno', 'errcode'] as const

/** Errors may be their own causes. */
const DEEPEST = 5

/**
 * What was thrown, as it may be logged: itself where it holds no secret, else a copy without its own properties, in whose
 * message, stack and causes secrets are replaced. Libraries of databases write the values of a query into their errors.
 */
export function redacted (thrown: unknown): unknown {
  return inspect(thrown, { depth: DEEPEST, maxStringLength: null, maxArrayLength: 1000 }).search(SECRETS) < 0 ? thrown : copyOf(thrown, 0)
}

function copyOf (thrown: unknown, depth: number): unknown {
  if (!(thrown instanceof Error)) return new Error(depth < DEEPEST && typeof thrown === 'string' ? withoutSecrets(thrown) : 'what was thrown held a secret')
  const copy = new Error(withoutSecrets(thrown.message))
  copy.stack = withoutSecrets(String(thrown.stack))
  if (thrown.cause !== undefined && depth < DEEPEST) copy.cause = copyOf(thrown.cause, depth + 1)
  for (const name of KEPT) {
    const value: unknown = Reflect.get(thrown, name)
    if (value !== undefined) Object.defineProperty(copy, name, { value, enumerable: name !== 'name', configurable: true })
  }
  return copy
}

function withoutSecrets (text: string): string {
  return text.replace(SECRETS, '[redacted]')
}
