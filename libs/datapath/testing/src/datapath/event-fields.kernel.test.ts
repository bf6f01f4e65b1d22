// SPDX-License-Identifier: Apache-2.0
// What an event says beside the two ends: which policy entry matched, ICMP, the link, and whose socket it was.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { policyMatch } from '@weir/datapath-layout';
import { conversation, ipPacket, tcp, udp, type Transport } from '../node/conversation.ts';
import { allPods, type Rule } from '../node/policy-writer.ts';
import { client, families, gatewayMac, server, world, type Family, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { macBytes } from '../packet/layers.ts';
import { icmpType, icmpv6Type } from '../packet/protocols.ts';

/** The number of the cgroup of this process, where cgroups of version 2 are mounted as usual. */
function ownCgroup(): unknown {
  const [, path = '/'] = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? [];
  const directory = `/sys/fs/cgroup${path}`;
  return existsSync(`${directory}/cgroup.procs`) && existsSync('/sys/fs/cgroup/cgroup.controllers')
    ? BigInt(statSync(directory).ino)
    : expect.any(BigInt);
}

const own = 6;
const port = 80;

describePackets('the match of a policy entry', () => {
  const node = usePacketNode();
  const ask = (family: Family, over: Transport, [from, to]: [Party, Party] = [client, server]) =>
    node.send(from, conversation({ family, from, to, over }).ask('SYN'));

  const matches: readonly { readonly rule: Rule; readonly match: keyof typeof policyMatch }[] = [
    { rule: { peer: client }, match: 'l3Only' },
    { rule: { peer: client, protocol: own }, match: 'l3Protocol' },
    { rule: { peer: client, protocol: own, port }, match: 'l3L4' },
    { rule: { peer: client, protocol: own, port: 64, portPrefixLength: 10 }, match: 'l3L4' },
    { rule: { peer: allPods, protocol: own, port }, match: 'l3L4' },
    { rule: { protocol: own, port }, match: 'l4Only' },
    { rule: { protocol: own, port: 64, portPrefixLength: 10 }, match: 'l4Only' },
    { rule: { protocol: own }, match: 'protocolOnly' },
    { rule: {}, match: 'all' },
  ];

  describe.each(families)('over %s', (family) => {
    it.each(matches)('$match is told of a verdict and of a refusal, for ingress: $rule', async ({ rule, match }) => {
      node.setPolicy(server, { ingress: [rule] });
      ask(family, tcp(40000, port));
      node.setPolicy(server, { ingress: [{ ...rule, verdict: 'refuse' }] });
      ask(family, tcp(40001, port));
      expect((await node.events()).map(({ type, raw }) => [type, raw.match >> 4, raw.match & 0xf])).toEqual([
        ['policyVerdict', policyMatch[match], policyMatch.none],
        ['drop', policyMatch[match], policyMatch.none],
      ]);
    });

    it('is told for both directions, and of a flow that is refused later', async () => {
      node.setPolicy(client, { egress: [{ protocol: own, port }] });
      node.setPolicy(server, { ingress: [{ peer: client }] });
      ask(family, tcp(40000, port));
      node.setPolicy(server, { ingress: [{ peer: client, verdict: 'refuse' }] });
      const talk = conversation({ family, from: client, to: server, over: tcp(40000, port) });
      node.send(server, talk.answer('SYN ACK'));
      const both = policyMatch.l4Only | (policyMatch.l3Only << 4);
      expect((await node.events()).map(({ type, raw }) => [type, raw.match])).toEqual([
        ['policyVerdict', both],
        ['drop', both],
      ]);
    });

    it('is none where nothing is enforced, and where nothing allows it', async () => {
      ask(family, tcp(40000, port));
      node.setPolicy(server, { ingress: [] });
      ask(family, tcp(40001, port));
      expect((await node.events()).map(({ raw }) => raw.match)).toEqual([0, 0]);
    });
  });
});

describePackets('events', () => {
  const node = usePacketNode();

  describe.each(families)('over %s', (family) => {
    it('have the addresses of the link, as they came', async () => {
      node.send(client, conversation({ family, from: client, to: world, over: udp(1, 2) }).ask());
      const [event] = await node.events();
      expect(Buffer.from(event!.raw.sourceMac)).toEqual(Buffer.from(macBytes(client.mac)));
      expect(Buffer.from(event!.raw.destinationMac)).toEqual(Buffer.from(macBytes(gatewayMac)));
    });

    it('have type and code of ICMP, also of an error by itself', async () => {
      const type = family === 'ipv4' ? icmpType.redirect : icmpv6Type.echoRequest;
      const network = ipPacket(family, { from: client, to: server });
      const message = { type, code: 3, identifier: 7 };
      node.send(client, family === 'ipv4' ? network.icmp(message) : network.icmpv6(message));
      expect(await node.events()).toMatchObject([{ raw: { icmpType: type, icmpCode: 3 } }]);
    });

    // In a test run of the kernel the packet has a socket of the process that asks for the run.
    it('have cookie and cgroup of the socket that sent the packet', async () => {
      node.send(client, conversation({ family, from: client, to: world, over: udp(1, 2) }).ask());
      const [event] = await node.events();
      expect(event!.raw.socketCookie).toBeGreaterThan(0n);
      expect(event!.raw.cgroup).toEqual(ownCgroup());
    });
  });
});
