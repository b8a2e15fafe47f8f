import t from 'tap'
import { isGuessable } from '../../lib/accounts/guessable.js'

const refused = (passwords: readonly string[], known: readonly string[] = []) => passwords.filter(password => isGuessable(password, known))

t.test('what is tried first is guessable', async t => {
  const cases = [
    'password', 'Password1', 'PASSWORD123', 'password2024!', '!password!', 'p@ssw0rd', 'P4$$w0rd!', 'passwordpassword', 'passw0rd123',
    'welcome1', 'Welcome2026!', 'iloveyou', 'iloveyou2', 'letmein123', 'changeme', 'admin123', 'administrator', 'football1', 'dragon99',
    'Summer2024', 'october1987', 'januaryfebruary', 'adminadmin1', 'motdepasse', 'passwort1'
  ]
  t.strictSame(refused(cases), cases)
})

t.test('runs along the alphabet, the digits and the keyboard are guessable, of any length', async t => {
  const cases = [
    '12345678', '123456789012345', '87654321', '0123456789', '01234567890', 'abcdefgh', 'zyxwvuts', 'AbCdEfGh', 'abcd1234', 'abc123xyz',
    'qwertyuiop', 'qwertyuiopasdfghjkl', 'poiuytrewq', 'qwertzuiop', 'azertyuiop', 'asdfghjkl', '1qaz2wsx', '1q2w3e4r', 'q1w2e3r4t5',
    '1234qwer', 'qwerty123', '147258369', '!@#$%^&*', '12344321', 'aabbccdd', '11112222', 'qweasdzxc'
  ]
  t.strictSame(refused(cases), cases)
})

t.test('repetitions are as guessable as what they repeat', async t => {
  const cases = ['aaaaaaaa', '        ', 'abababab', 'hahahaha', 'xyzzxyzz', '12121212', '🔑'.repeat(64), 'a1b2'.repeat(8)]
  t.strictSame(refused(cases), cases)
  t.strictSame(refused(['tidal-fox'.repeat(2)]), [])
})

t.test('words that anybody can know are guessable with hardly anything else', async t => {
  const known = ['ada.lovelace@example.com', 'https://shop.acme.test']
  const cases = ['ada.lovelace@example.com', 'ada12345', 'AdaLovelace1', 'lovelace!', 'example2024', 'acmeshop', 'Acme-2026', '4d4lov3lace']
  t.strictSame(refused(cases, known), cases)
  t.strictSame(refused(['canada rocks', 'acme makes anvils'], known), [], 'but they may be in a password')
  t.strictSame(refused(['zelda-42-a'], ['', '-']), [], 'and a name without letters is no word')
})

t.test('what takes longer to guess is not', async t => {
  const cases = [
    'correct horse', 'correcthorsebatterystaple', 'my dog ate it', 'violet-umbrella', 'the password is swordfish', 'summer is nice',
    'Tr0ub4dor&3', 'mzqwkvbn', 'kJ8#vQ2!', 'x7tfp2mk', 'пароль на вечер', '李小龙是一个好演员', '🦊🐻🐼🐨🐯🦁🐮🐷'
  ]
  t.strictSame(refused(cases, ['ada']), [])
})
