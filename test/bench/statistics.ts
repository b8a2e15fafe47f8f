/** The middle one of some numbers, or the mean of the two in the middle. */
export function median (numbers: readonly number[]): number {
  return quantile(numbers, 0.5)
}

/** The number below which `share` of the numbers lie, interpolated between neighbours; NaN without numbers. */
export function quantile (numbers: readonly number[], share: number): number {
  const sorted = [...numbers].sort((one, other) => one - other)
  const at = (sorted.length - 1) * share
  const [below = Number.NaN, above = below] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]]
  return below + (above - below) * (at - Math.floor(at))
}

/** The duration of some work, in milliseconds. */
export async function timed (work: () => Promise<unknown>): Promise<number> {
  const start = process.hrtime.bigint()
  await work()
  return Number(process.hrtime.bigint() - start) / 1e6
}
