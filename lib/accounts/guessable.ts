/** A password of fewer pieces than this is among the first that are tried, whatever its length. */
const FEWEST_PIECES = 5

/** Two neighbours turn up in what was made by chance, too. */
const SHORTEST_RUN = 3

/** What people choose most; each counts as one piece, with its letters in upper or lower case or replaced as in `p@ssw0rd`. */
const COMMON_WORDS = `
  pass passwd password passwort passphrase passe motdepasse contrasena senha parola wachtwoord
  access account admin administrator change changeme company computer default demo enter guest hacker internet letmein login
  manager master office root secret secure security server service support system temp temporary test tester testing user
  welcome whatever
  angel baby babygirl beautiful butterfly darling family forever freedom friend friends hallo happy hello honey iloveyou
  love loveme lovely lover please princess sunshine sweetheart trustno
  january february march april may june july august september october november december
  monday tuesday wednesday thursday friday saturday sunday spring summer autumn winter
  dolphin dragon eagle elephant kitten monkey mustang panther phoenix spider tiger
  arsenal barcelona baseball basketball champion chelsea football hockey juventus liverpool soccer tennis
  batman matrix minecraft naruto pokemon spiderman starwars superman wizard
  alexander andrew anthony ashley benjamin charlie christian daniel elizabeth hannah jasmine jennifer jessica jesus jordan
  joshua justin matthew michael michelle nicole samantha taylor thomas victoria william
  facebook ferrari google mercedes microsoft porsche samsung windows
  banana black blue cheese chocolate cookie diamond flower ginger green orange pepper purple rainbow silver sunflower yellow
  hunter killer shadow thunder`.trim().split(/\s+/)

/** From 1950 on: of birth, or of the last change of the password. */
const YEARS = Array.from({ length: 100 }, (_, index) => String(1950 + index))

/** Rows, columns and zigzags of keyboards, the alphabet and the digits: neighbours are typed without thinking. */
const TRACKS = [
  'abcdefghijklmnopqrstuvwxyz', '1234567890', '0123456789',
  'qwertyuiopasdfghjklzxcvbnm', 'qwertzuiopasdfghjklyxcvbnm', 'azertyuiopqsdfghjklmwxcvbn',
  '1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p', 'qazwsxedcrfvtgbyhnujmikolp', '1q2w3e4r5t6y7u8i9o0p', 'q1w2e3r4t5y6u7i8o9p0',
  '147258369', '741852963', '!@#$%^&*()'
]

const LOOKALIKES: Readonly<Record<string, string>> = { '@': 'a', 4: 'a', 3: 'e', 1: 'i', '!': 'i', 0: 'o', $: 's', 5: 's', 7: 't' }

/**
 * Whether a password is among the first that are tried: made of common words, of words that anybody can know
 * (`known`: the username, the app's name), of repetitions and of runs along the keyboard, with hardly anything else.
 */
export function isGuessable (password: string, known: readonly string[]): boolean {
  const text = password.toLowerCase()
  const words = [...known.flatMap(partsOf), ...COMMON_WORDS, ...YEARS]
  return !hasPieces(repeatedUnit(text), words, FEWEST_PIECES)
}

/** Whether a text has at least so many pieces. A piece is a word, a run, or one character. */
function hasPieces (text: string, words: readonly string[], wanted: number): boolean {
  const read = [...text].map(character => LOOKALIKES[character] ?? character).join('')
  let pieces = 0
  let at = 0
  while (at < text.length && pieces < wanted) {
    at += Math.max(wordLength(text, at, words), wordLength(read, at, words), runLength(text, at))
    pieces++
  }
  return pieces >= wanted
}

/** The length of the longest of the words that stands at a place. */
function wordLength (text: string, at: number, words: readonly string[]): number {
  return Math.max(0, ...words.filter(word => text.startsWith(word, at)).map(word => word.length))
}

/** How many characters from a place on are each the same as the one before or next to it on one track; 1 if there is no run. */
function runLength (text: string, at: number): number {
  const longest = Math.max(...TRACKS.map(track => {
    let length = 1
    while (at + length < text.length && isStep(track, text.charAt(at + length - 1), text.charAt(at + length))) length++
    return length
  }))
  return longest < SHORTEST_RUN ? 1 : longest
}

function isStep (track: string, from: string, to: string): boolean {
  if (from === to) return true
  const [one, other] = [track.indexOf(from), track.indexOf(to)]
  return one >= 0 && other >= 0 && Math.abs(one - other) === 1
}

/** What a text repeats from beginning to end, e.g. `ha` of `hahaha`; the text itself if it is no repetition. */
function repeatedUnit (text: string): string {
  return text.slice(0, (text + text).indexOf(text, 1))
}

/** A name as a whole and in its parts, e.g. those of an e-mail address or a URL. */
function partsOf (name: string): string[] {
  const whole = name.toLowerCase()
  return [whole, ...whole.split(/[^\p{L}\p{N}]+/u)].filter(part => part !== '')
}
