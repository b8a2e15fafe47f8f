/** Random numbers that are the same in every run. */
export interface SeededRandom {
  /** From `low` up to `high`, exclusive. */
  between (low: number, high: number): number
  /** True in `share` of all cases. */
  chance (share: number): boolean
  /** The gap to the next of random events with `mean` as their average distance. */
  gap (mean: number): number
}

/** The generator mulberry32, started from a seed. */
export function seededRandom (seed: number): SeededRandom {
  let state = seed >>> 0
  return {
    between: (low, high) => low + next() * (high - low),
    chance: share => next() < share,
    gap: mean => -Math.log(1 - next()) * mean
  }

  function next (): number {
    state = (state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}
