import t from 'tap'
import { Revocations, type RevocationsOptions } from '../../lib/sessions/revocations.js'
import { fakeClock, START, type FakeClock } from '../support/fake-clock.js'

const RETAIN = 608
const SKEW = 10

interface Setup extends FakeClock { readonly revocations: Revocations }

/** A set that has been connected for so long that no gap matters. */
function settled (capacity?: number, unknown?: RevocationsOptions['unknown']): Setup {
  const unretained = RETAIN + SKEW + 1
  const { now, wait } = fakeClock(START - unretained)
  const revocations = new Revocations({ clock: now, retain: RETAIN, skew: SKEW, capacity, unknown })
  revocations.connected(true)
  wait(unretained)
  return { revocations, now, wait }
}

/** A token of ada's session, issued this many seconds before the start. */
const token = (age = 60, sid = 's1', sub = 'ada') => ({ sid, sub, iat: START - age })

const live = async (): Promise<boolean> => true
const ended = async (): Promise<boolean> => false

t.test('a session without a revocation is live', async t => {
  t.equal(settled().revocations.judge(token()), 'unrevoked')
})

t.test('a revoked session is ended, and others are live', async t => {
  const { revocations } = settled()
  revocations.listener({ id: 's1' })
  t.equal(revocations.judge(token()), 'revoked')
  t.equal(revocations.judge(token(60, 's2')), 'unrevoked')
})

t.test('an entry is kept until the last access token has expired', async t => {
  const { revocations, wait } = settled()
  revocations.listener({ id: 's1' })
  wait(RETAIN - 1)
  revocations.listener({ id: 's2' })
  t.equal(revocations.judge(token()), 'revoked')
  wait(1)
  revocations.listener({ id: 's3' })
  t.equal(revocations.judge(token()), 'unrevoked', 'every access token of it has expired')
  t.equal(revocations.judge(token(60, 's2')), 'revoked')
})

t.test('a repeated entry moves to the end and evicts none', async t => {
  const { revocations, wait } = settled(10)
  for (let nth = 0; nth < 40; nth++) {
    revocations.listener({ id: 'again' })
    revocations.listener({ id: `once ${nth}` })
    await revocations.ask('asked again', ended)
    wait(RETAIN / 2)
    t.notOk(revocations.isFull())
  }
  t.equal(revocations.judge(token(0, 'again')), 'revoked')
})

t.test('one entry revokes all sessions of a subject', async t => {
  const { revocations, wait } = settled()
  revocations.listener({ subject: 'ada', at: START })
  t.equal(revocations.judge(token(SKEW + 1)), 'revoked')
  t.equal(revocations.judge(token(60, 's9', 'bob')), 'unrevoked')
  t.equal(revocations.judge(token(-SKEW - 1)), 'unrevoked', 'a later login')
  wait(RETAIN)
  revocations.listener({ subject: 'bob', at: START + RETAIN })
  t.equal(revocations.judge(token(SKEW + 1)), 'unrevoked', 'every access token from then has expired')
})

t.test('memory: answers from before an interruption make room for those after it', async t => {
  const { revocations } = settled(1)
  revocations.connected(false)
  revocations.connected(true)
  await revocations.ask('s1', live)
  t.equal(revocations.judge(token()), 'unrevoked')
  revocations.connected(false)
  revocations.connected(true)
  t.equal(revocations.judge(token()), 'unknown')
  await revocations.ask('s2', live)
  t.equal(revocations.judge(token(60, 's2')), 'unrevoked')
})

t.test('a used challenge takes no entry: no access token names it', async t => {
  const { revocations } = settled()
  revocations.listener({ id: 'challenge-1' })
  t.equal(revocations.judge(token(60, 'challenge-1')), 'unrevoked')
})

t.test('an entry can spare one session of a subject', async t => {
  const { revocations } = settled()
  revocations.listener({ subject: 'ada', at: START, exceptId: 's1' })
  t.equal(revocations.judge(token(60, 's1')), 'unrevoked')
  t.equal(revocations.judge(token(60, 's2')), 'revoked')
})

t.test('of two such entries either may have revoked the session that the other spared', async t => {
  const { revocations } = settled()
  revocations.listener({ subject: 'ada', at: START, exceptId: 's1' })
  for (const time of ['the first', 'the second']) {
    revocations.listener({ subject: 'ada', at: START, exceptId: 's2' })
    t.equal(revocations.judge(token(60, 's1')), 'revoked')
    t.equal(revocations.judge(token(60, 's2')), 'unknown', time)
  }
  await revocations.ask('s2', live)
  t.equal(revocations.judge(token(60, 's2')), 'unrevoked')
})

t.test('a message that arrives after that of a later revocation changes nothing', async t => {
  const { revocations } = settled()
  revocations.listener({ subject: 'ada', at: START, exceptId: 's1' })
  revocations.listener({ subject: 'ada', at: START - 60 })
  t.equal(revocations.judge(token(30, 's2')), 'revoked')
  t.equal(revocations.judge(token(30, 's1')), 'unknown', 'the earlier one excepted no session')
  await revocations.ask('s1', live)
  t.equal(revocations.judge(token(30, 's1')), 'unrevoked')
})

t.test('within the clock skew of a revocation only the store knows', async t => {
  for (const age of [SKEW, 0, -SKEW]) {
    const { revocations } = settled()
    revocations.listener({ subject: 'ada', at: START })
    t.equal(revocations.judge(token(age)), 'unknown')
    t.equal(await revocations.ask('s1', live), 'unrevoked')
    t.equal(revocations.judge(token(age)), 'unrevoked', 'asked once')
    t.equal(await revocations.ask('s2', ended), 'revoked')
    t.equal(revocations.judge(token(age, 's2')), 'revoked', 'which is kept too')

    revocations.listener({ subject: 'ada', at: START })
    t.equal(revocations.judge(token(age)), 'unknown', 'a later revocation invalidates the answer')
  }
})

