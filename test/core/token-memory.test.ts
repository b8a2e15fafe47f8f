import t from 'tap'
import { createTokenMemory } from '../../lib/core/token-memory.js'

const verified = (sub: string) => ({ payload: { sub, roles: ['editor'] }, signedByCurrentKey: true })

t.test('a token is remembered by its whole text', async t => {
  const memory = createTokenMemory()
  const ada = memory.keep('a.b.c', verified('ada'))
  t.equal(memory.recall('a.b.c'), ada)
  for (const other of ['a.b.d', 'a.b.c ', 'A.b.c', 'a.b', '', '__proto__']) t.equal(memory.recall(other), undefined, other)
})

t.test('nobody who shares what is remembered can change it, at any depth', async t => {
  const { payload } = createTokenMemory().keep('a.b.c', verified('ada'))
  const claims = payload as { sub: string, roles: string[] }
  t.throws(() => { claims.sub = 'bob' }, TypeError)
  t.throws(() => { Object.assign(claims, { admin: true }) }, TypeError)
  t.throws(() => { claims.roles.push('admin') }, TypeError)
})

t.test('no more is remembered than fits, and what is still sent stays', async t => {
  const memory = createTokenMemory(100)
  memory.keep('mine', verified('ada'))
  for (let nth = 0; nth < 10_000; nth++) {
    memory.keep(`flood ${nth}`, verified('eve'))
    if (nth % 40 === 0) t.ok(memory.recall('mine'), `after ${nth}`)
  }
  const left = Array.from({ length: 10_000 }, (_, nth) => nth).filter(nth => memory.recall(`flood ${nth}`) !== undefined)
  t.ok(left.length <= 100, `${left.length} are left`)
})

t.test('what nobody sends any more is forgotten', async t => {
  const memory = createTokenMemory(100)
  memory.keep('mine', verified('ada'))
  for (let nth = 0; nth < 100; nth++) memory.keep(`other ${nth}`, verified('eve'))
  t.equal(memory.recall('mine'), undefined)
})

t.test('a long token is verified each time', async t => {
  const memory = createTokenMemory()
  memory.keep('x'.repeat(2048), verified('ada'))
  memory.keep('x'.repeat(2049), verified('ada'))
  t.ok(memory.recall('x'.repeat(2048)))
  t.equal(memory.recall('x'.repeat(2049)), undefined)
})
