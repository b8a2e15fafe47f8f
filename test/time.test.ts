import t from 'tap'
import { parseDuration, systemClock, wholeSeconds } from '../lib/time.js'

const DURATIONS: Array<[written: unknown, seconds: number]> = [
  [0, 0], [1, 1], [900, 900], [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ['0s', 0], ['1s', 1], ['90s', 90], ['15m', 900], ['2h', 7200], ['30d', 2_592_000], ['2w', 1_209_600],
  ['007m', 420], ['999999999s', 999_999_999]
]

const NO_DURATIONS: unknown[] = [
  -1, 1.5, NaN, Infinity, -Infinity, 2 ** 53,
  '', '15', 'm', '15 m', ' 15m', '15m ', '15m\n', '-15m', '+15m', '1.5h', '1e3s', '15M', '15ms', '15min', '1h30m',
  '1y', '1234567890s', '١٥m', '1__proto__', 'constructor',
  null, undefined, true, 15n, [], ['15m'], {}, new Date(0), () => 900
]

t.test('a duration is whole seconds, or a whole number with its unit', async t => {
  for (const [written, seconds] of DURATIONS) t.equal(parseDuration(written), seconds, String(written))
})

t.test('everything else is refused', async t => {
  for (const written of NO_DURATIONS) t.equal(parseDuration(written), null, `${typeof written} ${String(written)}`)
})

t.test('the system clock returns whole seconds', async t => {
  t.intercept(Date, 'now', { value: () => 1_893_456_000_999 })
  t.equal(systemClock(), 1_893_456_000)
})

t.test('a clock with fractions is read in whole seconds', async t => {
  t.equal(wholeSeconds(() => 1_893_456_000.999)(), 1_893_456_000)
  t.equal(wholeSeconds(systemClock), systemClock)
})
