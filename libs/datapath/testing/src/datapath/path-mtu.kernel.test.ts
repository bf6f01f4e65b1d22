// SPDX-License-Identifier: Apache-2.0
// The path to another node is narrower than the link here: what does not fit is answered, and what may be cut up passes.
// That the kernel learns of such a path, and what pods make of the answer, the lab tests have.
import { execFileSync } from 'node:child_process';
import { release } from 'node:os';
import { basename } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ipPacket } from '../node/conversation.ts';
import { marks } from '../node/packet-node.ts';
import type { Outcome } from '../node/outcome.ts';
import { servicesOf } from '../node/service-node.ts';
import { client, families, host, remotePod, uplinkIfindex, type Family, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { fragmentPacket } from '../packet/fragment-packet.ts';
import { ethernetBytes, icmpType, icmpv6Type } from '../packet/protocols.ts';

const pathMtu = 1400;
const nodes = { ipv4: '192.0.2.77', ipv6: '2001:db8::77' };
const wrapping = { ipv4: 50, ipv6: 70 };
const headerBytes = { ipv4: 20, ipv6: 40 };
const quotedBytes = 128;
const service: Party = {
  ...{ name: 'service', ipv4: '10.96.0.1', ipv6: 'fd00:10:96::1', identity: 2, place: 'network' },
};

// Before that, bpf_fib_lookup says nothing of the path to such a program.
const knowsPaths = ((): boolean => {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 5 || (major === 5 && minor >= 12);
})();
if (!knowsPaths) process.stderr.write('Skipped: this kernel does not tell programs how narrow a path is\n');

/** A datagram that is `length` bytes long from the IP header on. */
const datagram = (
  family: Family,
  { from, to = remotePod, length }: { from: Party; to?: Party; length: number },
  dontFragment = true,
) =>
  ipPacket(family, { from, to, dontFragment })
    .udp({ sourcePort: 40000, destinationPort: 53 })
    .payload('x'.repeat(length - headerBytes[family] - 8));

/** What an answer says: of which width the path is, and about which packet. */
function answerOf(family: Family, { bytes, packet }: Outcome): object {
  const offset = ethernetBytes + headerBytes[family];
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
  return {
    ...{ source: packet.ip?.source, destination: packet.ip?.destination, type: packet.icmp?.type },
    code: packet.icmp?.code,
    checksums: [packet.ip?.checksum, packet.icmp?.checksum],
    mtu: view.getUint32(4),
    quoted: Buffer.from(bytes.subarray(offset + 8)),
  };
}

(knowsPaths ? describePackets : describe.skip)('a narrow path to another node', () => {
  const node = usePacketNode({ config: { overlayIfindex: uplinkIfindex } });
  beforeAll(() => {
    const script = [
      'echo 1 > /proc/sys/net/ipv4/ip_forward',
      'echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
      `ip link set v${uplinkIfindex} up`,
      `ip route add ${nodes.ipv4}/32 dev v${uplinkIfindex} mtu lock ${pathMtu}`,
      `ip -6 route add ${nodes.ipv6}/128 dev v${uplinkIfindex} mtu lock ${pathMtu}`,
    ];
    execFileSync('ip', ['netns', 'exec', basename(node.netns), 'sh', '-ec', script.join('\n')]);
  });

  describe.each(families)('of %s', (between) => {
    const fits = pathMtu - wrapping[between];
    beforeEach(() => node.setRemote(remotePod, { number: 7, address: nodes[between] }));

    describe.each(families)('for packets of %s', (family) => {
      it('takes what fits, and sends back what is a byte longer with the length that does', () => {
        expect(node.send(client, datagram(family, { from: client, length: fits })).verdict).toBe('to overlay');
        const frame = datagram(family, { from: client, length: fits + 1 });
        const outcome = node.send(client, frame);
        expect(outcome.verdict).toBe('to client');
        expect(answerOf(family, outcome)).toEqual({
          ...{ source: remotePod[family], destination: client[family], mtu: fits },
          ...(family === 'ipv4' ? { type: icmpType.unreachable, code: 4 } : { type: icmpv6Type.packetTooBig, code: 0 }),
          checksums: family === 'ipv4' ? ['right', 'right'] : [undefined, 'right'],
          quoted: Buffer.from(frame.bytes().subarray(ethernetBytes, ethernetBytes + quotedBytes)),
        });
      });

      it('is told to the host, too, and to the proxy', () => {
        const from = { ...client, place: 'host' } as const;
        const { verdict } = node.send(host, datagram(family, { from: host, length: fits + 1 }));
        expect(verdict).toBe('back to the host');
        const frame = ipPacket(family, { from, to: remotePod, dontFragment: true })
          .tcp({ sourcePort: 40001, destinationPort: 80, flags: 'SYN' })
          .payload('x'.repeat(fits));
        expect(node.send(from, frame, { mark: marks.serverLeg }).verdict).toBe('back to the proxy');
      });

      it('is told of what was sent to a service as it was sent', () => {
        const services = servicesOf(node);
        services.reset();
        const backends = [{ party: remotePod, port: 53 }];
        services.set(1, { party: service, port: 53, backends });
        const toService = datagram(family, { from: client, to: service, length: fits + 1 });
        const outcome = node.send(client, toService);
        expect(outcome.verdict).toBe('to client');
        expect(answerOf(family, outcome)).toMatchObject({
          ...{ source: service[family], destination: client[family], mtu: fits },
          checksums: family === 'ipv4' ? ['right', 'right'] : [undefined, 'right'],
          quoted: Buffer.from(toService.bytes().subarray(ethernetBytes, ethernetBytes + quotedBytes)),
        });
        services.reset();
      });

      it('is no matter to short packets', () => {
        expect(node.send(client, datagram(family, { from: client, length: 100 })).verdict).toBe('to overlay');
      });
    });

    it('takes what may be cut up on its way if it is one of IPv4', () => {
      const frame = datagram('ipv4', { from: client, length: fits + 1 }, false);
      expect(node.send(client, frame).verdict).toBe({ ipv4: 'to overlay', ipv6: 'to client' }[between]);
    });

    it('answers fragments that it does not take, or drops what nobody could be told of', () => {
      const verdictsOf = (family: Family): string[] =>
        fragmentPacket(datagram(family, { from: client, length: 4_000 }, false).bytes(), {
          identification: 7,
          size: 1408,
        }).map((fragment) => node.send(client, fragment).verdict);
      const [taken, answered, dropped] = ['to overlay', 'to client', 'dropped: fragmentationNeeded egress'];
      expect(verdictsOf('ipv6')).toEqual([answered, answered, taken]);
      expect(verdictsOf('ipv4')).toEqual(between === 'ipv4' ? [taken, taken, taken] : [answered, dropped, taken]);
    });

    it.each(families)('does not answer errors of %s', (family) => {
      const network = ipPacket(family, { from: client, to: remotePod, dontFragment: true });
      const error =
        family === 'ipv4'
          ? network.icmp({ type: icmpType.unreachable })
          : network.icmpv6({ type: icmpv6Type.unreachable });
      const quoted = ipPacket(family, { from: remotePod, to: client }).udp({ sourcePort: 1, destinationPort: 2 });
      const frame = error.quoting(quoted.bytes()).payload('x'.repeat(fits));
      expect(node.send(client, frame).verdict).toBe('dropped: fragmentationNeeded egress');
    });
  });
});
