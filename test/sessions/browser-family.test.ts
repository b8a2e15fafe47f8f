import t from 'tap'
import { isSameUserAgent } from '../../lib/sessions/rotation-policy.js'

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0'

const PAIRS: Array<[one: string | null, other: string | null, same: boolean, title: string]> = [
  [FIREFOX, FIREFOX, true, 'itself'],
  [FIREFOX, FIREFOX.replaceAll('130.0', '131.0'), true, 'after an update'],
  ['Safari/605.1.15 (Mac OS X 10_15_7)', 'Safari/617.2 (Mac OS X 14_0)', true, 'after an update of the system'],
  [FIREFOX, FIREFOX.replace('X11; Linux', 'Windows NT 10.0; Win64'), false, 'on another machine'],
  [FIREFOX, 'curl/8.0.1', false, 'another program'],
  [FIREFOX, '', false, 'nothing'],
  [FIREFOX, null, false, 'no header'],
  [null, null, true, 'no header twice'],
  [null, '', true, 'no header and nothing']
]

t.test('a browser family does not depend on the version', async t => {
  for (const [one, other, same, title] of PAIRS) {
    t.equal(isSameUserAgent(one, other), same, title)
    t.equal(isSameUserAgent(other, one), same, `${title}, the other way round`)
  }
})
