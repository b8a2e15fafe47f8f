import Fastify from 'fastify'
import t from 'tap'
import refreshCookie, { type KeyOptions } from '../../lib/index.js'
import { generateKey } from '../support/keys.js'
import { SECRET } from '../support/server.js'
import { ENTRY_POINTS, summaryOf, openEntryPoints } from './entry-points.js'
import { withoutVectors, wycheproof, type WycheproofGroup, type WycheproofKey } from './shared.js'

const SIGNER = generateKey('EdDSA', 'signer').signs

/** The keys of a group as a key ring that only verifies. */
function ringOf ({ private: secret, public: half }: WycheproofGroup): KeyOptions[] {
  return keysOf(half ?? secret).map(jwk => ({
    kid: String(jwk.kid),
    // The algorithm of the key itself, or that of its token if they differ.
    algorithm: String(jwk.alg ?? 'RS256') as KeyOptions['algorithm'], // some are none of ours, and refused for it
    use: 'verify',
    ...(jwk.kty === 'oct' ? { secret: jwk } : { publicKey: jwk })
  }))
}

function keysOf (key: WycheproofKey): readonly WycheproofKey[] {
  return key.keys ?? [key]
}

/** Valid keys, whose tokens are tested; every other one stops the start. Those of 13 to 15 are valid, but their bytes count up from 0. */
const GOOD = [2, 3, 5]
/** Wycheproof passes a key set without an algorithm, which makes it ambiguous; each of our keys has one. */
const UNAMBIGUOUS = [1]

t.test('Wycheproof keys: bad ones are refused at start, and no token of any is accepted', { skip: withoutVectors }, async t => {
  const refused: number[] = []
  const total = new Map<string, number>()
  for (const group of wycheproof('wycheproof-jwk.json')) {
    const keys = [SIGNER, ...ringOf(group)]
    const register = async (): Promise<void> => { await Fastify().register(refreshCookie, { secret: SECRET, keys }) }
    const [first] = group.tests
    const isGood = group.tests.every(({ tcId }) => [...GOOD, ...UNAMBIGUOUS].includes(tcId))
    if (!isGood) {
      await t.rejects(register(), TypeError, `${first?.tcId} ${group.comment}: ${first?.comment}`)
      refused.push(...group.tests.map(({ tcId }) => tcId))
      continue
    }
    const entryPoints = await openEntryPoints(t, keys)
    for (const { tcId, comment, jws } of group.tests) {
      for (const entryPoint of ENTRY_POINTS) t.equal(await entryPoints.send(entryPoint, String(jws)), 'refused', `${tcId} ${group.comment}: ${comment}`)
    }
    t.strictSame(entryPoints.errorLines, [])
    for (const [verdict, count] of entryPoints.counts) total.set(verdict, (total.get(verdict) ?? 0) + count)
  }
  t.comment(`26 tests: the keys of ${refused.length} refused at the start; tokens of the others, ${summaryOf(total)} (their payload is "foo")`)
})
