// SPDX-License-Identifier: Apache-2.0
import { expect } from '@jest/globals';
import { expectTcpDropped, expectTcpEcho, expectUdpDropped, expectUdpEcho } from './reach.ts';
import { families, type Family, type PlayedHost, type PlayedPod, type TestLab } from './use-lab.ts';

/** `client → server TCP 7000`, or `client → server ICMP`, and what becomes of it: `passes`, or why it is dropped. */
export type Flows = Readonly<Record<string, string>>;

/** Tries flows between pods and hosts with echoes on their ports, all at the same time and over both families. */
export async function expectFlows(
  test: TestLab,
  parties: readonly (PlayedPod | PlayedHost)[],
  flows: Flows,
): Promise<void> {
  const party = (name: string): PlayedPod | PlayedHost => parties.find((each) => each.name === name)!;
  const tries = Object.entries(flows).flatMap(([flow, outcome]) => {
    const [, from = '', to = '', protocol, port] = /^(\S+) → (\S+) (\w+) ?(\d*)$/.exec(flow)!;
    const [client, server] = [party(from), party(to)];
    return families.map(async (family) => {
      try {
        const target = { address: server[family], port: Number(port) };
        if (protocol === 'ICMP') await tryPing(test, { client, address: target.address, family, outcome });
        else if (protocol === 'TCP' && outcome === 'passes') await expectTcpEcho(client, target);
        else if (protocol === 'TCP') await expectTcpDropped(test, { client, target, reason: outcome });
        else if (outcome === 'passes') await expectUdpEcho(client, target);
        else await expectUdpDropped(test, { client, target, reason: outcome });
        return [];
      } catch (error) {
        return [`${flow} over ${family}, expected "${outcome}": ${(error as Error).message}`];
      }
    });
  });
  expect((await Promise.all(tries)).flat()).toEqual([]);
}

interface PingTry {
  readonly client: PlayedPod | PlayedHost;
  readonly address: string;
  readonly family: Family;
  readonly outcome: string;
}

async function tryPing(test: TestLab, { client, address, family, outcome }: PingTry): Promise<void> {
  const since = test.events.mark();
  const patience = outcome === 'passes' ? '10' : '0.25';
  const { status } = await test.lab.exec(client.name, ['ping', '-c', '1', '-W', patience, address]);
  expect(status === 0 ? 'passes' : 'no answer').toBe(outcome === 'passes' ? 'passes' : 'no answer');
  if (outcome === 'passes') return;
  const protocol = family === 'ipv4' ? 'ICMP' : 'ICMPv6';
  expect(await test.events.find(since, { type: 'drop', from: client.name, address, protocol })).toMatchObject({
    reason: outcome,
  });
}
