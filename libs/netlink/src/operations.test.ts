// SPDX-License-Identifier: Apache-2.0
// The bytes below were checked field by field against the kernel's headers, and their effect against what `ip` shows in
// the kernel tests.
import { addAddress } from './address.ts';
import { littleEndian } from './byte-order.ts';
import { deleteLink, listLinks, setLink } from './link.ts';
import { addVeth, addVxlan } from './link-kinds.ts';
import { addNeighbour, deleteNeighbour } from './neighbour.ts';
import type { Operation } from './operation.ts';
import { deleteRoute, listRoutes, replaceRoute } from './route.ts';
import { addRule } from './rule.ts';

const hex = ({ message }: Operation<unknown>): string[] =>
  Buffer.from(message).toString('hex').match(/.{8}/g)?.slice(1) ?? [];
const words = (...lines: readonly string[]): string[] => lines.join(' ').split(' ');
const onLittleEndian = littleEndian ? describe : describe.skip;

onLittleEndian('the messages, without their length', () => {
  it('addVeth() makes both ends in one message, the peer in its namespace', () => {
    const operation = addVeth({
      name: 'weir7',
      up: true,
      noArp: true,
      mtu: 1450,
      macAddress: 'ee:ee:ee:ee:ee:ee',
      peer: { name: 'eth0', netns: { fd: 33 }, mtu: 1450, macAddress: '0a:58:0a:00:00:02' },
    });
    expect(hex(operation)).toEqual(
      words(
        '10000506 00000000 00000000', // RTM_NEWLINK, EXCL|CREATE|ACK|REQUEST
        '00000000 00000000 81000000 81000000', // ifinfomsg: flags and change IFF_UP|IFF_NOARP
        '0a000300 77656972 37000000', // IFLA_IFNAME
        '08000400 aa050000', // IFLA_MTU
        '0a000100 eeeeeeee eeee0000', // IFLA_ADDRESS
        '50001280', // IFLA_LINKINFO, nested
        '09000100 76657468 00000000', // IFLA_INFO_KIND
        '40000280', // IFLA_INFO_DATA, nested
        '3c000180', // VETH_INFO_PEER, nested: an ifinfomsg, then attributes
        '00000000 00000000 00000000 00000000',
        '09000300 65746830 00000000',
        '08000400 aa050000',
        '0a000100 0a580a00 00020000',
        '08001c00 21000000', // IFLA_NET_NS_FD
      ),
    );
  });

  it('addVxlan() of an external device carries no network identifier, and the port in network order', () => {
    expect(hex(addVxlan({ name: 'weir_vxlan', port: 8472, external: true })).slice(3)).toEqual(
      words(
        '00000000 00000000 00000000 00000000',
        '0f000300 77656972 5f76786c 616e0000',
        '2c001280 0a000100 76786c61 6e000000',
        '1c000280 05001900 01000000 05000700 00000000 06000f00 21180000',
      ),
    );
  });

  it('setLink() changes the flags it is told and no others', () => {
    expect(hex(setLink({ index: 5 }, { up: false })).slice(3)).toEqual(words('00000000 05000000 00000000 01000000'));
  });

  it('deleteLink() names the link by name', () => {
    expect(hex(deleteLink({ name: 'weir7' }))).toEqual(
      words('11000500 00000000 00000000', '00000000 00000000 00000000 00000000', '0a000300 77656972 37000000'),
    );
  });

  it('addAddress() gives the address twice, and its flags as an attribute', () => {
    expect(hex(addAddress({ linkIndex: 2, address: 'fd00::2/128', noDuplicateDetection: true }))).toEqual(
      words(
        '14000506 00000000 00000000',
        '0a800000 02000000', // AF_INET6, 128 bits, scope global, link 2
        '14000200 fd000000 00000000 00000000 00000002', // IFA_LOCAL
        '14000100 fd000000 00000000 00000000 00000002', // IFA_ADDRESS
        '08000800 02000000', // IFA_FLAGS: IFA_F_NODAD
      ),
    );
  });

  it('replaceRoute() puts table, gateway, metrics and flags where the kernel looks for them', () => {
    const operation = replaceRoute({
      destination: '0.0.0.0/0',
      gateway: '10.0.0.1',
      onLink: true,
      linkIndex: 3,
      preferredSource: '10.0.0.2',
      metric: 7,
      mtu: 1400,
      advertisedMss: 1300,
      table: 2005,
    });
    expect(hex(operation)).toEqual(
      words(
        '18000505 00000000 00000000', // RTM_NEWROUTE, CREATE|REPLACE|ACK|REQUEST
        '02000000 00040001 04000000', // AF_INET, table in an attribute, static, global, unicast; RTNH_F_ONLINK
        '08000f00 d5070000', // RTA_TABLE
        '08000100 00000000', // RTA_DST
        '08000500 0a000001', // RTA_GATEWAY
        '08000400 03000000', // RTA_OIF
        '08000700 0a000002', // RTA_PREFSRC
        '08000600 07000000', // RTA_PRIORITY
        '14000880 08000200 78050000 08000800 14050000', // RTA_METRICS: RTAX_MTU, RTAX_ADVMSS
      ),
    );
  });

  it('replaceRoute() names a gateway of the other family with RTA_VIA', () => {
    const operation = replaceRoute({ destination: '10.0.0.0/8', gateway: 'fe80::1', linkIndex: 3 });
    expect(hex(operation).slice(10, 16)).toEqual(words('16001200 0a00fe80 00000000 00000000 00000000 00010000'));
  });

  it('deleteRoute() leaves type, protocol and scope open', () => {
    expect(hex(deleteRoute({ destination: '10.1.0.0/16' })).slice(3, 6)).toEqual(words('02100000 fe00ff00 00000000'));
  });

  it('listRoutes() asks the kernel to filter', () => {
    expect(hex(listRoutes({ family: 'ipv6', table: 254, linkIndex: 4 }))).toEqual(
      words('1a000503 00000000 00000000', '0a000000 fe000000 00000000', '08000f00 fe000000 08000400 04000000'),
    );
  });

  it('listLinks() leaves out the counters', () => {
    expect(hex(listLinks()).slice(7)).toEqual(words('08001d00 08000000'));
  });

  it('addRule() matches a mark under a mask', () => {
    expect(hex(addRule({ family: 'ipv4', mark: { value: 0x200, mask: 0xf00 }, table: 2004, priority: 9 }))).toEqual(
      words(
        '20000506 00000000 00000000',
        '02000000 00000001 00000000', // AF_INET, table in an attribute, FR_ACT_TO_TBL
        '08000f00 d4070000 08000600 09000000 08000a00 00020000 08001000 000f0000', // table, priority, mark, mask
        '05001500 04000000', // protocol static
      ),
    );
  });

  it('addNeighbour() and deleteNeighbour() name link, address and MAC address', () => {
    const key = { linkIndex: 2, address: '10.0.0.1' };
    expect(hex(addNeighbour({ ...key, macAddress: 'ee:ee:ee:ee:ee:ee' }))).toEqual(
      words(
        '1c000506 00000000 00000000',
        '02000000 02000000 80000000', // AF_INET, link 2, NUD_PERMANENT
        '08000100 0a000001 0a000200 eeeeeeee eeee0000',
      ),
    );
    expect(hex(deleteNeighbour(key))).toEqual(
      words('1d000500 00000000 00000000', '02000000 02000000 00000000', '08000100 0a000001'),
    );
  });
});

