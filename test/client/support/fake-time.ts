import { type Test } from 'tap'

interface Timer { readonly at: number, readonly run: () => void }

/** 2030-01-01T00:00:00Z, in milliseconds as Date.now() counts. */
const START = 1_893_456_000_000

/** The platform's time, which only the test moves. */
export interface FakeTime {
  /** As Date.now(). */
  now (): number
  /** Moves the time, and runs the timers that come due, in order. */
  advance (milliseconds: number): Promise<void>
  /** Moves Date.now() only, without timers: the machine slept, or its clock was set. */
  set (milliseconds: number): void
}

/** Waits until all tasks and microtasks without a timer have run. */
export async function idle (): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** Replaces Date.now(), setTimeout and AbortSignal.timeout until `t` ends. */
export function fakeTime (t: Test): FakeTime {
  const timers = new Set<Timer>()
  let time = 0
  let offset = START

  const later = (run: () => void, milliseconds = 0): void => {
    timers.add({ at: time + milliseconds, run })
  }
  const next = (end: number): Timer | undefined =>
    [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]

  replace(t, Date, 'now', () => offset + time)
  replace(t, globalThis, 'setTimeout', later)
  replace(t, AbortSignal, 'timeout', (milliseconds: number) => {
    const controller = new AbortController()
    later(() => controller.abort(new DOMException('The operation timed out', 'TimeoutError')), milliseconds)
    return controller.signal
  })

  return {
    now: () => offset + time,
    set (milliseconds) { offset += milliseconds },
    async advance (milliseconds) {
      const end = time + milliseconds
      await idle()
      for (let timer = next(end); timer !== undefined; timer = next(end)) {
        timers.delete(timer)
        time = timer.at
        timer.run()
        await idle()
      }
      time = end
      await idle()
    }
  }
}

/** Gives an object another value, until `t` ends. */
export function replace (t: Test, object: object, key: string, value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(object, key)
  Object.defineProperty(object, key, { value, configurable: true, writable: true, enumerable: true })
  t.teardown(() => {
    if (before === undefined) Reflect.deleteProperty(object, key)
    else Object.defineProperty(object, key, before)
  })
}
