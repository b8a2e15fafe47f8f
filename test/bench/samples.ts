import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { median } from './statistics.js'

/** One measurement of a subject. */
export interface Sample {
  /** The server's processor time per request in microseconds. It decides, since it depends least on other work on the machine. */
  readonly cpu: number
  /** Requests per second of real time; null without requests. */
  readonly rate: number | null
}

/** The samples of subjects by name. The nth samples of two subjects are of the same round. */
export type Samples = Record<string, Sample[]>

/** A subject and its reference; `aim` is the intended ratio of their costs. */
export interface Row {
  readonly subject: string
  readonly reference: string
  readonly aim?: number
}

/** Adds the samples of a run to a file, which is created if it is missing, so that a table can show several runs. */
export function addTo (file: string, samples: Samples): Samples {
  const known: Samples = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
  for (const [name, added] of Object.entries(samples)) (known[name] ??= []).push(...added)
  writeFileSync(file, JSON.stringify(known))
  return known
}

/** The table in Markdown: medians, and the range of the ratio over the rounds. */
export function table (rows: readonly Row[], samples: Samples): string {
  return [
    '| what | beside | µs a request | beside it | a second | beside it | ratio (least to most) | aim |',
    '|---|---|---:|---:|---:|---:|---|---|',
    ...rows.map(row => line(row, samples[row.subject] ?? [], samples[row.reference] ?? []))
  ].join('\n')
}

function line ({ subject, reference, aim }: Row, own: readonly Sample[], other: readonly Sample[]): string {
  const ratios = own.map(({ cpu }, round) => (other[round]?.cpu ?? Number.NaN) / cpu)
  const ratio = median(ratios)
  const spread = `${ratio.toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`
  const goal = aim === undefined ? '' : `${aim}: ${ratio >= aim ? 'met' : 'missed'}`
  return `| ${[subject, reference, cpuOf(own), cpuOf(other), rateOf(own), rateOf(other), spread, goal].join(' | ')} |`
}

function cpuOf (samples: readonly Sample[]): string {
  return median(samples.map(({ cpu }) => cpu)).toLocaleString('en', { maximumSignificantDigits: 3 })
}

function rateOf (samples: readonly Sample[]): string {
  const rates = samples.flatMap(({ rate }) => rate ?? [])
  return rates.length === 0 ? '' : median(rates).toLocaleString('en', { maximumSignificantDigits: 3 })
}
