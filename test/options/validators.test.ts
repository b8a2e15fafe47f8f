import t from 'tap'
import { callback, defaultTo, duration, flag, group, integer, listOf, oneOf, oneOrMore, optional, orFalse, refuse, text, type Check } from '../../lib/options/validators.js'

/** One value of every JavaScript type. */
const EVERYTHING: readonly unknown[] = [
  undefined, null, true, false, 0, -0, 1, -1, 0.5, NaN, Infinity, -Infinity, 2 ** 53, 1n, '', ' ', 'a', '1', '15m', '0s', 'true',
  Symbol('s'), [], ['a'], [[]], {}, { a: 1 }, Object.create(null), () => {}, class {}, new Date(0), /a/, new Map(), Buffer.from('a'), Promise.resolve()
]

/** The values that a validator accepts, as it returns them. */
function passed (check: Check<unknown>): unknown[] {
  return EVERYTHING.flatMap(value => {
    try {
      return [check(value, 'x')]
    } catch (error) {
      if (error instanceof TypeError && error.message.startsWith('option "x')) return []
      throw error
    }
  })
}

t.test('a validator accepts its own kind and refuses everything else by name', async t => {
  t.strictSame(passed(flag), [true, false])
  t.strictSame(passed(text), [' ', 'a', '1', '15m', '0s', 'true'])
  t.strictSame(passed(oneOf('a', 'b')), ['a'])
  t.equal(passed(callback()).length, 2, 'functions')
  t.strictSame(passed(orFalse(listOf(flag))), [false, []])
  t.strictSame(passed(listOf(flag)), [[]])
  t.strictSame(passed(listOf(text)), [[], ['a']])
  t.strictSame(passed(oneOrMore(oneOf('a'))), ['a', [], ['a']])
  t.strictSame(passed(optional(flag)), [undefined, true, false])
  t.strictSame(passed(integer(0, 1)), [0, -0, 1])
  t.strictSame(passed(integer(-1, 2 ** 53 - 1)), [0, -0, 1, -1])
  t.strictSame(passed(duration(0, 900)), [0, -0, 1, 900, 0])
  t.strictSame(passed(duration(1, 900)), [1, 900])
})

t.test('a duration is whole seconds or a number with its unit, within its bounds', async t => {
  const check = duration(60, 3600)
  for (const [value, seconds] of [[60, 60], ['60s', 60], ['1m', 60], ['1h', 3600], [3600, 3600]] as const) t.equal(check(value, 'x'), seconds)
  for (const value of [59, '59s', 3601, '61m', '2h', '1d', '1w', '90', '1 m', '1M', 'm', '1.5m', '-1m', '1e3s', '0x10s', '٣m', '9999999999s', new Date()]) {
    t.throws(() => check(value, 'x'), TypeError, String(value))
  }
})

t.test('a missing option has its default, written as a user would write it', async t => {
  const check = defaultTo('15m', duration(1, 3600))
  t.equal(check(undefined, 'x'), 900)
  t.equal(check('1m', 'x'), 60)
  t.equal(check.fallback, '15m')
  t.throws(() => check(null, 'x'), TypeError, 'null is not a missing value')
})

t.test('an error names the option, the value and the fix in one line', async t => {
  t.throws(() => refuse('cookie.path', 'auth', 'begin with a slash'), new TypeError('option "cookie.path" is \'auth\': begin with a slash'))
  t.throws(() => listOf(flag)([true, 'yes'], 'list'), /^option "list\[1\]" is 'yes'/, 'a member by its index')
  for (const value of ['x'.repeat(10_000), Array.from({ length: 500 }, () => 'abc'), { a: { b: { c: 'deep' } } }, 'two\nlines', { a: 1, b: [2] }]) {
    try {
      flag(value, 'x')
    } catch (error) {
      t.ok(String(error).length < 1000, 'short')
      t.notMatch(String(error), /\n|deep/)
    }
  }
})

t.test('a list is a frozen copy', async t => {
  const mine = ['a']
  const read = listOf(text)(mine, 'x')
  t.not(read, mine)
  t.ok(Object.isFrozen(read))
  t.notOk(Object.isFrozen(mine))
})

const colours = group({ red: defaultTo(true, flag), green: optional(text), deep: group({ blue: defaultTo(1, duration(0, 9)) }) })

t.test('a group validates every option with its path and defaults', async t => {
  t.strictSame(colours(undefined, ''), { red: true, green: undefined, deep: { blue: 1 } })
  t.strictSame(colours({ red: false, deep: { blue: '2s' } }, ''), { red: false, green: undefined, deep: { blue: 2 } })
  t.throws(() => colours({ deep: { blue: 'x' } }, ''), /^option "deep\.blue" is/)
  t.throws(() => colours({ deep: { blue: 'x' } }, 'colours'), /^option "colours\.deep\.blue" is/)
})

t.test('a group is deeply frozen, and the object of the caller is unchanged', async t => {
  const mine = Object.freeze({ deep: { blue: 2 } })
  const read = colours(mine, '')
  t.ok(Object.isFrozen(read) && Object.isFrozen(read.deep))
  t.strictSame(mine, { deep: { blue: 2 } })
  t.notOk(Object.isFrozen(mine.deep))
})

t.test('information leak: an invalid group is refused without printing it', async t => {
  for (const value of [null, 'hunter2', 1, ['hunter2'], () => 'hunter2', true]) {
    t.throws(() => colours(value, 'deep'), /^option "deep" must be an object$/)
    t.throws(() => colours(value, ''), /^the options must be an object$/)
  }
})

t.test('an unknown option is refused with the nearest known one, whatever its value', async t => {
  const suggestions: ReadonlyArray<readonly [string, string]> = [
    ['RED', 'red'], ['re', 'red'], ['greeen', 'green'], ['depe', 'deep'], ['read', 'red']
  ]
  for (const [typed, meant] of suggestions) t.throws(() => colours({ [typed]: 'hunter2' }, ''), new RegExp(`^unknown option "${typed}"; did you mean "${meant}"\\?$`))
  t.throws(() => colours({ keys: 'hunter2' }, ''), /^unknown option "keys"; known are/, 'no similar name')
  t.throws(() => colours({ transparency: 'hunter2' }, ''), /^unknown option "transparency"; known are red, green, deep$/)
  t.throws(() => colours({ deep: { blu: 1 } }, 'c'), /^unknown option "c\.deep\.blu"; did you mean "blue"\?$/)
  t.throws(() => group({})({ a: 1 }, ''), /^unknown option "a"/, 'without known names')
})

t.test('prototype pollution: names that every object has are unknown options too', async t => {
  for (const name of ['constructor', 'toString', 'hasOwnProperty']) t.throws(() => colours({ [name]: 1 }, ''), /^unknown option/, name)
  t.throws(() => colours(JSON.parse('{"__proto__":{"red":false}}'), ''), /^unknown option "__proto__"/)
})

t.test('an option that is undefined is missing', async t => {
  t.strictSame(colours({ red: undefined, green: undefined, deep: undefined }, ''), colours({}, ''))
})
