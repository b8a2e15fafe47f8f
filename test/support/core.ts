import { AuthError, type AuthErrorCode } from '../../lib/errors.js'
import { type RefreshClaims } from '../../lib/tokens/claims.js'
import { startDeadline, type Timeouts } from '../../lib/deadline.js'
import { type AuthEvent, type RequestContext } from '../../lib/events.js'
import { type RefreshOutcome, type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { type Identity, type IdentifyOptions } from '../../lib/sessions/identify.js'
import { type Session } from '../../lib/sessions/session.js'
import { type SessionStore } from '../../lib/sessions/store.js'
import { type Issued } from '../../lib/sessions/issue-tokens.js'
import { SessionService, type SessionServiceOptions } from '../../lib/sessions/session-service.js'
import { type NewSessionOptions } from '../../lib/sessions/login.js'
import { type Clock, type Duration, wholeSeconds } from '../../lib/time.js'
import { type User } from '../../lib/accounts/user.js'
import { memoryStore } from '../../lib/stores/memory.js'
import { fakeClock } from './fake-clock.js'
import { fakeTokens, type FakeTokens } from './fake-tokens.js'
import { faultyStore, type FaultyStore } from './faulty-store.js'

export const GRACE = 30
export const IDLE = 7 * 86_400
export const ABSOLUTE = 30 * 86_400
export const ACCESS = 600

/** Options that differ from the plugin's defaults. */
export interface CoreOptions extends Partial<Pick<SessionServiceOptions, 'absolute' | 'findById' | 'appClaims' | 'limit' | 'revocations' | 'limitRefresh'>> {
  readonly policy?: Partial<RotationPolicy>
  readonly timeouts?: Timeouts
  /** Creates the store; a memory store by default. */
  readonly store?: (clock: Clock) => SessionStore
  /** False: an app without a user table. */
  readonly users?: boolean
}

/** The reply to one refresh, on its way to the browser. */
export interface Answer {
  /** The outcome, or the code of the refusal. */
  readonly outcome: RefreshOutcome | AuthErrorCode
  readonly issued: Issued | null
}

/** One cookie jar with one slot; every tab of the browser shares it. */
export interface Browser {
  /** The refresh cookie, or null. */
  cookie: string | null
  /** The reply to the last login or refresh that succeeded. */
  issued: Issued | null
  login (subject: string, options?: NewSessionOptions): Promise<Issued>
  /** Sends the cookie and stores that of the reply; resolves to the outcome or the code of the refusal. */
  refresh (): Promise<Answer['outcome']>
  /** Sends the cookie; the reply is pending until `receive`. */
  send (): Promise<Answer>
  receive (answer: Answer): void
  /** Sends the cookie with a page request; resolves to the identity or the code of the refusal. */
  identify (options?: IdentifyOptions): Promise<Identity | AuthErrorCode>
  /** Resolves to 'ok' and clears the cookie, or to the code of the refusal and keeps it. */
  logout (): Promise<'ok' | AuthErrorCode>
  /** An attacker: another browser with a copy of this cookie. */
  copy (): Browser
}

/** The session service with everything around it under the control of the test. */
export interface Core {
  readonly sessions: SessionService
  readonly store: FaultyStore
  readonly tokens: FakeTokens
  readonly clock: Clock
  /** Moves the clock. */
  wait (time: Duration): void
  /** All events of the audit log, in order. */
  readonly events: AuthEvent[]
  /** The app's user table; a test may delete or replace users. */
  readonly people: Map<string, User>
  browser (): Browser
  /** A request's context that records its events. */
  context (userAgent?: string, ip?: string): RequestContext
}

/** A user of the app's table. */
export function person (id: string, disabled = false): User {
  return { id, username: id, passwordHash: null, disabled }
}

/** Builds the session service over a memory store, a clock that the test moves, and tokens without cryptography. */
export function core ({ policy, timeouts = { call: 2, request: 3 }, store: makeStore, users = true, ...options }: CoreOptions = {}): Core {
  const { now: clock, wait } = fakeClock()
  const tokens = fakeTokens()
  const store = faultyStore(makeStore?.(clock) ?? memoryStore({ clock }))
  const people = new Map(['ada', 'bob'].map(id => [id, person(id)]))
  const events: AuthEvent[] = []
  const sessions = new SessionService({
    store,
    tokens,
    clock: wholeSeconds(clock),
    access: { expiresIn: ACCESS, leeway: 5 },
    rotationPolicy: { rotation: 'always', grace: GRACE, recoverLostReply: true, idle: IDLE, ...policy },
    absolute: ABSOLUTE,
    ...(users && { findById: (id: string) => people.get(id) ?? null }),
    ...options
  })

  return { sessions, store, tokens, clock, wait, events, people, context, browser: () => browser(sessions, context) }

  function context (userAgent = 'Firefox', ip = '192.0.2.1') {
    return { userAgent, ip, bounded: startDeadline(timeouts), emit: (event: AuthEvent) => { events.push(event) } }
  }
}

function browser (sessions: SessionService, context: Core['context'], cookie: string | null = null): Browser {
  const self: Browser = {
    cookie,
    issued: null,

    async login (subject, options = {}) {
      const held = self.cookie === null ? {} : { replaces: [self.cookie] }
      const issued = await sessions.login(subject, context(), { ...held, ...options })
      self.receive({ outcome: 'rotate', issued })
      if (issued.replaced !== null) await sessions.endReplaced(subject, issued.replaced, context()).catch(codeOf)
      return issued
    },

    async refresh () {
      const answer = await self.send()
      self.receive(answer)
      return answer.outcome
    },

    async send () {
      if (self.cookie === null) return { outcome: 'FST_AUTH_REFRESH_TOKEN_MISSING', issued: null }
      const { emit, ...rest } = context()
      let outcome: Answer['outcome'] | undefined
      try {
        const issued = await sessions.refresh([self.cookie], {
          ...rest,
          emit (event) {
            if (event.type === 'refresh') outcome = event.outcome
            emit(event)
          }
        })
        if (outcome === undefined) throw new Error('a refresh told nobody of its outcome')
        return { outcome, issued }
      } catch (error) {
        return { outcome: codeOf(error), issued: null }
      }
    },

    receive ({ issued }) {
      self.issued = issued ?? self.issued
      self.cookie = issued?.refreshToken?.value ?? self.cookie
    },

    identify: options => sessions.identify(self.cookie === null ? [] : [self.cookie], context(), options).catch(codeOf),

    async logout () {
      try {
        if (self.cookie !== null) await sessions.logout([self.cookie], context())
        self.cookie = null
        return 'ok'
      } catch (error) {
        return codeOf(error)
      }
    },

    copy: () => browser(sessions, context, self.cookie)
  }
  return self
}

/** Ada's browser after a login, with empty lists of calls and events. */
export async function loggedIn (options: CoreOptions = {}): Promise<{ c: Core, ada: Browser }> {
  const c = core(options)
  const ada = c.browser()
  await ada.login('ada')
  c.store.calls.length = c.events.length = 0
  return { c, ada }
}

/** Refreshes at the end of the grace period, `times` times, and empties the lists of calls and events. */
export async function rotate (c: Core, browser: Browser, times = 1): Promise<void> {
  for (let i = 0; i < times; i++) {
    c.wait(GRACE)
    const outcome = await browser.refresh()
    if (outcome.startsWith('FST_')) throw new Error(outcome)
  }
  c.store.calls.length = c.events.length = 0
}

/** A thief whose copy of the cookie the owner has replaced twice. */
export async function robbed (options: CoreOptions = {}): Promise<{ c: Core, ada: Browser, thief: Browser }> {
  const { c, ada } = await loggedIn(options)
  const thief = ada.copy()
  await rotate(c, ada, 2)
  return { c, ada, thief }
}

/** Resets the row of a browser's session to an earlier one, as a failover or a restored backup does. */
export async function restore (c: Core, browser: Browser, row: Session | null): Promise<void> {
  const { sid, gen } = held(c, browser)
  if (row === null || await c.store.advance(sid, gen, row) === null) throw new Error('there is no such row')
}

/** The claims of the refresh token of a browser. */
export function held ({ tokens }: Core, browser: Browser): RefreshClaims {
  return tokens.verifyRefresh(browser.cookie ?? '')?.claims as RefreshClaims // the browser holds a token of ours
}

/** The row of a browser's session. */
export function rowOf (core: Core, browser: Browser): Promise<Session | null> {
  return core.store.get(held(core, browser).sid)
}

/** The code of a refusal; any other error is rethrown. */
export function codeOf (error: unknown): AuthErrorCode {
  if (error instanceof AuthError) return error.code
  throw error
}
