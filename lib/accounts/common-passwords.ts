/** What many people choose, in one spelling: see `folded`. */
export interface CommonPasswords {
  /** Each of them is among the first that are tried. */
  readonly all: ReadonlySet<string>
  /** The most common of those that are words. */
  readonly words: ReadonlySet<string>
  /** How long the longest is. */
  readonly longest: number
}

/** Shorter texts turn up in what was made by chance, too. */
export const SHORTEST_WORD = 4

/** Of so many words an attacker tries two together before most others. */
const MOST_COMMON = 500

/** Characters that stand for each other: each row is one letter. */
const LOOKALIKES = ['a@4', 'b8', 'e3€', 'g69', 'il1!|', 'o0', 's$5', 't7+', 'z2']

const LETTERS = new Map(LOOKALIKES.flatMap(row => [...row].map(character => [character, row.charAt(0)] as const)))

let loading: Promise<CommonPasswords> | undefined

/**
 * Loads the list of the package @zxcvbn-ts/language-common: 49,233 passwords, 5 MB of heap once it is loaded. A
 * dynamic import, for an app that never judges a password.
 */
export async function loadCommonPasswords (): Promise<CommonPasswords> {
  loading ??= import('@zxcvbn-ts/language-common').then(({ dictionary }) => readList(dictionary['passwords-common']))
  return await loading
}

/** A text in one spelling of its letters: lower case, look-alikes as the letter. It keeps its length. */
export function folded (text: string): string {
  let read = ''
  for (const character of text.toLowerCase()) read += LETTERS.get(character) ?? character
  return read
}

function readList (passwords: readonly string[]): CommonPasswords {
  const long = passwords.filter(({ length }) => length >= SHORTEST_WORD)
  const words = long.filter(password => /^[a-z]+$/.test(password)).slice(0, MOST_COMMON)
  return { all: new Set(long.map(folded)), words: new Set(words.map(folded)), longest: Math.max(...long.map(({ length }) => length)) }
}
