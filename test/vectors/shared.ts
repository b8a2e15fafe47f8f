import { existsSync, readFileSync } from 'node:fs'
import { type JsonWebKey } from 'node:crypto'

const FOLDER = '../shared/vectors'

/** The reason for skipping without the public vectors; false if they are available. */
export const withoutVectors = existsSync(FOLDER) ? false : `the public test vectors are not in ${FOLDER}`

/** A file of the public vectors. */
export function readVectors (name: string): string {
  return readFileSync(`${FOLDER}/${name}`, 'utf8')
}

/** A key or a key set, as in Wycheproof. */
export type WycheproofKey = JsonWebKey & { readonly kid?: string, readonly alg?: string, readonly keys?: readonly WycheproofKey[] }

/** A Wycheproof test group: https://github.com/C2SP/wycheproof */
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
