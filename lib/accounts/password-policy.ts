import { startDeadline, type Timeouts } from '../deadline.js'
import { redactErrors } from '../redaction.js'
import { AuthError } from '../errors.js'

/** The owner of a password, as far as known. */
export interface PasswordOwner {
  /** The normalised username. */
  readonly username?: string
}

/**
 * The app's own rule, e.g. a look-up among breached passwords. True or undefined accepts, anything else refuses: a text is then
 * the message of the reply, such as 'The password must have a digit'. It gets the password in Unicode NFC, and must not put it into
 * the text. If it throws or takes too long, the reply is 503.
 */
export type PasswordCheck = (password: string, owner: PasswordOwner) => Promise<boolean | string | void> | boolean | string | void

export interface PasswordRules {
  /** The minimum length in characters (Unicode code points). */
  readonly minLength: number
  readonly check: PasswordCheck | undefined
  /** Words that attackers know, such as the issuer. */
  readonly contextWords: readonly string[]
}

/**
 * Checks a new password: its length in code points, the guesses that attackers try first, then the app's own rule. There
 * are no composition rules (NIST SP 800-63B section 3.1.1.2). Throws FST_AUTH_PASSWORD_REFUSED with the message of the rule,
 * FST_AUTH_STORE_UNAVAILABLE if the app's rule fails.
 */
export async function assertPolicy (text: string, owner: PasswordOwner, rules: PasswordRules, timeouts: Timeouts): Promise<void> {
  const { minLength, check, contextWords } = rules
  if ([...text].length < minLength) throw passwordRefused(`The password must have at least ${minLength} characters`)
  if (isGuessable(text, [owner.username ?? '', ...contextWords], await loadCommonPasswords())) throw passwordRefused('The password is too easy to guess: choose another')
  if (check === undefined) return
  const verdict = await startDeadline(timeouts)(() => redactErrors([text], () => check(text, owner)))
  if (verdict === true || verdict === undefined) return
  const isMessage = typeof verdict === 'string' && verdict !== '' && !verdict.includes(text) // the message is logged
  throw passwordRefused(isMessage ? verdict : 'The password is not accepted here: choose another')
}

export function passwordRefused (message: string): AuthError {
  return new AuthError('FST_AUTH_PASSWORD_REFUSED', { message })
}

/** Common passwords, folded: see `folded`. */
interface CommonPasswords {
  readonly all: ReadonlySet<string>
  /** The most common ones that consist of letters. */
  readonly words: ReadonlySet<string>
  /** The length of the longest one. */
  readonly longest: number
}

/** Shorter texts also occur in random passwords. */
const SHORTEST_WORD = 4

/** Attackers try pairs of this many words before most other guesses. */
const MOST_COMMON = 500

/** The word for password, and the most common ones, in scripts and languages that the list lacks. */
const OTHER_LANGUAGES = 'пароль парола лозинка любовь привет наташа максим андрей сергей дмитрий спартак россия солнышко κωδικος sifre パスワード 비밀번호 סיסמה'.split(' ')

/** Look-alike characters, Cyrillic letters among them: each row is folded to its first character. */
const LOOKALIKES = ['a@4а', 'b8', 'cс', 'dđ', 'e3€е', 'g69', 'il1!|łıі', 'o0øо', 'pр', 's$5', 't7+', 'xх', 'yу', 'z2']

const LETTERS = new Map(LOOKALIKES.flatMap(([letter, ...others]) => others.map(other => [other, letter] as const)))

const LOOKALIKE = new RegExp(`[${[...LETTERS.keys()].join('')}]`, 'g')

let list: CommonPasswords | undefined

/**
 * Loads the list of the package @zxcvbn-ts/language-common: 49,233 passwords, 5 MB of heap once it is loaded. The
 * first password that is set loads it, for processes that start often.
 */
export async function loadCommonPasswords (): Promise<CommonPasswords> {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  list ??= readList([...OTHER_LANGUAGES, ...dictionary['passwords-common']])
  return list
}

