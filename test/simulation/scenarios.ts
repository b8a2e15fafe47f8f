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

/** The access token's life: each tab refreshes when it is over, within a few seconds of the others. */
const ROUND: Seconds = 10 * MINUTE
const TABS_WITHIN: Seconds = 3

/** The owner's refreshes while being watched: at random, since people come and go. */
const OWNER_GAP: Seconds = 12 * MINUTE

/** How an honest person uses the app. */
export interface Use {
  readonly tabs: number
  readonly network: Network
  /** How long after a lost reply the tab comes back; at the next round only, where missing. */
  readonly backAfter?: Seconds
}

/** The honest people of the table that the simulation prints. */
export const USES: Record<string, Use> = {
  '3 tabs, perfect network': { tabs: 3, network: PERFECT },
  '8 tabs, bad network': { tabs: 8, network: BAD },
  'reply lost, back 5 min later': { tabs: 1, network: { ...PERFECT, lost: 0.01 }, backAfter: 5 * MINUTE }
}

/** Whether an honest person was logged out within so many rounds of refreshes. */
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

/** When a thief presents what was copied: the wait before each use. */
export type Habit = (random: SeededRandom) => Seconds

/** Thieves by their habits. */
export const HABITS: Record<string, Habit> = {
  random: random => random.gap(15 * MINUTE),
  polling: () => 10
}

/** How long after the theft a copied cookie is found; Infinity if owner and thief both go on for a thousand refreshes. */
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

/** What the list of sessions shows of one to whoever asks. */
export type View = (session: Session, asking: AccessClaims) => object

/** How often an informed thief asks the API for all it says. */
const POLL: Seconds = 10

/** How long before the end of an access token an informed thief gets the next, so as to be able to go on asking. */
const EARLY: Seconds = 2 * POLL

/**
 * How long after the theft an informed thief is found; Infinity if the owner refreshes a thousand times before. It keeps the copy that the owner has too, asks for
 * the list of sessions all the time, and presents the copy in the moment after something in the list has moved: within
 * grace it then gets what the owner has just got. Otherwise it presents the copy as seldom as it can.
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
    // Anything else than a replay is a token that the owner does not have, and which the owner's next refresh makes dead.
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

/** Whether a copy that is first used so long after the theft still gets in. */
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

/** Whether a thief who comes seconds after each of the owner's refreshes is found within so many of them. */
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
