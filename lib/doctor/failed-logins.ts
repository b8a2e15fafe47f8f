import { randomId } from '../random.js'
import { type Reply, type Send } from './connection.js'
import { type Account } from './target.js'
import { answerOf, finding, ok, skipped, type Verdict } from './verdict.js'

/** Three of each stay below the limit of failures of an account, 10 in 15 minutes by default. */
const SAMPLES = 3

/** A difference below this is noise of the network. */
const NOISE_MS = 20

/** Compares failed logins of a known and of an unknown name, one after the other: neither reply nor time may tell them apart (user enumeration). */
export async function timeFailedLogins (send: Send, headers: Readonly<Record<string, string>>, { field, username }: Account): Promise<Verdict> {
  const attempt = async (name: string): Promise<Reply> => await send({ method: 'POST', path: '/login', headers, json: { [field]: name, password: randomId() } })
  const known: Reply[] = []
  const unknown: Reply[] = []
  for (let sample = 0; sample < SAMPLES; sample++) {
    unknown.push(await attempt(`doctor-${randomId()}`))
    known.push(await attempt(username))
  }
  const answers = [known, unknown].map(replies => [...new Set(replies.map(answerOf))].join(', '))
  const [ofKnown, ofUnknown] = answers
  if (answers.some(answer => answer.includes('429'))) return skipped('too many attempts: wait for the rate limit, and run again')
  if (ofKnown !== ofUnknown) return finding(`a failed login answers ${ofKnown} for a known name and ${ofUnknown} for an unknown one`, 'Answer both alike, or anybody can find out who has an account')

  const times = { known: fastest(known), unknown: fastest(unknown) }
  const seen = `${times.known} ms for a known name, ${times.unknown} ms for an unknown one`
  const [short, long] = [times.known, times.unknown].sort((one, other) => one - other) as [number, number] // two numbers
  if (long <= 2 * short + NOISE_MS) return ok(`no difference beyond noise: a failed login takes ${seen}`)
  return finding(`a failed login takes ${seen}`, 'Let the plugin verify the password, which hashes for unknown names too, and rehash old hashes: the time shows who has an account')
}

/** The fastest of several replies has the least noise. */
function fastest (replies: readonly Reply[]): number {
  return Math.min(...replies.map(({ sentAt, endedAt }) => endedAt - sentAt))
}
