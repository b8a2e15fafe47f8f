import { mock } from 'node:test'
import Fastify from 'fastify'
import t from 'tap'
import { type AuthEvent } from '../../lib/events.js'
import { importKey, type KeyOptions } from '../../lib/keys/import.js'
import { createKeySource, openKeys, type KeySettings, type KeySource } from '../../lib/keys/reload.js'
import { createKeyRing, deriveKeyRing, type KeyRings } from '../../lib/keys/ring.js'
import { exactly } from '../support/exactly.js'
import { fakeClock, type FakeClock } from '../support/fake-clock.js'
import { generateKey } from '../support/keys.js'

const OLD = generateKey('HS256', 'old')
const NEW = generateKey('HS512', 'new')
const OLD_SECRET = 'kJ8#vQ2!mZ7@rT4$wX9%yB3^nC6&pD1*'
const NEW_SECRET = 'Q7!dN2@hL5#tF8$gR1%kV4^sJ9&bM3*x'

function rings (keys: readonly KeyOptions[], secrets: readonly string[] = [OLD_SECRET]): KeyRings {
  return { access: createKeyRing(keys.map(importKey)), refresh: deriveKeyRing(secrets, 'refresh', 'HS256') }
}

interface Setting extends Pick<FakeClock, 'wait'> {
  readonly source: KeySource
  readonly events: AuthEvent[]
  /** The app's function. */
  answer: () => Promise<KeyRings>
  /** The number of its calls. */
  asked: number
  signing (): string | undefined
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

function setting (first = rings([OLD.signs])): Setting {
  const { now, wait } = fakeClock()
  const events: AuthEvent[] = []
  const self: Setting = {
    wait,
    events,
    asked: 0,
    answer: async () => first,
    signing: () => source.rings.access.signing?.kid,
    get source () { return source }
  }
  const source = createKeySource({
    first,
    load: async () => { self.asked++; return await self.answer() },
    clock: now,
    period: 300,
    emit (event) { events.push(event) }
  })
  return self
}

t.test('key rotation: a new key signs once every instance has had time to load it', async t => {
  const s = setting()
  s.answer = async () => rings([NEW.signs, OLD.verifies])
  for (const [wait, signing] of [[0, 'old'], [1, 'old'], [297, 'old'], [1, 'new'], [0, 'new']] as const) {
    s.wait(wait)
    await s.source.reload()
    t.equal(s.signing(), signing, `after ${wait} s more`)
    t.ok(s.source.rings.access.byKid.has('new'), 'it verifies from the first time')
  }
  t.strictSame(s.events, [
    { type: 'keys_changed', kind: 'access', signing: 'old', kids: ['new', 'old'] },
    { type: 'keys_changed', kind: 'access', signing: 'new', kids: ['new', 'old'] }
  ], 'and everybody is told once')
})

t.test('key rotation: a new key pair signs once no cache has the published keys without it', async t => {
  const s = setting()
  const pair = generateKey('EdDSA', 'new').signs
  s.answer = async () => rings([pair, OLD.verifies])
  for (const [wait, signing] of [[0, 'old'], [300, 'old'], [298, 'old'], [1, 'new']] as const) {
    s.wait(wait)
    await s.source.reload()
    t.equal(s.signing(), signing, `after ${wait} s more`)
  }
})

t.test('key rotation: a key that was loaded at start may sign at once', async t => {
  const s = setting()
  s.answer = async () => rings([NEW.verifies, OLD.signs])
  await s.source.reload()
  s.wait(300)
  s.answer = async () => rings([NEW.signs, OLD.verifies])
  await s.source.reload()
  t.equal(s.signing(), 'new')
  s.answer = async () => rings([NEW.verifies, OLD.signs])
  await s.source.reload()
  t.equal(s.signing(), 'old', 'and back')
})

t.test('key rotation: a key that was removed and added again is a new one', async t => {
  const s = setting()
  for (const keys of [[OLD.signs, NEW.verifies], [OLD.signs], [OLD.verifies, NEW.signs]]) {
    s.wait(300)
    s.answer = async () => rings(keys)
    await s.source.reload()
    t.equal(s.signing(), 'old')
  }
})

t.test('key rotation: secrets of refresh tokens follow the same rules', async t => {
  const s = setting()
  const signing = () => s.source.rings.refresh.signing?.kid
  const before = signing()
  s.answer = async () => rings([OLD.signs], [NEW_SECRET, OLD_SECRET])
  await s.source.reload()
  t.equal(signing(), before)
  s.wait(300)
  await s.source.reload()
  t.not(signing(), before)
  t.match(s.events, exactly({ kind: 'refresh', signing: before }, { kind: 'refresh', signing: signing() }))
})

t.test('a failed reload keeps both rings, and emits an event', async t => {
  const s = setting()
  const before = s.source.rings
  const impostor = generateKey('HS256', 'old')
  const FAILURES: Array<() => Promise<KeyRings>> = [
    async () => { throw new Error('the vault is sealed') },
    async () => rings([OLD.verifies], [NEW_SECRET, OLD_SECRET]),
    async () => rings([impostor.signs], [NEW_SECRET, OLD_SECRET])
  ]
  for (const answer of FAILURES) {
    s.answer = answer
    await t.rejects(s.source.reload())
    t.equal(s.source.rings, before)
  }
  t.strictSame(s.events, FAILURES.map(() => ({ type: 'keys_reload_failed' })))
  s.answer = async () => rings([OLD.signs, NEW.verifies])
  await s.source.reload()
  t.ok(s.source.rings.access.byKid.has('new'), 'and the next one is as good as any')
})

t.test('a reload without a change keeps the same ring objects', async t => {
  const s = setting()
  const { access, refresh } = s.source.rings
  s.answer = async () => rings([OLD.signs])
  await s.source.reload()
  t.equal(s.source.rings.access, access)
  t.equal(s.source.rings.refresh, refresh)
  t.strictSame(s.events, [])
})

t.test('a reload begins after the call: those that come during another share the next', async t => {
  const s = setting()
  const ends: Array<(read: KeyRings) => void> = []
  s.answer = () => new Promise(resolve => { ends.push(resolve) })
  const [first, ...others] = [s.source.reload(), s.source.reload(), s.source.reload(), s.source.seek('access', 'other')]
  t.equal(s.asked, 1)
  ends[0]?.(rings([OLD.signs]))
  await first
  await turn()
  t.equal(s.asked, 2, 'the keys may have changed since the first one read them')
  ends[1]?.(rings([NEW.signs]))
  await Promise.all(others)
  t.equal(s.asked, 2)
  t.ok(s.source.rings.access.byKid.has('new'))
})

t.test('a reload that waits for one that fails succeeds', async t => {
  const s = setting()
  s.answer = async () => {
    if (s.asked === 1) throw new Error('the secret manager is away')
    return rings([NEW.signs])
  }
  const [failed, next] = [s.source.reload(), s.source.reload()]
  await t.rejects(failed)
  await next
  t.ok(s.source.rings.access.byKid.has('new'))
})

t.test('a token without a kid, or with a known one, causes no reload', async t => {
  const s = setting()
  t.equal(s.source.seek('access', 'old'), undefined)
  t.equal(s.source.seek('access', undefined), undefined)
  t.equal(s.source.seek('refresh', s.source.rings.refresh.signing?.kid), undefined)
  t.equal(s.asked, 0)
})

t.test('denial of service: unknown kids of access tokens cause at most one reload in ten seconds, and wait for no other', async t => {
  const s = setting()
  s.answer = async () => rings([OLD.signs, NEW.verifies])
  await s.source.seek('access', 'new')
  t.ok(s.source.rings.access.byKid.has('new'))
  for (const [wait, sought] of [[0, false], [9, false], [1, true], [5, false], [-20, true]] as const) {
    s.wait(wait)
    const seeking = s.source.seek('access', 'garbage')
    t.equal(seeking !== undefined, sought, `${wait} s later`)
    await seeking
  }
  t.equal(s.asked, 3)
  s.wait(10)
  s.answer = async () => { throw new Error('the vault is sealed') }
  await t.rejects(Promise.resolve(s.source.seek('access', 'garbage')), /sealed/)
})

t.test('an unknown kid of a refresh token waits for a reload that began after it arrived', async t => {
  const s = setting()
  const [secret, newer] = [deriveKeyRing([NEW_SECRET], 'refresh', 'HS256').signing.kid, rings([OLD.signs], [OLD_SECRET, NEW_SECRET])]
  let answer = (_rings: KeyRings): void => {}
  s.answer = async () => await new Promise(resolve => { answer = resolve })
  const periodic = s.source.reload()
  const late = s.source.seek('refresh', secret)
  await turn()
  t.equal(s.source.seek('refresh', 'another'), late, 'tokens that arrive until then share the next reload')
  const later = s.source.seek('refresh', 'junk')
  answer(rings([OLD.signs]))
  await periodic
  await turn()
  t.equal(s.asked, 2, 'the reload that ran already may have read the old secrets')
  answer(newer)
  await Promise.all([late, later])
  t.equal(s.source.seek('refresh', secret), undefined)
})

t.test('denial of service: unknown kids of refresh tokens cause at most one reload in a second', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const s = setting()
  await s.source.seek('refresh', 'junk')
  const waiting = Array.from({ length: 1000 }, async (_, nth) => await s.source.seek('refresh', `junk ${nth}`))
  mock.timers.tick(999)
  await turn()
  t.equal(s.asked, 1)
  mock.timers.tick(1)
  await Promise.all(waiting)
  t.equal(s.asked, 2)
})

