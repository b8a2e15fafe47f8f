import { startDeadline } from '../../lib/deadline.js'
import { MemoryCounter } from '../../lib/accounts/attempt-counters.js'
import { type Passwords } from '../../lib/accounts/hashing.js'
import { PasswordChange } from '../../lib/accounts/password-change.js'
import { PasswordVerifier, type Credentials } from '../../lib/accounts/password-verifier.js'
import { Signup, type SignupListener } from '../../lib/accounts/signup.js'
import { Throttle, type Caller, type ThrottleLimits } from '../../lib/accounts/throttle.js'
import { type AuthEvent } from '../../lib/events.js'
import { type User, type Users, type VerifiedUser } from '../../lib/accounts/user.js'
import { fastPasswords, type Work } from './fast-passwords.js'

export const COST = { memoryCost: 1024, timeCost: 2, parallelism: 1 }
export const PASSWORD = 'correct horse'
export const ADA: Credentials = { username: 'ada', password: PASSWORD }
export const INVALID = { code: 'FST_AUTH_CREDENTIALS_INVALID', statusCode: 401 }
export const UNAVAILABLE = { code: 'FST_AUTH_STORE_UNAVAILABLE', statusCode: 503 }

type Options = Parameters<typeof fastPasswords>[0] & {
  readonly usernameField?: string
  readonly onSignup?: SignupListener
  readonly limits?: Partial<ThrottleLimits>
}

interface AccountsOver {
  readonly events: AuthEvent[]
  readonly warnings: Array<{ readonly subject: string, readonly err?: unknown }>
  /** The errors of `onSignup`. */
  readonly failures: unknown[]
  readonly passwords: Passwords
  readonly work: Work
  signup (credentials: Credentials): Promise<User>
  signupSilently (credentials: Credentials): Promise<void>
  login (credentials: Credentials): Promise<User>
  reauthenticate (subject: string, password: unknown): Promise<VerifiedUser>
  changePassword (verified: VerifiedUser, password: unknown): ReturnType<PasswordChange['prepare']>
}

/** Accounts over a user table, without rate limits unless they are given. */
export function accountsOver (users: Users, { usernameField = 'username', onSignup, limits = {}, ...options }: Options = {}): AccountsOver {
  const events: AuthEvent[] = []
  const warnings: Array<{ subject: string, err?: unknown }> = []
  const failures: unknown[] = []
  const { passwords, work } = fastPasswords(options)
  const throttle = new Throttle({
    limits: { perAddress: [], perAddressTotal: [], perAccount: [], perSession: [], ...limits },
    counter: limits => new MemoryCounter(limits),
    users,
    warn: () => { throw new Error('the counters cannot be reached') }
  })
  const signup = new Signup({ users, passwords, throttle, usernameField, onSignup, onSignupFailed: err => { failures.push(err) } })
  const verifier = new PasswordVerifier({ users, passwords, throttle, warn: (_message, details) => { warnings.push(details) } })
  const passwordChange = new PasswordChange(users, passwords)
  const caller: Caller = {
    userAgent: null,
    ip: null,
    claimedSession: null,
    hasLiveSession: async () => false,
    get bounded () { return startDeadline({ call: 2, request: 3 }) },
    emit: event => { events.push(event) }
  }

  return {
    events,
    warnings,
    failures,
    passwords,
    work,
    signup: async credentials => await signup.signup(credentials, caller),
    signupSilently: async credentials => await signup.signupSilently(credentials, caller),
    login: async credentials => (await verifier.verifyLogin(credentials, caller)).user,
    reauthenticate: async (sub, password) => await verifier.verifyAgain({ sub, sid: 's1' }, password, caller),
    changePassword: async (verified, password) => await passwordChange.prepare(verified, password, caller)
  }
}
