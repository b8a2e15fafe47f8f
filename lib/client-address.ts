import { isIP, SocketAddress } from 'node:net'

/**
 * Normalises the address of a connection, or from a proxy, to its canonical spelling (RFC 5952): without the port and the
 * brackets that some proxies write (`203.0.113.9:4711`, `[2001:db8::1]:443`) and without a zone (`%eth0`). An IPv4 address
 * inside IPv6 (RFC 4291 section 2.5.5.2, and RFC 6052 section 2.1 for NAT64) becomes the IPv4 address, since one /64 holds
 * all of them. Null if the text is no address.
 */
export function readAddress (text: string | null | undefined): string | null {
  // A spoofed header can be as long as the limit of all headers together.
  if (text == null || text.length > 100) return null
  const [, inBrackets] = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text) ?? []
  const [, beforePort] = /^([\d.]+):\d{1,5}$/.exec(text) ?? []
  const [address = ''] = (inBrackets ?? beforePort ?? text).split('%')
  const version = isIP(address)
  if (version !== 6) return version === 4 ? address : null
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address
  const [, ipv4] = /^::ffff:([\d.]+)$/.exec(canonical) ?? []
  return ipv4 ?? translated(canonical) ?? canonical
}

/** The IPv4 address inside a NAT64 address (`64:ff9b::/96`); undefined for any other. */
function translated (canonical: string): string | undefined {
  const [match, high = '0', low = '0'] = /^64:ff9b::(?:(?:([\da-f]{1,4}):)?([\da-f]{1,4}))?$/.exec(canonical) ?? []
  if (match === undefined) return undefined
  return [high, low].map(group => Number.parseInt(group, 16)).flatMap(group => [group >> 8, group & 255]).join('.')
}

/**
 * The network of an address of `readAddress`: an IPv4 address itself, or the first bits of an IPv6 address, by default 64,
 * since one household or one server has at least a whole /64. The owner of one IPv4 address has a /48 of 6to4 (RFC 3056). All
 * requests without an address share one network.
 */
export function networkOf (address: string | null, bits: 48 | 64 = 64): string {
  if (address === null || isIP(address) !== 6) return address ?? ''
  const [head = [], tail = []] = address.split('::').map(part => part.split(':').filter(group => group !== ''))
  const zeros = Array<string>(8 - head.length - tail.length).fill('0') // without "::" the head has all eight groups
  const length = head[0] === '2002' ? 48 : bits
  return `${[...head, ...zeros, ...tail].slice(0, length / 16).join(':')}::/${length}`
}