t.test('an unknown kid of a refresh token rejects if the reload fails, and the next one tries again', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const s = setting()
  const sealed = new Error('the vault is sealed')
  let refuse = (_error: Error): void => {}
  s.answer = async () => await new Promise((_resolve, reject) => { refuse = reject })
  const periodic = t.rejects(s.source.reload(), sealed)
  const seeking = t.rejects(Promise.resolve(s.source.seek('refresh', 'new')), sealed)
  for (let nth = 0; nth < 2; nth++) {
    refuse(sealed)
    await turn()
  }
  await Promise.all([periodic, seeking])
  t.strictSame(s.events, [{ type: 'keys_reload_failed' }, { type: 'keys_reload_failed' }])
  s.answer = async () => rings([OLD.signs])
  const again = s.source.seek('refresh', 'new')
  mock.timers.tick(1000)
  await again
  t.equal(s.asked, 3)
})

t.test('key rotation: a service that only verifies follows changes, too', async t => {
  const s = setting(rings([OLD.verifies]))
  s.answer = async () => rings([NEW.verifies])
  await s.source.reload()
  t.strictSame(s.events, [{ type: 'keys_changed', kind: 'access', signing: null, kids: ['new'] }])
})

t.test('keys are read again while the app runs only if a function or a key set gives them', async t => {
  const of = <T>(changes: boolean, value: T) => ({ changes, read: () => value })
  const [secret, other, keys] = [of(false, [OLD_SECRET]), of(true, [NEW_SECRET]), of(true, createKeyRing([importKey(OLD.signs)]))]
  const cases: ReadonlyArray<readonly [sources: Partial<KeySettings>, changing: readonly string[]]> = [
    [{ secret }, []],
    [{ secret: other }, ['access', 'refresh']],
    [{ secret, keys }, ['access']],
    [{ secret, keys: { ...keys, changes: false } }, []],
    [{ secret: other, keys: { ...keys, changes: false } }, ['refresh']],
    [{ secret, refreshToken: { secret: other } }, ['refresh']],
    [{ secret: other, refreshToken: { secret } }, ['access']],
    [{ jwks: 'http://127.0.0.1:1/jwks' }, ['access']]
  ]
  for (const [sources, changing] of cases) {
    const settings: KeySettings = { reloadKeysEvery: 60, accessToken: { algorithm: 'HS256' }, timeouts: { call: 2, request: 3 }, clock: fakeClock().now, ...sources }
    const opened = await openKeys(settings, () => {}, Fastify().log)
    t.strictSame([...opened.changing], changing, Object.keys(sources).join())
  }
})

t.test('an unknown kid of an access token waits for a reload that runs, also in the seconds after another', async t => {
  const s = setting()
  await s.source.seek('access', 'garbage')
  s.answer = async () => rings([OLD.signs, NEW.verifies])
  const periodic = s.source.reload()
  await s.source.seek('access', 'new')
  t.ok(s.source.rings.access.byKid.has('new'))
  await periodic
})

t.test('the pause between reloads for refresh tokens keeps no process alive', async t => {
  const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const before = timers()
  await setting().source.seek('refresh', 'junk')
  t.equal(timers(), before)
})
