import t from 'tap'
import { VerificationCache } from '../../lib/tokens/verification-cache.js'

const verified = (sub: string) => ({ sub, iat: 0, exp: 600, jti: 'jti', sid: 'sid', auth_time: 0, roles: ['editor'] })

t.test('cache confusion: a token is cached by its whole text', async t => {
  const cache = new VerificationCache()
  const ada = cache.set('a.b.c', verified('ada'))
  t.equal(cache.get('a.b.c'), ada)
  for (const other of ['a.b.d', 'a.b.c ', 'A.b.c', 'a.b', '', '__proto__']) t.equal(cache.get(other), undefined, other)
})

t.test('cache confusion: a token with the same end is another token', async t => {
  const end = '.' + 's'.repeat(43)
  for (const capacity of [100, 2]) { // with a capacity of 2 the first one is in the older half
    const cache = new VerificationCache(capacity)
    const ada = cache.set(`ada${end}`, verified('ada'))
    t.equal(cache.get(`bob${end}`), undefined)
    t.equal(cache.get(`ada${end}`), ada)
    const bob = cache.set(`bob${end}`, verified('bob'))
    t.equal(cache.get(`bob${end}`), bob)
  }
})

t.test('privilege escalation: cached claims are frozen at any depth', async t => {
  const claims = verified('ada')
  new VerificationCache().set('a.b.c', claims)
  t.throws(() => { claims.sub = 'bob' }, TypeError)
  t.throws(() => { Object.assign(claims, { admin: true }) }, TypeError)
  t.throws(() => { claims.roles.push('admin') }, TypeError)
})

t.test('the cache is bounded, and tokens in use stay', async t => {
  const cache = new VerificationCache(100)
  cache.set('mine', verified('ada'))
  for (let nth = 0; nth < 10_000; nth++) {
    cache.set(`flood ${nth}`, verified('eve'))
    if (nth % 40 === 0) t.ok(cache.get('mine'), `after ${nth}`)
  }
  const left = Array.from({ length: 10_000 }, (_, nth) => nth).filter(nth => cache.get(`flood ${nth}`) !== undefined)
  t.ok(left.length <= 100, `${left.length} are left`)
})

t.test('unused tokens are evicted', async t => {
  const cache = new VerificationCache(100)
  cache.set('mine', verified('ada'))
  for (let nth = 0; nth < 100; nth++) cache.set(`other ${nth}`, verified('eve'))
  t.equal(cache.get('mine'), undefined)
})

t.test('denial of service: a long token is not cached', async t => {
  const cache = new VerificationCache()
  cache.set('x'.repeat(2048), verified('ada'))
  cache.set('x'.repeat(2049), verified('ada'))
  t.ok(cache.get('x'.repeat(2048)))
  t.equal(cache.get('x'.repeat(2049)), undefined)
})
