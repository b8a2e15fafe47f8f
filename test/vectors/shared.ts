import { existsSync, readFileSync } from 'node:fs'
import { type JsonWebKey } from 'node:crypto'

const FOLDER = '../shared/vectors'

/** What a test says that lacks the public vectors; false where they are there. */
export const withoutVectors = existsSync(FOLDER) ? false : `the public test vectors are not in ${FOLDER}`

/** A file of the public vectors. */
export function readVectors (name: string): string {
  return readFileSync(`${FOLDER}/${name}`, 'utf8')
}

/** A key or a set of them, as Wycheproof gives them. */
export type WycheproofKey = JsonWebKey & { readonly kid?: string, readonly alg?: string, readonly keys?: readonly WycheproofKey[] }

/** One of Wycheproof's groups of tests: https://github.com/C2SP/wycheproof */
export interface WycheproofGroup {
  readonly comment: string
  readonly private: WycheproofKey
  readonly public?: WycheproofKey
  readonly tests: ReadonlyArray<{ readonly tcId: number, readonly comment: string, readonly jws: string | object, readonly result: 'valid' | 'invalid' }>
}

/** The groups of a Wycheproof file. */
export function wycheproof (name: string): readonly WycheproofGroup[] {
  return JSON.parse(readVectors(name)).testGroups
}
