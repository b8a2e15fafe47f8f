import { isIP, SocketAddress } from 'node:net'

/**
 * An IP address in its one spelling (RFC 5952), from what a connection or a proxy says: without the port and the brackets
 * that some proxies write (`203.0.113.9:4711`, `[2001:db8::1]:443`), without a zone (`%eth0`), and an IPv4 address inside
 * IPv6 (RFC 4291 section 2.5.5.2, and RFC 6052 section 2.1 for NAT64) as the IPv4 address, since one /64 holds all of
 * them. Null for everything that is no address.
 */
export function readAddress (text: string | null | undefined): string | null {
  // A spoofed header can be as long as all headers together.
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

/** The IPv4 address in one of `64:ff9b::/96`, from which a NAT64 translates; undefined for any other. */
function translated (canonical: string): string | undefined {
  const [match, high = '0', low = '0'] = /^64:ff9b::(?:(?:([\da-f]{1,4}):)?([\da-f]{1,4}))?$/.exec(canonical) ?? []
  if (match === undefined) return undefined
  return [high, low].map(group => Number.parseInt(group, 16)).flatMap(group => [group >> 8, group & 255]).join('.')
}

/**
 * The network that an address of `readAddress` is counted with: itself, or the first bits of an IPv6 address, 64 by default,
 * since a whole /64 is what one household or one server has at the least. Whatever had no address is one network.
 */
export function networkOf (address: string | null, bits: 48 | 64 = 64): string {
  if (address === null || isIP(address) !== 6) return address ?? ''
  const [head = [], tail = []] = address.split('::').map(part => part.split(':').filter(group => group !== ''))
  const zeros = Array<string>(8 - head.length - tail.length).fill('0') // where there is no "::" both parts make eight
  return `${[...head, ...zeros, ...tail].slice(0, bits / 16).join(':')}::/${bits}`
}
