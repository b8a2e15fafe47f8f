import { isIPv6 } from 'node:net'

/**
 * The network that an address is counted with: itself, or the first 64 bits of an IPv6 address, since a whole /64 is
 * what one household or one server has. An IPv4 address inside IPv6 (RFC 4291 section 2.5.5.2) is the IPv4 address.
 */
export function networkOf (ip: string): string {
  if (!isIPv6(ip)) return ip
  const [, ipv4] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip) ?? []
  return ipv4 ?? `${firstGroups(ip).join(':')}::/64`
}

/** The first four groups of an IPv6 address, without leading zeros. */
function firstGroups (ip: string): string[] {
  const [before = '', after] = ip.split('::')
  const head = before === '' ? [] : before.split(':')
  const tail = after === undefined || after === '' ? [] : after.split(':')
  // An IPv4 address at the end (`64:ff9b::192.0.2.1`) stands for two groups.
  const zeros = 8 - head.length - tail.length - (ip.includes('.') ? 1 : 0)
  return [...head, ...Array<string>(zeros).fill('0'), ...tail]
    .slice(0, 4)
    .map(group => Number.parseInt(group, 16).toString(16))
}
