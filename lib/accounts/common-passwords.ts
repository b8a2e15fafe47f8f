/** Common passwords, folded: see `folded`. */
export interface CommonPasswords {
  readonly all: ReadonlySet<string>
  /** The most common ones that consist of letters. */
  readonly words: ReadonlySet<string>
  /** The length of the longest one. */
  readonly longest: number
}

/** Shorter texts also occur in random passwords. */
export const SHORTEST_WORD = 4

/** Attackers try pairs of this many words before most other guesses. */
const MOST_COMMON = 500

/** The word for password, and the most common ones, in scripts and languages that the list lacks. */
const OTHER_LANGUAGES = 'пароль парола лозинка любовь привет наташа максим андрей сергей дмитрий спартак россия солнышко κωδικος sifre パスワード 비밀번호 סיסמה'.split(' ')

/** Look-alike characters, Cyrillic letters among them: each row is folded to its first character. */
const LOOKALIKES = ['a@4а', 'b8', 'cс', 'dđ', 'e3€е', 'g69', 'il1!|łıі', 'o0øо', 'pр', 's$5', 't7+', 'xх', 'yу', 'z2']

const LETTERS = new Map(LOOKALIKES.flatMap(([letter, ...others]) => others.map(other => [other, letter] as const)))

const LOOKALIKE = new RegExp(`[${[...LETTERS.keys()].join('')}]`, 'g')

let loading: Promise<CommonPasswords> | undefined

/**
 * Loads the list of the package @zxcvbn-ts/language-common: 49,233 passwords, 5 MB of heap once it is loaded. The
 * first password that is set loads it, for processes that start often.
 */
export async function loadCommonPasswords (): Promise<CommonPasswords> {
  loading ??= import('@zxcvbn-ts/language-common').then(({ dictionary }) => readList([...OTHER_LANGUAGES, ...dictionary['passwords-common']]))
  return await loading
}

/** Folds a text to lower case and look-alikes to one letter. It keeps the length. */
export function folded (text: string): string {
  return text.toLowerCase().replace(LOOKALIKE, character => String(LETTERS.get(character)))
}

/** Folds all passwords at once: one by one takes five times as long. */
function readList (passwords: readonly string[]): CommonPasswords {
  const long = passwords.filter(({ length }) => length >= SHORTEST_WORD)
  const words = long.filter(password => /^[a-z]+$/.test(password)).slice(0, MOST_COMMON)
  const all = folded(long.join('\n')).split('\n')
  return { all: new Set(all), words: new Set(words.map(folded)), longest: Math.max(...all.map(({ length }) => length)) }
}
