import { type Observations } from './observations.js'
import { answerOf, fieldsOf, finding, ok, skipped, type Verdict } from './verdict.js'

/** The private members of a JSON Web Key (RFC 7518 section 6). */
const PRIVATE = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

export function checkJwks ({ jwks }: Observations): Verdict {
  if (jwks.status === 401 || jwks.status === 404) return skipped('GET /jwks is not served') // an app may answer 401 to each unknown path
  const { keys } = fieldsOf(jwks)
  if (!Array.isArray(keys)) return finding(`GET /jwks answered ${answerOf(jwks)} without keys`, 'Lead this path to the app: services that verify tokens read their keys there')
  const published = keys.map(key => Object.keys(Object(key)))
  if (published.some(members => members.some(member => PRIVATE.includes(member)))) {
    return finding('GET /jwks publishes a private key', 'Take it offline now, and replace this key: anybody can sign tokens')
  }
  const complete = published.filter(members => ['kid', 'alg'].every(member => members.includes(member)))
  if (complete.length === 0) return finding('GET /jwks has no key with kid and alg', 'Lead this path to the app: services that verify tokens read their keys there')
  return ok(`${complete.length} public ${complete.length === 1 ? 'key' : 'keys'}`)
}
