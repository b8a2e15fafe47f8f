import t from 'tap'
import { normaliseUsername } from '../../lib/accounts/user.js'

t.test('a username is trimmed and normalised', async t => {
  const cases: Array<[typed: string, name: string]> = [
    ['ada', 'ada'],
    ['Ada', 'Ada'],
    ['  ada\t\n', 'ada'],
    ['\u00a0ada\ufeff\u3000', 'ada'],
    ['ada lovelace', 'ada lovelace'],
    ['ada@example.com', 'ada@example.com'],
    ['ada\uff20example.com', 'ada@example.com'],
    ['\uff41\uff44\uff41', 'ada'],
    ['jose\u0301', 'jos\u00e9'],
    ['\ufb01ona', 'fiona'],
    ['\u00a8a', '\u0308a'],
    ['李小龙', '李小龙'],
    ['🦊', '🦊'],
    ['x', 'x'],
    ['x'.repeat(254), 'x'.repeat(254)],
    ['🦊'.repeat(127), '🦊'.repeat(127)]
  ]
  for (const [typed, name] of cases) {
    t.equal(normaliseUsername(typed), name)
    t.equal(normaliseUsername(name), name, 'and that spelling is canonical')
  }
})

t.test('impossible usernames are refused', async t => {
  const cases: unknown[] = [
    undefined, null, 7, ['ada'], { name: 'ada' }, '', '   ', '\u3000\ufeff',
    'x'.repeat(255), '🦊'.repeat(128), '\ufdfa'.repeat(20), 'x'.repeat(1_000_000), `a${'\u0301\u0316'.repeat(500_000)}`,
    'ad\0a', 'ad\na', 'ad\u007fa', 'ad\u0085a', 'ad\u200ba', 'ad\u202ea', 'ad\u00ada', 'ad\u2028a', 'ad\u2029a',
    'ada\ud800', '\udc00ada'
  ]
  for (const value of cases) t.equal(normaliseUsername(value), null)
})

t.test('spoofing: no username has invisible characters', async t => {
  const invisible = [0x34f, 0x3164, 0x2800, 0xfe0f, 0x17b5, 0x115f, 0x1160, 0xffa0, 0x180b, 0x2060, 0xe0100, 0x1680, 0xfffc, 0x1d159, 0x13441, 0x13442, 0x16fe4]
  for (const point of invisible) {
    const character = String.fromCodePoint(point)
    for (const name of [`ad${character}a`, `a ${character} da`]) t.equal(normaliseUsername(name), null, point.toString(16))
  }
})

t.test('NFKC makes at most six UTF-16 units out of one character', async t => {
  let most = 0
  for (let point = 0; point <= 0x10ffff; point++) {
    const character = String.fromCodePoint(point)
    if (character.isWellFormed()) most = Math.max(most, character.normalize('NFD').length / [...character.normalize('NFC')].length)
  }
  t.equal(most, 6)
})
