import { type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { type Session } from '../../lib/sessions/session.js'
import { type Seconds } from '../../lib/time.js'
import { core, type Browser } from '../support/core.js'
import { seededRandom, type SeededRandom } from '../support/seeded-random.js'

/** A simulated world with its own time, in which the real session service answers and everything else is random. */
export interface World {
  readonly random: SeededRandom
  /** Seconds since the start of the world. */
  now (): Seconds
  /** Schedules an event. */
  after (wait: Seconds, act: () => Promise<void> | void): void
  /** Runs the scheduled events in order, until none is left or `over` returns true. */
  run (over?: () => boolean): Promise<void>
  /** A logged-in browser of Ada. */
  login (): Promise<Browser>
  /** Ada's sessions, before they are shown by the API. */
  sessions (): Promise<Session[]>
}

/** Creates a world with one rotation policy. The same seed gives the same history. */
export function world (policy: Partial<RotationPolicy>, seed: number): World {
  const { browser, clock, wait, sessions, context } = core({ policy })
  const begin = clock()
  const agenda: Array<{ time: number, act: () => Promise<void> | void }> = []

  return {
    random: seededRandom(seed),
    now: () => clock() - begin,

    after (delay, act) {
      const time = clock() + delay
      const at = agenda.findLastIndex(other => other.time <= time)
      agenda.splice(at + 1, 0, { time, act })
    },

    async run (over = () => false) {
      for (let next = agenda.shift(); next !== undefined; next = agenda.shift()) {
        wait(next.time - clock())
        await next.act()
        if (over()) return
      }
    },

    async login () {
      const ada = browser()
      await ada.login('ada')
      return ada
    },

    sessions: () => sessions.list('ada', context())
  }
}

/** The effect of the network on a request and its reply. */
export interface Network {
  /** The largest usual delay in each direction. */
  readonly latency: Seconds
  /** The share of slow messages, and their largest delay. */
  readonly slow: readonly [share: number, upTo: Seconds]
  /** The share of lost replies. */
  readonly lost: number
}

/** A network that delivers every reply at once. */
export const PERFECT: Network = { latency: 0.2, slow: [0, 0], lost: 0 }

/** A mobile network on a train. */
export const BAD: Network = { latency: 1.5, slow: [0.01, 20], lost: 0.01 }

/** Sends a browser's current cookie; the reply, if it arrives, sets its cookie. Calls `told` with the outcome, or with 'lost'. */
export function send ({ random, after }: World, browser: Browser, network: Network, told: (outcome: string) => void): void {
  const carried = browser.copy()
  const delay = (): Seconds => random.chance(network.slow[0]) ? random.between(0, network.slow[1]) : random.between(0, network.latency)
  after(delay(), async () => {
    const answer = await carried.send()
    if (random.chance(network.lost)) {
      told('lost')
      return
    }
    after(delay(), () => {
      browser.receive(answer)
      told(answer.outcome)
    })
  })
}
