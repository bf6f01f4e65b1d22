// SPDX-License-Identifier: Apache-2.0
// The two legs of a connection that the proxy polices: which packets belong to which, and who may send them. Here no
// socket can get a packet (a test run is not at the ingress of a device); proxy-path.kernel.test.ts shows that it does.
import { describe, expect, it } from '@jest/globals';
import { listenTcp } from '@weir/bpf-loader-node';
import { closeSync } from 'node:fs';
import { conversation, ipPacket, tcp, udp } from '../node/conversation.ts';
import { marks } from '../node/packet-node.ts';
import { client, families, host, other, server, world, type Party } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import type { PacketBuilder } from '../packet/packet-builder.ts';

const noSocket = 'dropped: proxyNotListening';
/** A socket was found; that it cannot be given the packet is the test run's fault. */
const socketFound = 'dropped: socketAssignFailed';
const redirect = { verdict: 'redirect', ruleSet: 7 } as const;

describePackets('the proxy', () => {
  const node = usePacketNode();
  const clientLeg = { mark: marks.clientLeg };
  const serverLeg = { mark: marks.serverLeg };

  /** Listens in the node's namespace while `use` runs. */
  const whileListening = (address: string, port: number, use: () => void) => {
    const descriptor = listenTcp({ address, port, netns: node.netns });
    try {
      use();
    } finally {
      closeSync(descriptor);
    }
  };

  describe.each(families)('over %s', (family) => {
    const loopback = family === 'ipv4' ? '127.0.0.1' : '::1';
    const between = (from: Party, to: Party, port = 40000) => conversation({ family, from, to, over: tcp(port, 80) });
    const talk = between(client, server);
    /** The proxy's own connection, from the client's address and a port of its choice. */
    const leg = between(client, server, 50000);
    const fromHost = (frame: PacketBuilder, mark = {}) => node.send(host, frame, mark).verdict;

    describe('a new connection', () => {
      it.each([
        {
          title: 'the receiver’s ingress',
          from: client,
          to: server,
          policed: server,
          rules: { ingress: [redirect] },
          way: 'egress',
        },
        {
          title: 'the sender’s egress',
          from: client,
          to: server,
          policed: client,
          rules: { egress: [redirect] },
          way: 'egress',
        },
        {
          title: 'the way out',
          from: client,
          to: world,
          policed: client,
          rules: { egress: [redirect] },
          way: 'egress',
        },
        {
          title: 'the way to the host',
          from: client,
          to: host,
          policed: client,
          rules: { egress: [redirect] },
          way: 'egress',
        },
        {
          title: 'the way in',
          from: world,
          to: server,
          policed: server,
          rules: { ingress: [redirect] },
          way: 'ingress',
        },
        {
          title: 'the way from the host',
          from: host,
          to: server,
          policed: server,
          rules: { ingress: [redirect] },
          way: 'ingress',
        },
      ])('goes to the listener, and nowhere else: $title', ({ from, to, policed, rules, way }) => {
        node.setPolicy(policed, rules);
        const { ask } = between(from, to);
        expect(node.send(from, ask('SYN')).verdict).toBe(`${noSocket} ${way}`);
        node.setProxyPort(10001);
        expect(node.send(from, ask('SYN')).verdict).toBe(`${noSocket} ${way}`);
        whileListening(loopback, 10001, () => {
          expect(node.send(from, ask('SYN')).verdict).toBe(`${socketFound} ${way}`);
          expect(node.send(from, ask('ACK')).verdict).toBe(`${noSocket} ${way}`);
          node.setProxyPort(10002);
          expect(node.send(from, ask('SYN')).verdict).toBe(`${noSocket} ${way}`);
        });
        node.setProxyPort(10001);
        expect(node.send(from, ask('SYN')).verdict).toBe(`${noSocket} ${way}`);
        expect(node.flows()).toMatchObject([{ from: from.name, flags: ['redirected'] }]);
      });

      it('does not go to a listener of the host that has the server’s port', () => {
        node.setPolicy(client, { egress: [redirect] });
        const anyAddress = family === 'ipv4' ? '0.0.0.0' : '::';
        whileListening(anyAddress, 80, () => {
          expect(node.send(client, between(client, host).ask('SYN')).verdict).toBe(`${noSocket} egress`);
          expect(node.send(client, talk.ask('SYN')).verdict).toBe(`${noSocket} egress`);
        });
      });

      it('has the rule sets of both directions in its entry', () => {
        node.setPolicy(client, { egress: [{ ...redirect, ruleSet: 5 }] });
        node.setPolicy(server, { ingress: [{ ...redirect, ruleSet: 6 }] });
        node.send(client, talk.ask('SYN'));
        expect(node.flows()).toMatchObject([
          {
            entry: {
              egressRuleSet: 5,
              ingressRuleSet: 6,
              sourceIdentity: client.identity,
              destinationIdentity: server.identity,
            },
          },
        ]);
      });

      it('that is denied in one direction does not reach the proxy by the other', () => {
        node.setPolicy(client, { egress: [redirect] });
        node.setPolicy(server, { ingress: [] });
        expect(node.send(client, talk.ask('SYN')).verdict).toBe('dropped: policyDenied ingress');
      });
    });

    describe('the client’s leg', () => {
      const open = (from: Party = client, to: Party = server) => {
        const [policed, rules] = to === server ? [server, { ingress: [redirect] }] : [client, { egress: [redirect] }];
        node.setPolicy(policed, rules);
        node.send(from, between(from, to).ask('SYN'));
      };

      it.each([
        { from: client, to: server, verdict: 'to client' },
        { from: client, to: world, verdict: 'to client' },
        { from: client, to: host, verdict: 'to client' },
        { from: world, to: server, verdict: 'to stack' },
        { from: host, to: server, verdict: 'to stack' },
      ])('is answered by the proxy alone: $from.name to $to.name', ({ from, to, verdict }) => {
        open(from, to);
        const { answer } = between(from, to);
        expect(node.send(to, answer('SYN ACK')).verdict).toMatch(/^dropped: (ctUnknownState|invalidSourceIp) /);
        expect(fromHost(answer('SYN ACK'))).toMatch(/^dropped: (ctUnknownState|invalidSourceIp) ingress$/);
        // From outside it is dropped on its way to a pod; to anybody else it would not even come here.
        expect(node.send(world, answer('SYN ACK'), clientLeg).verdict).toMatch(/^(dropped: .*|untouched)$/);
        expect(fromHost(answer('SYN ACK'), clientLeg)).toBe(verdict);
        expect(node.flows().find(({ isProxyLeg }) => !isProxyLeg)).toMatchObject({ answered: { packets: 1 } });
      });

      it('asks nobody but the proxy', () => {
        open();
        for (const flags of ['ACK', 'PSH ACK', 'FIN ACK', 'RST']) {
          expect(node.send(client, talk.ask(flags)).verdict).toBe(`${noSocket} egress`);
        }
      });

      it('is cut at its next packet by a change of policy, from either end', () => {
        open();
        fromHost(talk.answer('SYN ACK'), clientLeg);
        node.setPolicy(server, { ingress: [] });
        expect(fromHost(talk.answer(), clientLeg)).toBe('dropped: policyDenied ingress');
        expect(node.send(client, talk.ask()).verdict).toBe('dropped: policyDenied ingress');
      });

      it('that nobody remembers is not answered', () => {
        expect(fromHost(talk.answer('SYN ACK'), clientLeg)).toBe('dropped: ctUnknownState ingress');
        open();
        node.pass(1e8);
        expect(fromHost(talk.answer(), clientLeg)).toBe('dropped: ctUnknownState ingress');
      });

      it('is not opened by the proxy', () => {
        open();
        expect(fromHost(talk.answer('SYN'), clientLeg)).toBe('dropped: ctUnknownState ingress');
      });
    });

    describe('the server’s leg', () => {
      it.each([
        { to: server, verdict: 'to server', answer: `${noSocket} egress` },
        { to: world, verdict: 'to stack', answer: `${noSocket} ingress` },
        { to: host, verdict: 'to stack', answer: `${noSocket} ingress` },
      ])('is asked by the proxy and answers it: $to.name', ({ to, verdict, answer }) => {
        const own = between(client, to, 50000);
        expect(fromHost(own.ask('SYN'), serverLeg)).toBe(verdict);
        // No socket has it: what matters is that it does not go to the client.
        expect(node.send(to, own.answer('SYN ACK')).verdict).toBe(answer);
        expect(fromHost(own.ask(), serverLeg)).toBe(verdict);
        expect(node.flows()).toMatchObject([
          { isProxyLeg: true, from: 'client', to: to.name, ports: [50000, 80], asked: { packets: 2 } },
        ]);
      });

      it('does not lose a hop to us: the host’s stack has taken one', () => {
        expect(node.send(host, leg.ask('SYN', { ttl: 5 }), serverLeg).packet.ip?.ttl).toBe(5);
      });

      it('is not judged: it was as its client’s', async () => {
        node.setPolicy(server, { ingress: [] });
        expect(fromHost(leg.ask('SYN'), serverLeg)).toBe('to server');
        node.bump();
        expect(fromHost(leg.ask(), serverLeg)).toBe('to server');
        expect(await node.events()).toEqual([]);
      });

      it('goes on after its entry was lost', () => {
        expect(fromHost(leg.ask(), serverLeg)).toBe('to server');
        expect(node.send(server, leg.answer()).verdict).toBe(`${noSocket} egress`);
      });

      it('is not matched by a pod that takes the same port', () => {
        fromHost(leg.ask('SYN'), serverLeg);
        node.setPolicy(server, { ingress: [redirect] });
        expect(node.send(client, leg.ask()).verdict).toBe('dropped: proxyNeedsNewConnection ingress');
        expect(node.send(client, leg.ask('SYN')).verdict).toBe(`${noSocket} egress`);
        node.setPolicy(server, { ingress: [] });
        expect(node.send(client, leg.ask()).verdict).toBe('dropped: policyDenied ingress');
        expect(node.flows().find(({ isProxyLeg }) => isProxyLeg)).toMatchObject({ asked: { packets: 1 } });
      });

      it('keeps its answers also when the client uses the same port for its own leg', () => {
        node.setPolicy(server, { ingress: [redirect] });
        node.send(client, leg.ask('SYN'));
        fromHost(leg.ask('SYN'), serverLeg);
        expect(node.send(server, leg.answer('SYN ACK')).verdict).toBe(`${noSocket} egress`);
        expect(fromHost(leg.answer('SYN ACK'), clientLeg)).toBe('to client');
        expect(node.flows()).toHaveLength(2);
        expect(node.flows()).toMatchObject([{ answered: { packets: 1 } }, { answered: { packets: 1 } }]);
      });

      it('is not answered in the server’s name from elsewhere', () => {
        fromHost(leg.ask('SYN'), serverLeg);
        expect(node.send(world, leg.answer('SYN ACK')).verdict).toBe('dropped: invalidSourceIp ingress');
        expect(fromHost(leg.answer('SYN ACK'))).toBe('dropped: invalidSourceIp ingress');
        expect(node.flows()).toMatchObject([{ answered: { packets: 0 } }]);
      });

      it('is not found by other protocols with the same ports', () => {
        fromHost(leg.ask('SYN'), serverLeg);
        const datagram = conversation({ family, from: client, to: server, over: udp(50000, 80) });
        expect(node.send(server, datagram.answer()).verdict).toBe('to client');
      });

      it('of a client that is not here leads to the server, and its answers to the proxy', () => {
        const far = between(world, server, 50000);
        expect(fromHost(far.ask('SYN'), serverLeg)).toBe('to server');
        expect(node.send(server, far.answer('SYN ACK')).verdict).toBe(`${noSocket} egress`);
      });
    });

    describe('ICMP errors', () => {
      const unreachable = (from: Party, to: Party, about: PacketBuilder) => {
        const network = ipPacket(family, { from, to });
        return (family === 'ipv4' ? network.icmp({ type: 3, code: 1 }) : network.icmpv6({ type: 1 })).quoting(
          about.bytes(),
        );
      };

      it('about what the proxy has sent go to the proxy, on either leg', () => {
        node.setPolicy(server, { ingress: [redirect] });
        node.send(client, talk.ask('SYN'));
        fromHost(leg.ask('SYN'), serverLeg);
        expect(node.send(client, unreachable(client, server, talk.answer('SYN ACK'))).verdict).toBe('to proxy');
        expect(node.send(server, unreachable(server, client, leg.ask('SYN'))).verdict).toBe('to proxy');
        expect(node.send(world, unreachable(world, client, leg.ask('SYN'))).verdict).toBe('to proxy');
      });

      it('about its own leg go to it also where the client uses the same port', () => {
        node.setPolicy(server, { ingress: [redirect] });
        node.send(client, leg.ask('SYN'));
        fromHost(leg.ask('SYN'), serverLeg);
        expect(node.send(server, unreachable(server, client, leg.ask())).verdict).toBe('to proxy');
      });

      it('of a pod that has no part in it do not', () => {
        fromHost(leg.ask('SYN'), serverLeg);
        node.setPolicy(client, { ingress: [] });
        expect(node.send(other, unreachable(other, client, leg.ask())).verdict).toBe('dropped: policyDenied ingress');
      });
    });
  });
});
