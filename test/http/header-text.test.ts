import t from 'tap'
import { lowerCaseAscii, withoutWhitespace } from '../../lib/http/headers.js'

t.test('session fixation: only spaces and tabs are whitespace, unlike for `trim`', async t => {
  for (const text of ['', 'a', 'a b', 'a\tb']) {
    for (const [before, after] of [['', ''], [' ', ''], ['', '\t'], ['\t ', ' \t ']] as const) t.equal(withoutWhitespace(before + text + after), text)
  }
  for (const other of ['\u00a0', '\v', '\f', '\r', '\n', '\u0085', '\ufeff', '\u2028', '\u3000']) {
    t.equal(withoutWhitespace(` ${other}a${other} `), `${other}a${other}`, `U+${other.charCodeAt(0).toString(16)}`)
  }
})

t.test('denial of service: a header of spaces takes linear time', async t => {
  t.equal(withoutWhitespace(' '.repeat(100_000)), '')
  t.equal(withoutWhitespace(`a${' '.repeat(100_000)}b`).length, 100_002)
})

t.test('only ASCII letters are lower-cased', async t => {
  t.equal(lowerCaseAscii('Application/AT+JWT'), 'application/at+jwt')
  t.equal(lowerCaseAscii('\u212a\u0130\u00c4'), '\u212a\u0130\u00c4', 'a Kelvin sign is no k, a dotted I no i')
})