/** Folds a text to lower case and look-alikes to one letter. It keeps the length. */
function folded (text: string): string {
  return text.toLowerCase().replace(LOOKALIKE, character => String(LETTERS.get(character)))
}

/** Folds all passwords at once: one by one takes five times as long. */
function readList (passwords: readonly string[]): CommonPasswords {
  const long = passwords.filter(({ length }) => length >= SHORTEST_WORD)
  const words = long.filter(password => /^[a-z]+$/.test(password)).slice(0, MOST_COMMON)
  const all = folded(long.join('\n')).split('\n')
  return { all: new Set(all), words: new Set(words.map(folded)), longest: Math.max(...all.map(({ length }) => length)) }
}

/** Attackers try passwords of fewer pieces first, whatever their length. */
const FEWEST_PIECES = 5

/** This many different words are a good password by themselves. */
const FEWEST_WORDS = 4

/** A shorter text would be too short for a password, however often it is repeated. */
const SHORTEST_UNIT = 8

/** Shorter runs also occur in random passwords. */
const SHORTEST_RUN = 3

/** Parts of dates, as of a birth or of the last password change: years from 1950 on, months, days and seasons. */
const DATES = new Set([
  ...Array.from({ length: 100 }, (_, index) => String(1950 + index)),
  ...('january february march april may june july august september october november december ' +
    'monday tuesday wednesday thursday friday saturday sunday spring summer autumn winter').split(' ')
].map(folded))

/** Rows, columns and zigzags of keyboards, the alphabet and the digits: people type along them. */
const TRACKS = [
  'abcdefghijklmnopqrstuvwxyz', '1234567890', '0123456789',
  'qwertyuiopasdfghjklzxcvbnm', 'qwertzuiopasdfghjklyxcvbnm', 'azertyuiopqsdfghjklmwxcvbn',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p', 'qazwsxedcrfvtgbyhnujmikolp', '1q2w3e4r5t6y7u8i9o0p', 'q1w2e3r4t5y6u7i8o9p0',
  '147258369', '741852963', '!@#$%^&*()', 'йцукенгшщзхъфывапролджэячсмитьбю'
]

/** For each track, the index of each of its characters. */
const PLACES = TRACKS.map(track => new Map([...track].map((character, place) => [character, place])))

/** A date in any order of year, month and day. */
const DATE = /^(?:(?:19|20)\d\d(?:[\s./-]?\d\d?){2}|(?:\d\d?[\s./-]?){2}(?:19|20)\d\d)$/

/** Invisible characters, and the accents of Latin letters: nobody guesses more because of them. */
const UNREAD = /\p{Cf}|(?<=[a-z]\p{M}*)\p{M}/gu

const SEPARATORS = /[\s\p{P}]+/gu

/**
 * True for a password that attackers try first: a common password in any case, with look-alikes and with digits and signs
 * around it; or common words, words that attackers know (`known`: the username, the issuer), repetitions and keyboard
 * runs with hardly anything else.
 */
export function isGuessable (password: string, known: readonly string[], common: CommonPasswords): boolean {
  const text = readable(password)
  const compact = text.replace(SEPARATORS, '')
  if (DATE.test(text.trim()) || common.all.has(folded(repeatedUnit(compact)))) return true
  const letters = /\p{L}(.*\p{L})?/su.exec(text)?.[0] ?? ''
  const unit = repeatedUnit(compact) === compact ? repeatedUnit(text) : repeatedUnit(compact)
  if (unit !== text && unit !== compact && unit.length < SHORTEST_UNIT) return true
  if ([unit, repeatedUnit(letters)].some(read => common.all.has(folded(read))) || isCommon(text, text.indexOf(letters), letters.length, common)) return true
  return !hasPieces(unit, new Set([...known.flatMap(partsOf).map(folded), ...DATES]), common.words)
}

/**
 * True for a common password with any digits and signs around it, some of which may be look-alikes. `first` is the index of
 * its first letter.
 */
