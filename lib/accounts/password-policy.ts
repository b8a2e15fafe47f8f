import { startDeadline, type Timeouts } from '../deadline.js'
import { redactErrors } from '../redaction.js'
import { AuthError } from '../errors.js'
import { isGuessable, loadCommonPasswords } from './guessable.js'

/** The owner of a password, as far as known. */
export interface PasswordOwner {
  /** The normalised username. */
  readonly username?: string
}

/**
 * The app's own rule, e.g. a look-up among breached passwords. True or undefined accepts, anything else refuses.
 * It gets the password in Unicode NFC. If it throws or takes too long, the reply is 503.
 */
export type PasswordCheck = (password: string, owner: PasswordOwner) => Promise<boolean | void> | boolean | void

export interface PasswordRules {
  /** The minimum length in characters (Unicode code points). */
  readonly minLength: number
  readonly check: PasswordCheck | undefined
  /** Words that attackers know, such as the issuer. */
  readonly contextWords: readonly string[]
}

/**
 * Checks a new password: its length in code points, the guesses that attackers try first, then the app's own rule. There
 * are no composition rules (NIST SP 800-63B section 3.1.1.2). Throws FST_AUTH_PASSWORD_REFUSED with the message of the rule,
 * FST_AUTH_STORE_UNAVAILABLE if the app's rule fails.
 */
export async function assertPolicy (text: string, owner: PasswordOwner, rules: PasswordRules, timeouts: Timeouts): Promise<void> {
  const { minLength, check, contextWords } = rules
  if ([...text].length < minLength) throw passwordRefused(`The password must have at least ${minLength} characters`)
  if (isGuessable(text, [owner.username ?? '', ...contextWords], await loadCommonPasswords())) throw passwordRefused('The password is too easy to guess: choose another')
  if (check === undefined) return
  const verdict = await startDeadline(timeouts)(() => redactErrors([text], () => check(text, owner)))
  if (verdict !== true && verdict !== undefined) throw passwordRefused('The password is not accepted here: choose another')
}

export function passwordRefused (message: string): AuthError {
  return new AuthError('FST_AUTH_PASSWORD_REFUSED', { message })
}
