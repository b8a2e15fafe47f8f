import t from 'tap'
import { optionTable } from '../../lib/options/schema.js'
import { rowsUnder } from '../support/documentation.js'

/** The settings of djangorestframework-simplejwt, as its documentation lists them after release 5.5.1. */
const SETTINGS = [
  'ACCESS_TOKEN_LIFETIME', 'REFRESH_TOKEN_LIFETIME', 'ROTATE_REFRESH_TOKENS', 'BLACKLIST_AFTER_ROTATION', 'UPDATE_LAST_LOGIN',
  'ALGORITHM', 'SIGNING_KEY', 'VERIFYING_KEY', 'AUDIENCE', 'ISSUER', 'JSON_ENCODER', 'JWK_URL', 'LEEWAY',
  'AUTH_HEADER_TYPES', 'AUTH_HEADER_NAME', 'USER_ID_FIELD', 'USER_ID_CLAIM', 'USER_AUTHENTICATION_RULE', 'ON_LOGIN_SUCCESS', 'ON_LOGIN_FAILED',
  'AUTH_TOKEN_CLASSES', 'TOKEN_TYPE_CLAIM', 'TOKEN_USER_CLASS', 'JTI_CLAIM',
  'SLIDING_TOKEN_REFRESH_EXP_CLAIM', 'SLIDING_TOKEN_LIFETIME', 'SLIDING_TOKEN_REFRESH_LIFETIME',
  'TOKEN_OBTAIN_SERIALIZER', 'TOKEN_REFRESH_SERIALIZER', 'TOKEN_VERIFY_SERIALIZER', 'TOKEN_BLACKLIST_SERIALIZER',
  'SLIDING_TOKEN_OBTAIN_SERIALIZER', 'SLIDING_TOKEN_REFRESH_SERIALIZER',
  'CHECK_REVOKE_TOKEN', 'REVOKE_TOKEN_CLAIM', 'CHECK_USER_IS_ACTIVE'
]

const rows = rowsUnder('setting', 'its default', 'here')

t.test('the table has a row for every setting', async t => {
  t.strictSame(rows.map(([name]) => name).sort(), SETTINGS.map(name => `\`${name}\``).sort())
})

t.test('every row names the replacement, or that there is none', async t => {
  for (const [name = '', fallback, here] of rows) t.ok(fallback && here, name)
})

t.test('the options that it names exist', async t => {
  const groups = Object.entries(optionTable.checks).map(([name, check]) => [name, (check as { checks?: object }).checks] as const) // only groups have them
  const options = new Set(groups.flatMap(([name, inner]) => inner === undefined ? [name] : Object.keys(inner).map(member => `${name}.${member}`)))
  const named = rows.flatMap(([, , here = '']) => here.match(/`(?:[a-z]\w+\.\w+|secret|store|keys|issuer|audience|onEvent|formatTokenResponse)`/g) ?? []).map(name => name.slice(1, -1))
  t.ok(named.length > 15)
  t.strictSame(named.filter(name => !options.has(name)), [])
})
