import { readdirSync, readFileSync } from 'node:fs'

/** A page of the documentation, by its path in the repository. */
export interface Page {
  readonly path: string
  readonly text: string
}

/** The README, then every page of docs/. */
export const PAGES: readonly Page[] = ['README.md', ...readdirSync('docs').filter(name => name.endsWith('.md')).sort().map(name => `docs/${name}`)].map(read)

/** All pages as one text, to find what they print. */
export const DOCUMENTATION: string = PAGES.map(({ text }) => text).join('\n\n')

export function read (path: string): Page {
  return { path, text: readFileSync(path, 'utf8') }
}

/** The cells of the table whose header starts with these cells; no rows if there is none. */
export function rowsUnder (...header: readonly string[]): string[][] {
  const start = `| ${header.join(' | ')} |`
  const table = DOCUMENTATION.split('\n\n').find(paragraph => paragraph.startsWith(start)) ?? ''
  const [, , ...rows] = table.trimEnd().split('\n')
  return rows.map(row => row.split(/(?<!\\)\|/).slice(1, -1).map(cell => cell.trim()))
}
