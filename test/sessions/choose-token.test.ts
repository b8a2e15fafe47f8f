import t from 'tap'
import { type RefreshClaims } from '../../lib/tokens/claims.js'
import { type VerifiedRefreshToken } from '../../lib/tokens/jwt.js'
import { chooseToken } from '../../lib/sessions/choose-token.js'

const NOW = 1_900_000_000

/** Tokens that are JSON claims; any other text is an invalid token. */
function verify (token: string): VerifiedRefreshToken | null {
  return token.startsWith('{') ? { claims: JSON.parse(token), signedByCurrentKey: true } : null
}

function tokenOf (claims: Partial<RefreshClaims> = {}): string {
  return JSON.stringify({ sub: 'ada', sid: 'one', gen: 0, auth_time: NOW - 100, iat: NOW - 100, exp: NOW + 100, end: NOW + 1000, ...claims })
}

/** The text of the chosen token. */
function choose (tokens: readonly string[], subject?: string): string | null {
  const chosen = chooseToken(tokens, verify, NOW, subject)
  return chosen && JSON.stringify(chosen.claims)
}

t.test('a single token of another user than the subject is ignored', async t => {
  t.equal(choose([tokenOf()], 'bob'), null)
  t.equal(choose([tokenOf()], 'ada'), tokenOf())
})

t.test('a single valid token is chosen, an expired one too', async t => {
  for (const token of [tokenOf(), tokenOf({ exp: NOW })]) t.equal(choose([token]), token)
})

/** The chosen one of two tokens, in either order. */
const PAIRS: Array<[title: string, counts: string, other: string]> = [
  ['a token with an invalid signature is ignored', tokenOf(), 'garbage'],
  ['an expired token is ignored beside a valid one', tokenOf(), tokenOf({ sid: 'two', end: NOW + 1100, exp: NOW })],
  ['an expired token of another user is ignored', tokenOf(), tokenOf({ sub: 'bob', sid: 'two', exp: NOW })],
  ['the newer generation of one session', tokenOf({ gen: 2, iat: NOW - 200 }), tokenOf({ gen: 1 })],
  ['the newer login of two sessions', tokenOf({ sid: 'two', end: NOW + 1050 }), tokenOf({ gen: 5, iat: NOW })],
  ['the newer login beside a reauthentication of the other', tokenOf({ sid: 'two', end: NOW + 1050 }), tokenOf({ auth_time: NOW })],
  ['of two logins in one second the one that replaces the other', tokenOf({ sid: 'two', replaces: 'one' }), tokenOf({ iat: NOW })],
  ['of two logins in one second the one issued later', tokenOf({ sid: 'two', iat: NOW - 99 }), tokenOf()],
  ['the newer of two expired tokens', tokenOf({ sid: 'two', end: NOW + 1050, exp: NOW - 1 }), tokenOf({ exp: NOW - 2 })]
]

for (const [title, counts, other] of PAIRS) {
  t.test(title, async t => {
    t.equal(choose([counts, other]), counts)
    t.equal(choose([other, counts]), counts)
    t.equal(choose([other, counts, other, 'garbage']), counts)
  })
}

t.test('of two equal tokens the later one in the header wins, which the browser received later', async t => {
  const [one, two] = [tokenOf({ sid: 'one' }), tokenOf({ sid: 'two' })]
  t.equal(choose([one, two]), two)
  t.equal(choose([two, one]), one)
})

t.test('of two tokens of one generation the later one in the header wins, such as that of a reauthentication', async t => {
  const [one, two] = [tokenOf({ gen: 1 }), tokenOf({ gen: 1, auth_time: NOW })]
  t.equal(choose([one, two]), two)
  t.equal(choose([two, one]), one)
})

t.test('without a valid signature none is chosen', async t => {
  for (const tokens of [[], ['garbage'], ['garbage', 'rubbish']]) t.equal(choose(tokens), null)
})

t.test('session fixation: tokens of two users are refused unless the subject is known', async t => {
  const [ada, bob] = [tokenOf(), tokenOf({ sub: 'bob', sid: 'two', auth_time: NOW })]
  for (const tokens of [[ada, bob], [bob, ada], ['garbage', ada, bob]]) {
    t.throws(() => choose(tokens), { code: 'FST_AUTH_REFRESH_TOKEN_INVALID' })
    t.equal(choose(tokens, 'ada'), ada)
    t.equal(choose(tokens, 'bob'), bob)
    t.equal(choose(tokens, 'eve'), null)
  }
})
