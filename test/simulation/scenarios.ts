import assert from 'node:assert/strict'
import { type AccessClaims } from '../../lib/tokens/claims.js'
import { type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { type Session } from '../../lib/sessions/session.js'
import { type Seconds } from '../../lib/time.js'
import { type Browser } from '../support/core.js'
import { type SeededRandom } from '../support/seeded-random.js'
import { BAD, PERFECT, send, world, type Network } from './world.js'

type Policy = Partial<RotationPolicy>

const MINUTE: Seconds = 60
const HOUR: Seconds = 3600

/** The lifetime of the access token: each tab refreshes at its end, within a few seconds of the others. */
const ROUND: Seconds = 10 * MINUTE
const TABS_WITHIN: Seconds = 3

/** The owner's refreshes while being watched: at random times. */
const OWNER_GAP: Seconds = 12 * MINUTE

/** The behaviour of an honest user. */
export interface Use {
  readonly tabs: number
  readonly network: Network
  /** The delay after which the tab returns after a lost reply; by default at the next round. */
  readonly backAfter?: Seconds
}

/** The honest users of the table that the simulation prints. */
export const USES: Record<string, Use> = {
  '3 tabs, perfect network': { tabs: 3, network: PERFECT },
  '8 tabs, bad network': { tabs: 8, network: BAD },
  'reply lost, back 5 min later': { tabs: 1, network: { ...PERFECT, lost: 0.01 }, backAfter: 5 * MINUTE }
}

/** True if an honest user was logged out within this number of refreshes. */
export async function isLoggedOut (policy: Policy, { tabs, network, backAfter }: Use, rounds: number, seed: number): Promise<boolean> {
  const w = world(policy, seed)
  const ada = await w.login()
  let loggedOut = false

  w.after(ROUND, () => round(1))
  await w.run(() => loggedOut)
  return loggedOut

  function round (count: number): void {
    for (let tab = 0; tab < tabs; tab++) w.after(w.random.between(0, TABS_WITHIN), refresh)
    if (count < rounds) w.after(ROUND, () => round(count + 1))
  }

  function refresh (): void {
    send(w, ada, network, outcome => {
      loggedOut ||= isRefusal(outcome)
      if (outcome === 'lost' && backAfter !== undefined) w.after(backAfter, refresh)
    })
  }
}

/** The times at which an attacker uses the copy: the wait before each use. */
export type Habit = (random: SeededRandom) => Seconds

/** Attackers by their habits. */
export const HABITS: Record<string, Habit> = {
  random: random => random.gap(15 * MINUTE),
  polling: () => 10
}

/** The time from the theft to the detection of a copied cookie; Infinity if owner and attacker both continue for a thousand refreshes. */
export async function foundAfter (policy: Policy, habit: Habit, seed: number): Promise<Seconds> {
  const w = world(policy, seed)
  const ada = await w.login()
  const theft = w.random.between(HOUR, 2 * HOUR)
  let found = Infinity
  let left = 1000

  w.after(w.random.gap(OWNER_GAP), owner)
  w.after(theft, () => {
    const thief = ada.copy()
    w.after(habit(w.random), function again () { return use(thief, () => w.after(habit(w.random), again)) })
  })
  await w.run(() => found < Infinity || left === 0)
  return found

  function owner (): Promise<void> {
    return use(ada, () => w.after(w.random.gap(OWNER_GAP), owner))
  }

  async function use (browser: typeof ada, goOn: () => void): Promise<void> {
    const outcome = await browser.refresh()
    if (outcome === 'FST_AUTH_REFRESH_TOKEN_REUSED') found = w.now() - theft
    else if (!isRefusal(outcome)) goOn()
    left--
  }
}

/** The session list as shown to a caller. */
export type View = (session: Session, asking: AccessClaims) => object

/** The polling interval of an informed attacker. */
const POLL: Seconds = 10

/** The time before the expiry of an access token at which an informed attacker gets the next one, to continue polling. */
const EARLY: Seconds = 2 * POLL

/**
 * The time from the theft to the detection of an informed attacker; Infinity after a thousand refreshes of the owner. It keeps the same copy as the owner, polls
 * the session list, and uses the copy right after the list has changed: within the grace period it then gets the token
 * that the owner has just received. Otherwise it uses the copy as rarely as possible.
 */
export async function informedFoundAfter (policy: Policy, view: View, seed: number): Promise<Seconds> {
  const w = world(policy, seed)
  const ada = await w.login()
  const theft = w.random.between(HOUR, 2 * HOUR)
  let found = Infinity
  let left = 1000 // refreshes of the owner

  w.after(w.random.gap(OWNER_GAP), owner)
  w.after(theft, () => present(ada.copy()))
  await w.run(() => found < Infinity || left === 0)
  return found

  async function owner (): Promise<void> {
    left--
    const outcome = await ada.refresh()
    if (!isOver(outcome)) w.after(w.random.gap(OWNER_GAP), owner)
  }

  async function present (copy: Browser): Promise<void> {
    const answer = await copy.send()
    if (isOver(answer.outcome)) return
    // Any outcome except a replay is a token that the owner does not have, and that the owner's next refresh invalidates.
    if (answer.outcome === 'replay') copy.receive(answer)
    const { claims } = answer.issued ?? assert.fail()
    const answered = w.now()
    const before = await look(claims)
    w.after(POLL, async function poll () {
      const moved = await look(claims) !== before
      if (moved || w.now() - answered >= claims.exp - claims.iat - EARLY) return await present(copy)
      w.after(POLL, poll)
    })
  }

  async function look (asking: AccessClaims): Promise<string> {
    return JSON.stringify((await w.sessions()).map(session => view(session, asking)))
  }

  function isOver (outcome: string): boolean {
    if (outcome === 'FST_AUTH_REFRESH_TOKEN_REUSED') found = Math.min(found, w.now() - theft)
    return isRefusal(outcome)
  }
}

/** True if a copy that is first used this long after the theft is accepted. */
export async function getsIn (policy: Policy, wait: Seconds, seed: number): Promise<boolean> {
  const w = world(policy, seed)
  const ada = await w.login()
  let outcome: string | undefined

  w.after(w.random.gap(OWNER_GAP), async function owner () {
    await ada.refresh()
    w.after(w.random.gap(OWNER_GAP), owner)
  })
  w.after(w.random.between(HOUR, 2 * HOUR), () => {
    const thief = ada.copy()
    w.after(wait, async () => { outcome = await thief.refresh() })
  })
  await w.run(() => outcome !== undefined)
  return !isRefusal(outcome ?? '')
}

/** True if an attacker who refreshes seconds after each refresh of the owner is detected within this number of them. */
export async function isFollowerFound (policy: Policy, rounds: number, seed: number): Promise<boolean> {
  const w = world(policy, seed)
  const ada = await w.login()
  const thief = ada.copy()
  let found = false
  const use = async (browser: typeof ada): Promise<void> => { found ||= isRefusal(await browser.refresh()) }

  for (let round = 1; round <= rounds; round++) {
    w.after(round * ROUND, () => use(ada))
    w.after(round * ROUND + w.random.between(1, 5), () => use(thief))
  }
  await w.run(() => found)
  return found
}

function isRefusal (outcome: string): boolean {
  return outcome.startsWith('FST_AUTH_')
}
