import t from 'tap'
import { VerificationCache } from '../../lib/tokens/verification-cache.js'

const ROOMY = 1_000_000
/** The tokens of the tests about space have this length. */
const LENGTH = 100
const BYTES = 2.5 * LENGTH

const verified = (sub: string, { iat = 0 } = {}) => ({ sub, iat, exp: iat + 600, jti: 'jti', sid: 'sid', auth_time: 0, roles: ['editor'] })

/** Verifies a token for the second time, after which it is cached. */
const keep = (cache: VerificationCache, token: string, sub: string, options = {}) => {
  cache.set(token, verified(sub, options))
  return cache.set(token, verified(sub, options))
}

const token = (name: string | number) => `${String(name).padStart(LENGTH - 1, '-')}A`

t.test('cache confusion: a token is cached by its whole text', async t => {
  const cache = new VerificationCache(ROOMY)
  const ada = keep(cache, 'a.b.c', 'ada')
  t.equal(cache.get('a.b.c'), ada)
  for (const other of ['a.b.d', 'a.b.c ', 'A.b.c', 'a.b', '', '__proto__']) t.equal(cache.get(other), undefined, other)
})

t.test('cache confusion: a token with the same end is another token', async t => {
  const end = '.' + 's'.repeat(43)
  const cache = new VerificationCache(ROOMY)
  const ada = keep(cache, `ada${end}`, 'ada')
  t.equal(cache.get(`bob${end}`), undefined)
  t.equal(cache.get(`ada${end}`), ada)
  const bob = keep(cache, `bob${end}`, 'bob')
  t.equal(cache.get(`bob${end}`), bob)
  t.equal(cache.get(`ada${end}`), undefined)
})

t.test('privilege escalation: cached claims are frozen at any depth', async t => {
  const claims = verified('ada')
  new VerificationCache(ROOMY).set('a.b.c', claims)
  t.throws(() => { claims.sub = 'bob' }, TypeError)
  t.throws(() => { Object.assign(claims, { admin: true }) }, TypeError)
  t.throws(() => { claims.roles.push('admin') }, TypeError)
})

t.test('denial of service: a token is cached from its second verification on', async t => {
  const cache = new VerificationCache(ROOMY)
  cache.set(token('once'), verified('ada'))
  t.equal(cache.get(token('once')), undefined)
  const again = cache.set(token('once'), verified('ada'))
  t.equal(cache.get(token('once')), again)
})

t.test('the cache is bounded in bytes, and tokens in use stay', async t => {
  const cache = new VerificationCache(100 * BYTES)
  keep(cache, token('mine'), 'ada')
  for (let nth = 0; nth < 10_000; nth++) {
    keep(cache, token(nth), 'eve')
    if (nth % 40 === 0) t.ok(cache.get(token('mine')), `after ${nth}`)
  }
  const left = Array.from({ length: 10_000 }, (_, nth) => nth).filter(nth => cache.get(token(nth)) !== undefined)
  t.ok(left.length <= 100, `${left.length} are left`)
})

t.test('as many tokens as fill half of the cache stay', async t => {
  const cache = new VerificationCache(100 * BYTES)
  for (let nth = 0; nth < 50; nth++) keep(cache, token(nth), 'ada')
  for (let nth = 0; nth < 200; nth++) t.ok(cache.get(token(nth % 50)))
})

t.test('unused tokens are evicted', async t => {
  const cache = new VerificationCache(100 * BYTES)
  keep(cache, token('mine'), 'ada')
  for (let nth = 0; nth < 100; nth++) keep(cache, token(nth), 'eve')
  t.equal(cache.get(token('mine')), undefined)
})

t.test('expired tokens are evicted as new ones are issued', async t => {
  const cache = new VerificationCache(ROOMY)
  keep(cache, token('first'), 'ada')
  keep(cache, token('second'), 'ada', { iat: 599 })
  t.ok(cache.get(token('first')))
  keep(cache, token('third'), 'ada', { iat: 600 })
  keep(cache, token('fourth'), 'ada', { iat: 1200 })
  t.equal(cache.get(token('first')), undefined)
  t.ok(cache.get(token('third')))
})

t.test('a cache of 0 bytes keeps nothing', async t => {
  const cache = new VerificationCache(0)
  t.equal(keep(cache, token('mine'), 'ada').sub, 'ada')
  t.equal(cache.get(token('mine')), undefined)
})

t.test('denial of service: a long token is not cached', async t => {
  const cache = new VerificationCache(ROOMY)
  keep(cache, 'x'.repeat(2048), 'ada')
  keep(cache, 'y'.repeat(2049), 'ada')
  t.ok(cache.get('x'.repeat(2048)))
  t.equal(cache.get('y'.repeat(2049)), undefined)
})
