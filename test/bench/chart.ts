/** One line of the chart. */
export interface Line {
  readonly name: string
  readonly points: ReadonlyArray<{ readonly size: number, readonly ratio: number }>
}

const WIDTH = 760
const HEIGHT = 400
/** The area of the lines; their names are to its right. */
const AREA = { left: 50, right: 520, top: 20, bottom: 350 } as const
const SIZES = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]
/** Colours that differ on white and on black, also for most colour-blind people. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00']
const GREY = '#808080'

/** Draws the cost of requests relative to the smallest size, as an SVG with a logarithmic axis for the size. */
export function chart (lines: readonly Line[]): string {
  const highest = Math.max(1.5, ...lines.flatMap(({ points }) => points.map(({ ratio }) => ratio)))
  const steps = Array.from({ length: Math.floor(highest / 0.5) + 1 }, (_, index) => index * 0.5)
  const x = (size: number): number => AREA.left + Math.log10(size) / 6 * (AREA.right - AREA.left)
  const y = (ratio: number): number => AREA.bottom - ratio / highest * (AREA.bottom - AREA.top)

  const grid = [
    ...steps.map(step => `<line x1="${AREA.left}" x2="${AREA.right}" y1="${round(y(step))}" y2="${round(y(step))}" stroke="${GREY}" stroke-opacity="0.25"/>` +
      `<text x="${AREA.left - 8}" y="${round(y(step) + 4)}" text-anchor="end">${step}×</text>`),
    ...SIZES.map(size => `<text x="${round(x(size))}" y="${AREA.bottom + 20}" text-anchor="middle">${shortly(size)}</text>`)
  ]
  const labels = apart(lines.map(({ points }) => y(points.at(-1)?.ratio ?? 0)))
  const drawn = lines.map(({ name, points }, index) => {
    const colour = COLOURS[index % COLOURS.length]
    const path = points.map(({ size, ratio }) => `${round(x(size))},${round(y(ratio))}`)
    const dots = path.map(point => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="3.5" fill="${colour}"/>`)
    const [end = '0,0'] = path.slice(-1)
    const label = labels[index] ?? 0
    return `<polyline points="${path.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join('')}` +
      `<line x1="${end.split(',')[0]}" y1="${end.split(',')[1]}" x2="${AREA.right + 8}" y2="${round(label)}" stroke="${colour}" stroke-opacity="0.4" stroke-dasharray="2 3"/>` +
      `<text x="${AREA.right + 12}" y="${round(label + 4)}" style="fill:${colour}">${name}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="The cost of a request beside its cost at the smallest size">
<style>text{font:13px system-ui,sans-serif;fill:${GREY}}</style>
${[...grid, ...drawn].join('\n')}
<text x="${(AREA.left + AREA.right) / 2}" y="${AREA.bottom + 42}" text-anchor="middle">how many there are</text>
</svg>
`
}

/** The heights of the labels: each at its line, or lower so that no two overlap. */
function apart (heights: readonly number[]): number[] {
  const order = [...heights.keys()].sort((one, other) => (heights[one] ?? 0) - (heights[other] ?? 0))
  const placed: number[] = []
  let next = Number.NEGATIVE_INFINITY
  for (const index of order) {
    placed[index] = Math.max(heights[index] ?? 0, next)
    next = placed[index] + 18
  }
  return placed
}

function shortly (size: number): string {
  return size >= 1_000_000 ? `${size / 1_000_000}M` : size >= 1000 ? `${size / 1000}k` : String(size)
}

function round (pixels: number): number {
  return Math.round(pixels * 10) / 10
}
