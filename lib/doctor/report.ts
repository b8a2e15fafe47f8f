/** Replaces control characters, with which a server could control the terminal. */
export function printable (text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 300)
}

const LABELS = { ok: 'ok', skipped: '-', finding: 'FINDING' } as const

/** A table with the advice below each finding. */
export function formatTable (url: string, rows: readonly Row[]): string {
  const line = (check: string, result: string, text: string): string => `${check.padEnd(16)}${result.padEnd(9)}${text}`
  const findings = count(rows, 'finding')
  return [
    url,
    '',
    ...rows.flatMap(row => [
      line(row.check, LABELS[row.result], printable(row.seen)),
      ...(row.result === 'finding' ? [line('', '', `→ ${printable(row.advice)}`)] : [])
    ]),
    '',
    `${findings} ${findings === 1 ? 'finding' : 'findings'}, ${count(rows, 'ok')} ok, ${count(rows, 'skipped')} not checked`
  ].join('\n')
}

/** JSON in ASCII: `JSON.stringify` leaves C1 control and bidirectional characters as they are. */
export function formatJson (url: string, rows: readonly Row[]): string {
  return JSON.stringify({ url, findings: count(rows, 'finding'), checks: rows }, null, 2).replace(/[^\n\x20-\x7e]/g, escapeUnit)
}

function escapeUnit (unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function count (rows: readonly Row[], result: Row['result']): number {
  return rows.filter(row => row.result === result).length
}

/** The result of one check. */
export type Verdict =
  | { readonly result: 'ok' | 'skipped', readonly seen: string }
  | { readonly result: 'finding', readonly seen: string, readonly advice: string }

/** A line of the report. */
export type Row = Verdict & { readonly check: string }

export function ok (seen: string): Verdict {
  return { result: 'ok', seen }
}

export function skipped (seen: string): Verdict {
  return { result: 'skipped', seen }
}

export function finding (seen: string, advice: string): Verdict {
  return { result: 'finding', seen, advice }
}
