import { type RotationPolicy } from '../../lib/sessions/rotation-policy.js'
import { type Session } from '../../lib/sessions/session.js'
import { type Seconds } from '../../lib/time.js'
import { core, type Browser } from '../support/core.js'
import { seededRandom, type SeededRandom } from '../support/seeded-random.js'

/** A world with its own time, in which the real core answers and everything else is drawn by lot. */
export interface World {
  readonly random: SeededRandom
  /** Seconds since the world began. */
  now (): Seconds
  /** Lets something happen after a while. */
  after (wait: Seconds, act: () => Promise<void> | void): void
  /** Lets things happen, each at its time, until nothing is left or `over` says so. */
  run (over?: () => boolean): Promise<void>
  /** A browser of Ada's, logged in. */
  login (): Promise<Browser>
  /** Ada's sessions, before the API shows them to anybody. */
  sessions (): Promise<Session[]>
}

/** Builds a world around one policy of rotation. The same seed gives the same history. */
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

/** What the way between browser and server does to a request and its reply. */
export interface Network {
  /** The usual delay each way, at most. */
  readonly latency: Seconds
  /** The share of messages that are slow, and how slow they are at most. */
  readonly slow: readonly [share: number, upTo: Seconds]
  /** The share of replies that never arrive. */
  readonly lost: number
}

/** A network on which every reply arrives at once. */
export const PERFECT: Network = { latency: 0.2, slow: [0, 0], lost: 0 }

/** A network as phones have it on a train. */
export const BAD: Network = { latency: 1.5, slow: [0.01, 20], lost: 0.01 }

/** Sends a browser's cookie as it is now; the reply sets its cookie when it arrives, if it arrives. Tells whether it did, and when it is known. */
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
