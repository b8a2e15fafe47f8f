import t from 'tap'
import { claimsOf, headerOf, jws, keyOf } from '../tokens/forge.js'
import { START } from '../support/server.js'
import { summaryOf, openEntryPoints, type EntryPoint } from './entry-points.js'

const KINDS = { bearer: 'access', cookie: 'refresh' } as const

/** Invalid JSON (RFC 8259), after the n_ files of JSONTestSuite. */
const NO_JSON: readonly string[] = [
  '', ' ', '\0', '\uFEFF{}', '{', '}', '{]', '[}', '{}}', '{}{}', '{},', '{,}', '{"a"}', '{"a":}', '{"a":1,}', '{"a":1,,"b":2}', '{a:1}', "{'a':1}", '{"a" 1}', '{"a"::1}', '{"a":1 "b":2}', '{1:1}', '{"a":1}#', '{"a":1}//', '{"a":/**/1}',
  '[1,]', '[,1]', '[1,,2]', '["a" "b"]', '["a', '["a\n"]', '["\t"]', '["\\x00"]', '["\\a"]', '["\\u00A"]', '["\\uD800\\u"]', '["\\"]', '[\\n]', '["a"]]', 'nul', 'TRUE', 'tru', 'undefined', 'NaN', 'Infinity', '-Infinity', "'a'", '"a', 'a', '<a>',
  '+1', '01', '-01', '1.', '.1', '-', '--1', '1e', '1e+', '1eE2', '0x10', '1_000', '1 000', '0.', '-.5', '2.e3', '\u0661', '1a', '[1]x', '{"a":1}\0', '\u2060{}', '{\u00a0}', '{"a":\u00a01}'
]

/** JSON that is not an object of claims. */
const NO_OBJECT: readonly string[] = ['null', 'true', 'false', '0', '-0', '1e400', '1', '"text"', '""', '[]', '[[]]', '[{}]', `[${JSON.stringify(claimsOf('access'))}]`, `"${'x'.repeat(1000)}"`, '9'.repeat(1000)]

/** Numbers that are valid JSON but no time. */
const NO_TIMES: readonly string[] = ['-0.1', '1e400', '-1e400', '1e300', '123123e100000', '0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999969999999006', '-123123123123123123123123123123', '100000000000000000000', '9007199254740993',
  `${START}.5`, `${START}.000001`, `"${START}"`, `[${START}]`, `{"$date":${START}}`, '"1e9"', '" 1"', 'true', '[]', '{}', 'null', '""', '"Infinity"', '1e-7', '-1']

/** A payload from text: valid claims, except for one. */
function withClaim (entryPoint: EntryPoint, name: string, json: string): string {
  const { [name]: _, ...others } = claimsOf(KINDS[entryPoint])
  return `${JSON.stringify(others).slice(0, -1)},"${name}":${json}}`
}

t.test('fuzzing: any JSON or invalid JSON in header or payload gets a 401', async t => {
  const entryPoints = await openEntryPoints(t)
  const good: Array<readonly [what: string, entryPoint: EntryPoint]> = []

  async function send (entryPoint: EntryPoint, what: string, header: unknown, payload: unknown, expected: 'ok' | 'refused' = 'refused'): Promise<void> {
    const verdict = await entryPoints.send(entryPoint, jws(header, payload, keyOf(KINDS[entryPoint]).secret))
    if (verdict !== expected) t.fail(`${what} at ${entryPoint}: ${verdict}`)
    if (verdict === 'ok') good.push([what, entryPoint])
  }

  for (const entryPoint of ['bearer', 'cookie'] as const) {
    const kind = KINDS[entryPoint]
    const [header, claims] = [JSON.stringify(headerOf(kind)), JSON.stringify(claimsOf(kind))]
    for (const text of [...NO_JSON, ...NO_OBJECT]) {
      await send(entryPoint, `payload ${text.slice(0, 20)}`, header, text)
      await send(entryPoint, `header ${text.slice(0, 20)}`, text, claims)
    }
    for (const name of kind === 'access' ? ['iat', 'exp', 'nbf', 'auth_time'] : ['iat', 'exp', 'end', 'auth_time', 'gen']) {
      for (const number of NO_TIMES) await send(entryPoint, `${name} ${number.slice(0, 20)}`, header, withClaim(entryPoint, name, number))
    }

    for (const depth of [10, 500, 1500]) {
      await send(entryPoint, `a list nested ${depth} times, alone`, header, `${'['.repeat(depth)}${']'.repeat(depth)}`)
      await send(entryPoint, `a list nested ${depth} times`, header, withClaim(entryPoint, 'sub', `${'['.repeat(depth)}${']'.repeat(depth)}`))
      await send(entryPoint, `an object nested ${depth} times, without end`, header, '{"a":'.repeat(depth))
      await send(entryPoint, `a header nested ${depth} times`, `{"a":${'['.repeat(depth)}${']'.repeat(depth)},${header.slice(1)}`, claims, 'ok')
    }
    await send(entryPoint, 'the wrong subject before no subject', header, `{"sub":"1",${claims.slice(1, -1)},"sub":null}`)
    await send(entryPoint, 'two subjects, of which the last counts', header, `{"sub":null,${claims.slice(1)}`, 'ok')
    await send(entryPoint, 'two kinds, of which the last counts', `${header.slice(0, -1)},"typ":"JWT"}`, claims)
    await send(entryPoint, 'two algorithms, of which the last counts', `${header.slice(0, -1)},"alg":"none"}`, claims)
    await send(entryPoint, 'two kinds, the last of which is ours', `{"typ":"JWT",${header.slice(1)}`, claims, 'ok')
    await send(entryPoint, 'a name with an escape', header, claims.replace('"sub"', '"\\u0073ub"'), 'ok')
    await send(entryPoint, 'a prototype', header, claims.replace('"sub":"1"', '"__proto__":{"sub":"1"}'))
    await send(entryPoint, 'a prototype besides', header, withClaim(entryPoint, '__proto__', '{"admin":true}'), 'ok')
    await send(entryPoint, 'white space', ` ${header}\n`, `\t${claims}\r\n`, 'ok')
    await send(entryPoint, 'a time with an exponent', header, withClaim(entryPoint, 'iat', '1767225600e0'), 'ok')
    await send(entryPoint, 'a time with a fraction of zero', header, withClaim(entryPoint, 'iat', '1767225600.0'), 'ok')
    await send(entryPoint, 'a time that rounds to zero', header, withClaim(entryPoint, 'auth_time', '1e-400'), 'ok')
    await send(entryPoint, 'half of a character', header, claims.replace('"1"', '"\\ud800"'))
  }
  t.strictSame(entryPoints.errorLines, [])
  t.equal(entryPoints.counts.get('ok'), good.length)
  t.equal((await entryPoints.app.inject({ url: '/me' })).statusCode, 401, 'and no prototype has changed')
  t.notOk('admin' in {})
  t.comment(`JSON, ${summaryOf(entryPoints.counts)} (${[...new Set(good.map(([what]) => what))].join('; ')})`)
})