function isCommon (text: string, first: number, letters: number, { all, longest }: CommonPasswords): boolean {
  const read = folded(text)
  const end = first + letters
  if (letters === 0) return all.has(read) || holdsCommonNumber(text, all)
  for (let from = Math.max(0, end - longest); from <= first; from++) {
    for (let to = end; to <= Math.min(text.length, from + longest); to++) {
      if (to - from >= SHORTEST_WORD && all.has(read.slice(from, to))) return true
    }
  }
  return false
}

/** Shorter and longer numbers are not looked for, nor those with more characters around them. */
const SHORTEST_NUMBER = 6
const LONGEST_NUMBER = 12
const MOST_AROUND = 7

const DIGITS = /^\d+$/

/** True if a text without letters has a common number in it, and little else: random numbers have short common ones too. */
function holdsCommonNumber (text: string, all: ReadonlySet<string>): boolean {
  for (let from = 0; from < text.length; from++) {
    for (let to = from + Math.max(SHORTEST_NUMBER, text.length - MOST_AROUND); to <= Math.min(text.length, from + LONGEST_NUMBER); to++) {
      const number = text.slice(from, to)
      if (DIGITS.test(number) && all.has(folded(number))) return true
    }
  }
  return false
}

/**
 * True if a text has enough pieces. A piece is a word, a run, or one character. A word of the user, such as a part of the name or
 * a date, counts once, and the sign behind it does not.
 */
function hasPieces (text: string, personal: ReadonlySet<string>, common: ReadonlySet<string>): boolean {
  const read = folded(text)
  const longest = Math.max(...[...personal, ...common].map(({ length }) => length))
  const found = new Set<string>()
  let pieces = 0
  let at = 0
  while (at < text.length && pieces < FEWEST_PIECES && found.size < FEWEST_WORDS) {
    const word = wordAt(read, at, [personal, common], longest)
    const isPersonal = word !== '' && personal.has(word)
    if (!isPersonal || !found.has(word)) pieces++
    if (word !== '') found.add(word)
    at += Math.max(1, word.length, runLength(text, at))
    if (isPersonal && SIGN.test(text.charAt(at))) at++
  }
  return pieces >= FEWEST_PIECES || found.size >= FEWEST_WORDS
}

const SIGN = /[^\p{L}\p{N}]/u

/** The longest word at an index; empty if there is none. */
function wordAt (text: string, at: number, words: ReadonlyArray<ReadonlySet<string>>, longest: number): string {
  for (let length = Math.min(longest, text.length - at); length > 0; length--) {
    const candidate = text.slice(at, at + length)
    if (words.some(set => set.has(candidate))) return candidate
  }
  return ''
}

/**
 * The length of the run at an index: each character is the same as the one before, or its neighbour on one track. 1 if there
 * is no run.
 */
function runLength (text: string, at: number): number {
  const longest = Math.max(...PLACES.map(places => {
    let length = 1
    while (at + length < text.length && isStep(places, text.charAt(at + length - 1), text.charAt(at + length))) length++
    return length
  }))
  return longest < SHORTEST_RUN ? 1 : longest
}

function isStep (places: ReadonlyMap<string, number>, from: string, to: string): boolean {
  if (from === to) return true
  const [one, other] = [places.get(from), places.get(to)]
  return one !== undefined && other !== undefined && Math.abs(one - other) === 1
}

/** The unit that a text repeats, e.g. `ha` of `hahaha`; the text itself if it repeats nothing. */
function repeatedUnit (text: string): string {
  return text.slice(0, (text + text).indexOf(text, 1))
}

/** A text without case, invisible characters and the accents of Latin letters. */
function readable (text: string): string {
  return text.normalize('NFKD').toLowerCase().replace(UNREAD, '').normalize('NFC')
}

/** A name and its parts, e.g. those of an e-mail address or a URL. */
function partsOf (name: string): string[] {
  const whole = readable(name)
  return [whole, ...whole.split(/[^\p{L}\p{N}]+/u)]
}
