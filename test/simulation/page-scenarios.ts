import { type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { type Seconds } from '../../lib/time.js'
import { type Browser } from '../support/core.js'
import { type Habit } from './scenarios.js'
import { send, world, type Network } from './world.js'

type Policy = Partial<RotationPolicy>

const MINUTE: Seconds = 60

/** The components that a page renders in parallel, each of which identifies the user. */
const COMPONENTS = 6

/** Requests take this long at most from the browser through the renderer to the API. */
const RENDERING: Seconds = 5

/** The result of honest navigations. */
export interface Navigations {
  /** Page requests that were refused. */
  readonly refused: number
  readonly views: number
  readonly rotations: number
}

/**
 * A user with several tabs of a server-rendered app. Each navigation renews once in the middleware, over a network that loses
 * replies, while its components identify the user in parallel: with the cookie of the request, old or new.
 */
export async function navigate (policy: Policy, { tabs, network, gap }: { tabs: number, network: Network, gap: Seconds }, navigations: number, seed: number): Promise<Navigations> {
  const w = world(policy, seed)
  const ada = await w.login()
  const result = { refused: 0, views: 0, rotations: 0 }

  for (let tab = 0; tab < tabs; tab++) {
    let at = 0
    for (let n = 0; n < navigations; n++) {
      at += w.random.gap(gap)
      w.after(at, visit)
    }
  }
  await w.run()
  return result

  function visit (): void {
    const sent = ada.copy()
    for (let n = 0; n < COMPONENTS; n++) w.after(w.random.between(0, RENDERING), () => view(sent))
    send(w, ada, network, outcome => {
      if (['rotate', 'recover'].includes(outcome)) result.rotations++
      if (outcome.startsWith('FST_AUTH_')) result.refused++
      const renewed = ada.copy()
      for (let n = 0; n < COMPONENTS; n++) w.after(w.random.between(0, RENDERING), () => view(renewed))
    })
  }

  async function view (browser: Browser): Promise<void> {
    result.views++
    if (typeof await browser.identify() === 'string') result.refused++
  }
}

/** The detection of an attacker who has a copy of the cookie. */
export interface Detection {
  /** From the theft; Infinity if it is not detected within a thousand refreshes of the owner. */
  readonly found: Seconds
  /** Rotations by the owner from the theft to the detection. */
  readonly rotations: number
}

/**
 * The detection of an attacker who uses a copied cookie. With `verb` 'identify' it only reads pages; with 'refresh' it keeps the newest
 * token; with 'both' it reads pages, too, before each refresh.
 */
export async function detect (policy: Policy, verb: 'identify' | 'refresh' | 'both', habit: Habit, seed: number): Promise<Detection> {
  const w = world(policy, seed)
  const ada = await w.login()
  const theft = w.random.between(60 * MINUTE, 120 * MINUTE)
  let found = Infinity
  let left = 1000
  let rotations = 0

  w.after(w.random.gap(12 * MINUTE), owner)
  w.after(theft, () => {
    const thief = ada.copy()
    w.after(habit(w.random), async function again () {
      if (verb !== 'refresh') note(await thief.identify())
      if (verb !== 'identify' && found === Infinity) note(await thief.refresh())
      w.after(habit(w.random), again)
    })
  })
  await w.run(() => found < Infinity || left === 0)
  return { found, rotations }

  async function owner (): Promise<void> {
    left--
    const outcome = await ada.refresh()
    if (w.now() > theft && outcome === 'rotate') rotations++
    note(outcome)
    w.after(w.random.gap(12 * MINUTE), owner)
  }

  function note (answer: unknown): void {
    if (answer === 'FST_AUTH_REFRESH_TOKEN_REUSED') found = Math.min(found, w.now() - theft)
  }
}
