import t from 'tap'
import { networkOf, readAddress } from '../lib/client-address.js'

t.test('an address has one canonical spelling, whatever a proxy adds', async t => {
  const cases: Array<[written: string, address: string]> = [
    ['192.0.2.1', '192.0.2.1'],
    ['203.0.113.9:4711', '203.0.113.9'],
    ['203.0.113.9:1', '203.0.113.9'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['::ffff:cb00:7109', '203.0.113.9'],
    ['0:0:0:0:0:ffff:cb00:7109', '203.0.113.9'],
    ['[::ffff:203.0.113.9]:4711', '203.0.113.9'],
    ['2001:db8::1', '2001:db8::1'],
    ['2001:0DB8:0000::0001', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['[fe80::1%25eth0]:443', 'fe80::1'],
    ['1:2:3:4:5:6:7::%eth0.0', '1:2:3:4:5:6:7:0'],
    ['64:ff9b::192.0.2.1', '192.0.2.1'],
    ['[64:FF9B::CB00:7109]:4711', '203.0.113.9'],
    ['64:ff9b:0:0:0:0:cb00:7109', '203.0.113.9'],
    ['64:ff9b::7f00:0', '127.0.0.0'],
    ['64:ff9b::9', '0.0.0.9'],
    ['64:ff9b::', '0.0.0.0'],
    ['64:ff9b::1:c000:201', '64:ff9b::1:c000:201'],
    ['64:ff9b:1::c000:201', '64:ff9b:1::c000:201'],
    ['164:ff9b::c000:201', '164:ff9b::c000:201'],
    ['::1', '::1'],
    ['::', '::']
  ]
  for (const [written, address] of cases) {
    t.equal(readAddress(written), address, written)
    t.equal(readAddress(address), address, 'and that spelling is its own')
  }
})

t.test('lockout behind NAT64: a client over IPv4 is counted by its own address', async t => {
  t.not(networkOf(readAddress('64:ff9b::192.0.2.1')), networkOf(readAddress('64:ff9b::192.0.2.2')))
  t.equal(networkOf(readAddress('64:ff9b::192.0.2.1'), 48), '192.0.2.1')
})

t.test('an invalid address is null', async t => {
  const cases = [
    null, undefined, '', 'unknown', 'localhost', '203.0.113.9:', '203.0.113.9:123456', '203.0.113.9:80:80', '203.0.113.256', '203.0.113', '0203.0.113.9',
    '192.0.2.1, 198.51.100.1', ' 192.0.2.1', '[192.0.2.1', '2001:db8::1]', '[]', '[]:443', '[2001:db8::1]443', '1:2:3:4:5:6:7:8:9', 'g::1', '%eth0',
    `<script>${'x'.repeat(9000)}`, `::1%${'x'.repeat(9000)}`, '1.'.repeat(5000), '\0', '192.0.2.1\n'
  ]
  for (const written of cases) t.equal(readAddress(written), null, String(written).slice(0, 40))
})

t.test('rate limits: an IPv4 address counts by itself, an IPv6 address by its /64', async t => {
  const cases: Array<[written: string | null, network: string]> = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:cb00:7109', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002:ffff::', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:3::6', '2001:db8:1:2::/64'],
    ['2001:db8:1::9', '2001:db8:1:0::/64'],
    ['2001:db8::2:3:4:5', '2001:db8:0:0::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['2002:c000:201:7:8::9', '2002:c000:201::/48'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['::1:2:3:4:5:6', '0:0:1:2::/64'],
    ['1::', '1:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64'],
    ['::192.0.2.1', '0:0:0:0::/64'],
    ['unknown', ''],
    [null, '']
  ]
  for (const [written, network] of cases) t.equal(networkOf(readAddress(written)), network, String(written))
  t.equal(networkOf('2001:db8:1:2::3', 48), '2001:db8:1::/48')
  t.equal(networkOf('203.0.113.9', 48), '203.0.113.9')
})