t.test('a revocation whose store has a clock far behind is asked for', async t => {
  const { revocations, wait } = settled()
  revocations.listener({ subject: 'ada', at: START - 3600 })
  for (const age of [60, 0, -SKEW]) t.equal(revocations.judge(token(age)), 'unknown', `issued ${age} s before it was known here`)
  t.equal(revocations.judge(token(-SKEW - 1)), 'unrevoked')
  t.equal(revocations.judge(token(3600 + SKEW + 1)), 'revoked')
  wait(RETAIN)
  t.equal(await revocations.ask('s1', ended), 'revoked')
})

t.test('race: a revocation that arrives while the store is asked counts', async t => {
  const { revocations } = settled()
  const all = revocations.ask('s1', async () => {
    revocations.listener({ subject: 'ada', at: START })
    return true
  })
  await all
  t.equal(revocations.judge(token(0)), 'unknown')

  t.equal(await revocations.ask('s1', async () => {
    revocations.listener({ id: 's1' })
    return true
  }), 'revoked')
})

t.test('after an interruption each session is asked once', async t => {
  const { revocations, wait } = settled()
  revocations.connected(false)
  t.equal(revocations.judge(token()), 'unrevoked', 'while it is down the set is used unchanged')
  wait(30)
  revocations.connected(true)
  t.equal(revocations.judge(token()), 'unknown')
  t.equal(revocations.judge(token(-30 - SKEW)), 'unknown', 'by clocks that differ as much as is tolerated')
  t.equal(revocations.judge(token(-30 - SKEW - 1)), 'unrevoked', 'a token from after the gap belongs to a live session')
  await revocations.ask('s1', live)
  t.equal(revocations.judge(token()), 'unrevoked')
  revocations.listener({ id: 's7' })
  t.equal(revocations.judge(token()), 'unrevoked', 'which other revocations leave unchanged')
})

t.test('before the first connection no session is unknown', async t => {
  const revocations = new Revocations({ clock: () => START, retain: RETAIN, skew: SKEW })
  t.equal(revocations.judge(token()), 'unrevoked')
  revocations.connected(true)
  t.equal(revocations.judge(token()), 'unknown')
})

t.test('a full set evicts nothing, and every session is unknown until there is room', async t => {
  const { revocations, wait } = settled(2)
  revocations.listener({ id: 's1' })
  wait(10)
  revocations.listener({ subject: 'bob', at: START })
  t.notOk(revocations.isFull())
  revocations.listener({ id: 's3' })
  t.ok(revocations.isFull())
  t.equal(revocations.judge(token()), 'revoked')
  t.equal(revocations.judge(token(60, 's3')), 'unknown')
  await revocations.ask('s9', live)
  t.equal(revocations.judge(token(60, 's9')), 'unknown', 'asked at every request')

  wait(RETAIN)
  t.notOk(revocations.isFull())
  revocations.listener({ id: 's4' })
  t.equal(revocations.judge(token(60, 's4')), 'revoked')
})

t.test('confirmations are bounded too', async t => {
  const { revocations, wait } = settled(1)
  revocations.connected(true)
  await revocations.ask('s1', live)
  await revocations.ask('s2', live)
  t.equal(revocations.judge(token(60, 's1')), 'unrevoked')
  t.equal(revocations.judge(token(60, 's2')), 'unknown')

  wait(RETAIN + SKEW)
  revocations.listener({ id: 's8' })
  t.equal(revocations.judge(token(60, 's1')), 'unknown', 'dropped once every access token from before the gap has expired')
})

t.test('confirmations older than every unresolved revocation are dropped', async t => {
  const { revocations, now, wait } = settled(5)
  for (let round = 0; round < 50; round++) {
    wait(RETAIN / 2)
    const [sid, sub] = [`s${round}`, `p${round}`]
    revocations.listener({ subject: sub, at: now() })
    t.equal(revocations.judge({ sid, sub, iat: now() }), 'unknown')
    await revocations.ask(sid, live)
    t.equal(revocations.judge({ sid, sub, iat: now() }), 'unrevoked')
  }
})

t.test('fail closed: while the subscription is down every session is unknown', async t => {
  const { revocations } = settled(undefined, 'refuse')
  t.equal(revocations.judge(token()), 'unrevoked')
  t.ok(revocations.refusesUnknown())
  revocations.connected(false)
  for (const time of ['the first', 'the second']) {
    t.equal(revocations.judge(token()), 'unknown', time)
    t.equal(await revocations.ask('s1', live), 'unrevoked')
  }
  revocations.listener({ id: 's2' })
  t.equal(revocations.judge(token(60, 's2')), 'revoked', 'a known revocation needs no call')
  revocations.connected(true)
  t.equal(revocations.judge(token()), 'unknown', 'an answer from before the connection may be outdated')
  await revocations.ask('s1', live)
  t.equal(revocations.judge(token()), 'unrevoked')
})

t.test('fail closed: before the first connection too', async t => {
  const revocations = new Revocations({ clock: () => START, retain: RETAIN, skew: SKEW, unknown: 'refuse' })
  t.equal(revocations.judge(token()), 'unknown')
})

t.test('fail open: an unknown session is refused only while the set is full', async t => {
  const { revocations } = settled(1)
  t.notOk(revocations.refusesUnknown())
  revocations.listener({ id: 's1' })
  revocations.listener({ id: 's2' })
  t.ok(revocations.refusesUnknown())
})