describe('wrong arguments', () => {
  const veth = { name: 'a', peer: { name: 'b' } };
  const route = { destination: '10.0.0.0/8', linkIndex: 1 };
  it.each([
    ['veth name', '""', () => addVeth({ ...veth, name: '' })],
    ['veth name', '"a/b"', () => addVeth({ ...veth, name: 'a/b' })],
    ['veth name', '"sixteen-bytes-xx"', () => addVeth({ ...veth, name: 'sixteen-bytes-xx' })],
    ['veth peer name', '"a b"', () => addVeth({ ...veth, peer: { name: 'a b' } })],
    ['veth peer up', 'true', () => addVeth({ ...veth, peer: { name: 'b', up: true } as never })],
    ['link mtu', '-1', () => addVeth({ ...veth, mtu: -1 })],
    ['link macAddress', '"ee:ee"', () => addVeth({ ...veth, macAddress: 'ee:ee' })],
    ['vxlan port', '70000', () => addVxlan({ name: 'v', port: 70_000, external: true })],
    ['vxlan vni', '16777216', () => addVxlan({ name: 'v', port: 1, vni: 16_777_216 })],
    ['vxlan', '{"name":"v","port":1}', () => addVxlan({ name: 'v', port: 1 } as never)],
    ['link index', '0', () => setLink({ index: 0 }, {})],
    ['link target', '{"name":"a"}', () => setLink({ name: 'a' }, { name: 'b' })],
    ['address', '"10.0.0.1"', () => addAddress({ linkIndex: 1, address: '10.0.0.1' })],
    ['address', '"10.0.0.1/33"', () => addAddress({ linkIndex: 1, address: '10.0.0.1/33' })],
    ['address linkIndex', '1.5', () => addAddress({ linkIndex: 1.5, address: '10.0.0.1/32' })],
    ['address scope', '"galaxy"', () => addAddress({ linkIndex: 1, address: '::1/128', scope: 'galaxy' as never })],
    ['route destination', '"10.0.0.1/8"', () => replaceRoute({ ...route, destination: '10.0.0.1/8' })],
    ['route destination', '"default"', () => replaceRoute({ ...route, destination: 'default' })],
    ['route gateway', '"gw"', () => replaceRoute({ ...route, gateway: 'gw' })],
    ['route preferredSource', '"::1"', () => replaceRoute({ ...route, preferredSource: '::1' })],
    ['route table', '0', () => replaceRoute({ ...route, table: 0 })],
    ['route type', '"anycast"', () => replaceRoute({ ...route, type: 'anycast' as never })],
    ['route mtu', '65536', () => replaceRoute({ ...route, mtu: 65_536 })],
    ['route protocol', '256', () => replaceRoute({ ...route, protocol: 256 })],
    ['rule family', '"ipx"', () => addRule({ family: 'ipx' as never, table: 1 })],
    ['rule mark value', '4294967296', () => addRule({ family: 'ipv4', table: 1, mark: { value: 2 ** 32 } })],
    ['rule from', '"::/0"', () => addRule({ family: 'ipv4', table: 1, from: '::/0' })],
    ['neighbour address', '"10.0.0.1/8"', () => deleteNeighbour({ linkIndex: 1, address: '10.0.0.1/8' })],
    ['neighbour macAddress', '""', () => addNeighbour({ linkIndex: 1, address: '::1', macAddress: '' })],
  ])('are refused with the field "%s" and the value %s', (field, value, make) => {
    expect(make).toThrow(
      expect.objectContaining({
        code: 'INVALID_ARGUMENT',
        message: expect.stringMatching(new RegExp(`^Invalid ${field} .*: expected `)),
      }),
    );
    expect(make).toThrow(value);
  });
});
