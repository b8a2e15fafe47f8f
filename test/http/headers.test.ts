import t from 'tap'
import { withoutWhitespace } from '../../lib/http/cookie.js'
import { bearerToken } from '../../lib/http/request-auth.js'

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

t.test('the scheme of an access token is "Bearer" in any case, with one space', async t => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) t.equal(bearerToken({ authorization: `${scheme} a.b.c` }), 'a.b.c', scheme)
  t.equal(bearerToken({ authorization: 'Bearer  a.b.c' }), 'a.b.c', 'RFC 6750 section 2.1 allows more than one space')
  for (const authorization of [undefined, '', 'Bearer', 'Bearer\ta.b.c', ' Bearer a.b.c', 'Basic a.b.c', 'Bearers a.b.c', 'a.b.c']) t.equal(bearerToken({ ...(authorization !== undefined && { authorization }) }), null, String(authorization))
})
