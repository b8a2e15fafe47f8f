import { type Reply } from './connection.js'

/** One Set-Cookie line, as received. */
export interface ReceivedCookie {
  readonly name: string
  readonly value: string
  /** Values of attributes by their name in lower case; '' for a flag. */
  readonly attributes: ReadonlyMap<string, string>
}

/** The line that clears the refresh cookie: the last one without a value, since former cookies are cleared first. */
export function clearedCookie (reply: Reply): ReceivedCookie | undefined {
  return cookiesOf(reply).findLast(({ value }) => value === '')
}

/** The line that sets the refresh cookie. Without its name, the last one whose value is a JWT: load balancers set cookies too. */
export function refreshCookie (reply: Reply, known: string | undefined): ReceivedCookie | undefined {
  return cookiesOf(reply).findLast(({ name, value }) => value.startsWith('eyJ') && name === (known ?? name))
}

/** Name and attributes without the value. */
export function describeCookie ({ name, attributes }: ReceivedCookie): string {
  const shown = [...attributes].filter(([attribute]) => attribute !== 'max-age' && attribute !== 'expires')
  return [name, ...shown.map(([attribute, value]) => value === '' ? attribute : `${attribute}=${value}`)].join('; ')
}

/** A browser replaces a cookie only by one of the same place (RFC 6265 section 5.3). */
export function isSamePlace (one: ReceivedCookie, other: ReceivedCookie): boolean {
  return one.name === other.name && ['path', 'domain', 'partitioned'].every(attribute => one.attributes.get(attribute) === other.attributes.get(attribute))
}

function cookiesOf ({ headers }: Reply): ReceivedCookie[] {
  return (headers['set-cookie'] ?? []).map(line => {
    const [[name, value], ...attributes] = line.split(';').map(splitPair) as [Pair, ...Pair[]] // split returns one part at least
    return { name, value, attributes: new Map(attributes.map(([attribute, value]) => [attribute.toLowerCase(), value])) }
  })
}

type Pair = readonly [name: string, value: string]

function splitPair (text: string): Pair {
  const equals = text.indexOf('=')
  return equals < 0 ? [text.trim(), ''] : [text.slice(0, equals).trim(), text.slice(equals + 1).trim()]
}
