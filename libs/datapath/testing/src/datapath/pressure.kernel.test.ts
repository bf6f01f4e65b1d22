// SPDX-License-Identifier: Apache-2.0
// More flows and datagrams than there is room for: what is forgotten may cost a flow, and never opens a way.
import { expect, it } from '@jest/globals';
import { conversation, tcp, udp } from '../node/conversation.ts';
import { client, families, other, server, world } from '../node/scene.ts';
import { describePackets, usePacketNode } from '../node/use-packet-node.ts';
import { fragmentPacket } from '../packet/fragment-packet.ts';

const flowsMax = 512;
const fragmentsMax = 128;

describePackets('under pressure', () => {
  const node = usePacketNode({ sizes: { ct: flowsMax, fragments: fragmentsMax } });
  const flow = (number: number, family: (typeof families)[number] = 'ipv4') =>
    conversation({ family, from: client, to: server, over: tcp(1024 + number, 80) });
  /** Twice as many flows of others as there is room for. */
  const flood = (meanwhile: (number: number) => void = () => undefined) => {
    for (let number = 0; number < 2 * flowsMax; number++) {
      node.send(world, conversation({ family: 'ipv4', from: world, to: other, over: udp(1024 + number, 53) }).ask());
      meanwhile(number);
    }
  };

  it('new flows are served when twice as many are running as there is room for', () => {
    for (let number = 0; number < 2 * flowsMax; number++) {
      const talk = flow(number, families[number % 2]);
      expect(node.send(client, talk.ask('SYN')).verdict).toBe('to server');
      expect(node.send(server, talk.answer('SYN ACK')).verdict).toBe('to client');
    }
    expect(node.flows().length).toBeLessThanOrEqual(flowsMax);
    expect(node.flows().length).toBeGreaterThan(flowsMax / 2);
  });

  it('no answer passes whose question is forgotten, and every one whose is not', () => {
    node.setPolicy(client, { ingress: [] });
    for (let number = 0; number < 2 * flowsMax; number++) node.send(client, flow(number).ask('SYN'));
    const known = new Set(node.flows().map(({ ports }) => ports[0] - 1024));
    expect(known.size).toBeGreaterThan(flowsMax / 2);
    expect(known.size).toBeLessThanOrEqual(flowsMax);
    for (let number = 0; number < 2 * flowsMax; number++) {
      const { verdict } = node.send(server, flow(number).answer('SYN ACK'));
      expect(verdict).toBe(known.has(number) ? 'to client' : 'dropped: policyDenied ingress');
    }
  });

  it('a flow that is denied stays denied when it is forgotten', () => {
    node.send(client, flow(0).ask('SYN'));
    node.setPolicy(server, { ingress: [] });
    expect(node.send(client, flow(0).ask()).verdict).toBe('dropped: policyDenied ingress');
    node.forgetFlows();
    expect(node.send(client, flow(0).ask()).verdict).toBe('dropped: policyDenied ingress');
    expect(node.flows()).toEqual([]);
  });

  it('a connection of the proxy that is forgotten does not go past it', () => {
    node.setPolicy(server, { ingress: [{ verdict: 'redirect', ruleSet: 7 }] });
    node.send(client, flow(0).ask('SYN'));
    node.forgetFlows();
    expect(node.send(client, flow(0).ask()).verdict).toBe('dropped: proxyNeedsNewConnection ingress');
  });

  it('a flow in use outlives a flood of others', () => {
    const talk = flow(0);
    node.send(client, talk.ask('SYN'));
    node.send(server, talk.answer('SYN ACK'));
    flood((number) => {
      if (number % 16 === 0) node.send(client, talk.ask());
    });
    expect(node.flows().find(({ to }) => to === 'server')).toMatchObject({
      ports: [1024, 80],
      asked: { packets: 1 + (2 * flowsMax) / 16 },
    });
  });

  it('a datagram that is forgotten is dropped', () => {
    const whole = conversation({ family: 'ipv4', from: client, to: server, over: udp(40000, 53) })
      .ask()
      .payload('x'.repeat(60));
    const datagram = (identification: number) => fragmentPacket(whole.bytes(), { identification, size: 40 });
    for (let number = 0; number < 2 * fragmentsMax; number++) node.send(client, datagram(number)[0]!);
    const verdicts = Array.from(
      { length: 2 * fragmentsMax },
      (_, number) => node.send(client, datagram(number)[1]!).verdict,
    );
    const dropped = verdicts.filter((verdict) => verdict === 'dropped: firstFragmentMissing egress');
    expect(dropped.length).toBeGreaterThanOrEqual(fragmentsMax);
    expect(dropped.length + verdicts.filter((verdict) => verdict === 'to server').length).toBe(verdicts.length);
  });
});
