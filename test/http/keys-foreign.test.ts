import { spawnSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto'
import { createLocalJWKSet, jwtVerify, SignJWT } from 'jose'
import t, { type Test } from 'tap'
import { isHmac, type Algorithm } from '../../lib/keys/ring.js'
import { claimsOf } from '../tokens/forge.js'
import { ALGORITHMS, generateKey, pem, type TestKey } from '../support/keys.js'
import { loggedIn, START, type Browser } from '../support/server.js'

/** Another implementation of JSON Web Tokens. */
interface Foreigner {
  /** The payload of a token, or null if it is refused. */
  verify (token: string, key: KeyObject, algorithm: Algorithm): Promise<Record<string, unknown> | null>
  sign (header: object, claims: object, key: KeyObject, algorithm: Algorithm): Promise<string>
}

const OURS = { issuer: 'https://login.example', audience: 'api' }
const NOW = new Date(START * 1000)

function signingHalf ({ signs }: TestKey): KeyObject {
  return signs.secret === undefined ? createPrivateKey(String(signs.privateKey)) : createSecretKey(String(signs.secret), 'utf8')
}

function verifyingHalf (key: TestKey): KeyObject {
  const half = signingHalf(key)
  return half.type === 'secret' ? half : createPublicKey(half)
}

const jose: Foreigner = {
  async verify (token, key, algorithm) {
    return await jwtVerify(token, key, { ...OURS, algorithms: [algorithm], typ: 'at+jwt', currentDate: NOW }).then(({ payload }) => payload, () => null)
  },
  async sign (header, claims, key, algorithm) {
    return await new SignJWT({ ...claims }).setProtectedHeader({ ...header, alg: algorithm }).sign(key)
  }
}

/** Reads commands as lines of JSON, and writes the results. */
const PYTHON = `
import json, sys, jwt
task = json.load(sys.stdin)
if "token" in task:
    try:
        options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "require": ["exp", "iat", "sub", "jti"]}
        result = jwt.decode(task["token"], task["key"], algorithms=[task["algorithm"]], issuer=task["issuer"], audience=task["audience"], options=options)
    except jwt.exceptions.PyJWTError:
        result = None
else:
    result = jwt.encode(task["claims"], task["key"], algorithm=task["algorithm"], headers=task["header"])
print(json.dumps(result))
`

function pyjwt (python: string): Foreigner {
  function run<T> (task: object, key: KeyObject): T {
    const input = JSON.stringify({ ...task, ...OURS, key: key.type === 'secret' ? key.export().toString() : pem(key) })
    const { status, stdout, stderr } = spawnSync(python, ['-c', PYTHON], { input, encoding: 'utf8', timeout: 30_000 })
    if (status !== 0) throw new Error(stderr)
    return JSON.parse(stdout)
  }
  return {
    verify: async (token, key, algorithm) => run({ token, algorithm }, key),
    sign: async (header, claims, key, algorithm) => run({ header, claims, algorithm }, key)
  }
}

/** A Python with PyJWT and its dependencies for key pairs; Debian's is not the first in the path everywhere. */
const python = ['/usr/bin/python3', 'python3'].find(command => spawnSync(command, ['-c', 'import jwt, cryptography'], { timeout: 30_000 }).status === 0)

/** A server with one key and a logged-in user. */
async function ours (t: Test, key: TestKey): Promise<{ ada: Browser, token: string, jwks: () => Promise<unknown>, send: (token: string) => Promise<number> }> {
  const { ada, app } = await loggedIn(t, { keys: [key.signs], ...OURS, accessToken: { claims: () => ({ role: 'admin', name: 'Ä ö 🙂' }) } })
  return {
    ada,
    token: String(ada.accessToken),
    jwks: async () => (await app.inject({ url: '/auth/jwks' })).json(),
    send: async token => (await app.inject({ url: '/me', headers: { authorization: `Bearer ${token}` } })).statusCode
  }
}

async function exchangesTokens (t: Test, foreigner: Foreigner): Promise<void> {
  for (const algorithm of ALGORITHMS) {
    const key = generateKey(algorithm, 'k1')
    const stranger = generateKey(algorithm, 'k1')
    const { token, send } = await ours(t, key)
    t.match(await foreigner.verify(token, verifyingHalf(key), algorithm), { sub: '1', iss: OURS.issuer, aud: OURS.audience, iat: START, exp: START + 600, role: 'admin', name: 'Ä ö 🙂' }, `${algorithm}: it takes ours`)
    t.equal(await foreigner.verify(token, verifyingHalf(stranger), algorithm), null, `${algorithm}: not by another key`)

    const header = { typ: 'at+jwt', kid: 'k1' }
    const claims = { ...claimsOf('access'), iss: OURS.issuer, aud: [OURS.audience, 'web'] }
    t.equal(await send(await foreigner.sign(header, claims, signingHalf(key), algorithm)), 200, `${algorithm}: we take its`)
    t.equal(await send(await foreigner.sign(header, claims, signingHalf(stranger), algorithm)), 401, `${algorithm}: not by another key`)
    t.equal(await send(await foreigner.sign({ kid: 'k1' }, claims, signingHalf(key), algorithm)), 401, `${algorithm}: not of another type`)
  }
}

t.test('interoperability: jose and the plugin accept each other\'s tokens, for every algorithm', async t => await exchangesTokens(t, jose))

t.test('interoperability: PyJWT and the plugin accept each other\'s tokens, for every algorithm', { skip: python === undefined && 'no Python here has PyJWT: apt install python3-jwt python3-cryptography' }, async t => await exchangesTokens(t, pyjwt(String(python))))

t.test('interoperability: jose verifies tokens with the published JWK Set', async t => {
  for (const algorithm of ALGORITHMS.filter(name => !isHmac(name))) {
    const { token, jwks } = await ours(t, generateKey(algorithm, 'k1'))
    const keys = createLocalJWKSet(await jwks() as Parameters<typeof createLocalJWKSet>[0])
    t.match(await jwtVerify(token, keys, { ...OURS, currentDate: NOW }), { payload: { sub: '1' }, protectedHeader: { alg: algorithm, kid: 'k1' } })
  }
})
