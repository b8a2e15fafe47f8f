import t from 'tap'
import { assertFound, isSubject, MAX_SUBJECT_LENGTH, subjectOf } from '../../lib/tokens/subject.js'

const NO_SUBJECTS = [undefined, null, 1, 0, true, [], ['ada'], {}, '', 'a'.repeat(MAX_SUBJECT_LENGTH + 1), 'a\0b', '\0', '\uD800', 'a\uDC00']

t.test('a subject is text that every database stores unchanged', async t => {
  for (const subject of NO_SUBJECTS) t.notOk(isSubject(subject), JSON.stringify(subject))
  for (const subject of ['a', '0', 'ada@example.com', 'a'.repeat(MAX_SUBJECT_LENGTH), 'Ada Lovelace', '用户', '👩‍💻', ' ']) t.ok(isSubject(subject), subject)
})

/** Like an ObjectId of MongoDB: an object whose toString returns the id. */
class ObjectId {
  readonly #hex: string
  constructor (hex: string) { this.#hex = hex }
  toString (): string { return this.#hex }
}

t.test('the subject of a user is the id as text', async t => {
  const ids: Array<[id: unknown, subject: string]> = [
    ['ada', 'ada'], [7, '7'], [0, '0'], [-1, '-1'], [7n, '7'], [2n ** 63n, '9223372036854775808'],
    [new ObjectId('65f0c0ffee65f0c0ffee65f0'), '65f0c0ffee65f0c0ffee65f0'],
    [{ toString: () => 'a' }, 'a']
  ]
  for (const [id, subject] of ids) t.equal(subjectOf(id), subject)
})

t.test('account confusion: an invalid id is refused with the fix, so two users never share a subject', async t => {
  const wrong: Array<[id: unknown, named: string]> = [
    [undefined, 'undefined'], [null, 'null'], ['', 'an empty string'], ['a'.repeat(MAX_SUBJECT_LENGTH + 1), 'a string'], [true, 'a boolean'],
    [NaN, 'a number'], [Infinity, 'a number'], [1.5, 'a number'], [2 ** 53, 'a number'], [Symbol('7'), 'a symbol'], [() => 7, 'a function'],
    [{}, 'an object of the class Object'], [Object.create(null), 'an object of the class null'], [new Map([['id', 7]]), 'an object of the class Map'],
    [Promise.resolve(7), 'an object of the class Promise'], [[], 'an object of the class Array'], [['ada'], 'an object of the class Array'],
    [new Date(0), 'an object of the class Date'], [Buffer.from('ada'), 'an object of the class Buffer'], [new Uint8Array(16), 'an object of the class Uint8Array'],
    [new ObjectId(''), 'an object of the class ObjectId'], [new ObjectId('\ufffd\u0001'), 'an object of the class ObjectId'], [{ toString: () => 7 }, 'an object of the class Object']
  ]
  for (const [id, named] of wrong) {
    t.throws(() => subjectOf(id, 'users.create'), { name: 'TypeError', message: `users.create gave ${named} as the id of a user: it must be a string` }, named)
  }
})

t.test('the user that was found must have exactly the id that was asked for', async t => {
  for (const id of ['5', 5, 5n, new ObjectId('5')]) t.doesNotThrow(() => assertFound(id, '5'), String(id))
  for (const id of ['6', '05', '5 ', 6, 6n, new ObjectId('6')]) t.throws(() => assertFound(id, '5'), { name: 'TypeError', message: /^"users.findById" gave another user/ }, String(id))
  for (const id of [undefined, null, true, ['5'], Buffer.from('5'), {}, '']) t.throws(() => assertFound(id, '5'), { name: 'TypeError', message: /^"users.findById" gave .* as the id of a user/ }, typeof id)
  for (const id of [5.5, NaN, 2 ** 53]) t.throws(() => assertFound(id, String(id)), { name: 'TypeError', message: /^"users.findById" gave a number as the id/ }, `an inexact number, ${id}`)
})
