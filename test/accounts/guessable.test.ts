import t from 'tap'
import { dictionary } from '@zxcvbn-ts/language-common'
import { isGuessable, loadCommonPasswords } from '../../lib/accounts/password-policy.js'
import { seededRandom } from '../support/seeded-random.js'

const common = await loadCommonPasswords()
const refused = (passwords: readonly string[], known: readonly string[] = []) => passwords.filter(password => isGuessable(password, known, common))
const accepted = (passwords: readonly string[], known: readonly string[] = []) => passwords.filter(password => !isGuessable(password, known, common))

/** The list that credential stuffing and password spraying start with. */
const LIST = dictionary['passwords-common'].filter(password => [...password].length >= 8)

t.test('password spraying: every common password is refused', async t => {
  t.ok(LIST.length > 17_000, `${LIST.length} passwords`)
  t.strictSame(accepted(LIST), [])
})

t.test('password spraying: another case, look-alikes, or digits and signs around it do not help', async t => {
  const leet = (text: string) => text.replace(/[aeiost]/g, letter => ({ a: '@', e: '3', i: '1', o: '0', s: '$', t: '7' })[letter] ?? letter)
  const changes = [
    (text: string) => text.toUpperCase(),
    (text: string) => text.charAt(0).toUpperCase() + text.slice(1),
    leet,
    (text: string) => text.replace(/[a-z0-9]/g, character => String.fromCharCode(character.charCodeAt(0) + 0xfee0)) // full-width
  ]
  for (const change of changes) t.strictSame(accepted(LIST.map(change)), [])

  const words = LIST.filter(password => /^[a-z]+$/.test(password) && /[a-z]/.test(leet(password)))
  const around = [
    (text: string) => `${text}2026!`,
    (text: string) => `!!${leet(text)}8391`,
    (text: string) => `19870613${text}`,
    (text: string) => `${text.toUpperCase()}#4815162342`
  ]
  for (const change of around) t.strictSame(accepted(words.map(change)), [])
})

t.test('common passwords are guessable', async t => {
  const cases = [
    'password', 'Password1', 'PASSWORD123', 'password2024!', '!password!', 'p@ssw0rd', 'P4$$w0rd!', 'passwordpassword', 'passw0rd123',
    'welcome1', 'Welcome2026!', 'iloveyou', 'iloveyou2', 'letmein123', 'changeme', 'admin123', 'administrator', 'football1', 'dragon99',
    'p a s s w o r d', 'pass-word-123', 'pa\u00adssword', 'p\u00e0ssw\u00f6rd', 'p\u0430ssword', 'has\u0142o123', 'contrase\u00f1a1', 'пароль123', 'Senha2026!', 'пароль-пароль',
    '1990-10-20', '20.10.1990', '1/2/2001 ', '20101990',
    '1111112024!', '0000012024!', '102938123', '246810123',
    'Summer2024', 'october1987', 'januaryfebruary', 'adminadmin1', 'motdepasse', 'passwort1'
  ]
  t.strictSame(refused(cases), cases)
})

t.test('sequences of the alphabet, the digits and the keyboard are guessable at any length', async t => {
  const cases = [
    '12345678', '123456789012345', '87654321', '0123456789', '01234567890', 'abcdefgh', 'zyxwvuts', 'AbCdEfGh', 'abcd1234', 'abc123xyz',
    'qwertyuiop', 'qwertyuiopasdfghjkl', 'poiuytrewq', 'qwertzuiop', 'azertyuiop', 'asdfghjkl', '1qaz2wsx', '1q2w3e4r', 'q1w2e3r4t5',
    '1234qwer', 'qwerty123', '147258369', '!@#$%^&*', '12344321', 'aabbccdd', '11112222', 'qweasdzxc', 'йцукенгшщз'
  ]
  t.strictSame(refused(cases), cases)
})

t.test('a repetition is as guessable as its unit', async t => {
  const cases = ['aaaaaaaa', '        ', 'abababab', 'hahahaha', 'xyzzxyzz', '12121212', '🔑'.repeat(64), 'a1b2'.repeat(8), 'Tz7!kTz7!k', 'xkqvbxkqvb', 'tomtom-tomtom', 'bob bob bob', 'b o b b o b', '77347734-77347734', '!?!?!?!?']
  t.strictSame(refused(cases), cases)
  t.strictSame(refused(['tidal-fox'.repeat(2)]), [])
})

t.test('public context words are guessable with little else', async t => {
  const known = ['ada.lovelace@example.com', 'https://shop.acme.test']
  const cases = ['ada.lovelace@example.com', 'ada12345', 'AdaLovelace1', 'lovelace!', 'example2024', 'acmeshop', 'Acme-2026', '4d4lov3lace']
  t.strictSame(refused(cases, known), cases)
  t.strictSame(refused(['canada rocks', 'acme makes anvils'], known), [], 'but a password may contain them')
  t.strictSame(refused(['zelda-42-a'], ['', '-']), [], 'and a name without letters is no context word')
  const signed = ['ada ada ada', 'ada!ada!ada', 'Ada.Ada.1999', 'ada-lovelace-1', 'lovelace-2024-lovelace', 'acme_acme_acme', 'shop.acme.7x']
  t.strictSame(refused(signed, known), signed, 'signs between them and repetitions do not count')
  const accented = ['Müller-Wätzmann', 'jérôme.lefèvre@example.fr', 'Nguyễn Văn', 'søren-kierkegård', 'Žižkovská', 'İbrahimoğlu', 'ﬁnchley-garden', 'Małgorzata']
  for (const name of accented) t.strictSame(accepted([name, name.toUpperCase(), `${name}1`, name.normalize('NFD').replace(/\p{M}/gu, '')], [name]), [], name)
  t.strictSame(refused(['ada-1815-engine', 'lovelace&babbage!', 'shop for tidal foxes'], known), [])
})

t.test('passwords that take longer to guess are accepted', async t => {
  const cases = [
    'correct horse', 'correcthorsebatterystaple', 'my dog ate it', 'violet-umbrella', 'the password is swordfish', 'summer is nice',
    '84729164503', 'Tr0ub4dor&3', 'mzqwkvbn', 'kJ8#vQ2!', 'x7tfp2mk', 'пароль на вечер', '李小龙是一个好演员', '🦊🐻🐼🐨🐯🦁🐮🐷'
  ]
  t.strictSame(refused(cases, ['ada']), [])
})

const random = seededRandom(20_261_128)
const pick = (from: ArrayLike<string>): string => String(from[Math.floor(random.between(0, from.length))])

t.test('10,000 generated passwords of 12 random characters are accepted, also from readable alphabets', async t => {
  const alphabets = [Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).join(''), 'abcdefghijkmnpqrstuvwxyz23456789']
  for (const alphabet of alphabets) {
    t.strictSame(refused(Array.from({ length: 10_000 }, () => Array.from({ length: 12 }, () => pick(alphabet)).join(''))), [])
  }
})

t.test('four random words are accepted, with or without spaces', async t => {
  const words = dictionary['diceware-common']
  for (const blank of [' ', '-', '']) {
    t.strictSame(refused(Array.from({ length: 10_000 }, () => Array.from({ length: 4 }, () => pick(words)).join(blank))), [])
  }
})
