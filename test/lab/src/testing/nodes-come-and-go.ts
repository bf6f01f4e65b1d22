// SPDX-License-Identifier: Apache-2.0
// What becomes of a node's pods, and of all others, when it dies, comes back as somebody else, and when one is added.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { expectTalking, expectTcpEcho, openConnection } from './reach.ts';
import { eventually } from './services.ts';
import type { ThreeNodes } from './three-nodes.ts';
import { families, type PlayedPod } from './use-lab.ts';

const port = 7000;
const podRanges = /^(10\.244\.3\.0\/24|fd00:10:244:3::\/64) /;

/** What the first node knows of the third one: that it is there, routes to its pods, and who one of them is. */
async function whatNode1Knows(test: ThreeNodes, pod: PlayedPod) {
  const agent = test.lab.agent('node1');
  try {
    const { nodes } = await agent.listNodes({});
    const { entries } = await agent.listIpcache({});
    const { stdout } = await test.lab.exec('@node1', ['sh', '-c', 'ip route; ip -6 route']);
    return {
      nodes: nodes.map(({ name }) => name ?? ''),
      routes: stdout.split('\n').filter((line) => podRanges.test(line)).length,
      identities: [`${pod.ipv4}/32`, `${pod.ipv6}/128`].map(
        (address) => entries.find(({ prefix }) => prefix === address)?.identity ?? 0,
      ),
    };
  } finally {
    agent.close();
  }
}

const known = ({ identity }: PlayedPod) => ({
  ...{ nodes: ['node1', 'node2', 'node3'], routes: 2, identities: [identity, identity] },
});
const forgotten = { nodes: ['node1', 'node2'], routes: 0, identities: [0, 0] };

/** Waits until the first node knows just that of the third one. */
async function untilNode1Knows(test: ThreeNodes, pod: PlayedPod, expected: object): Promise<void> {
  const isSo = async (): Promise<boolean> =>
    JSON.stringify(await whatNode1Knows(test, pod)) === JSON.stringify(expected);
  await eventually('the first node knows', isSo).catch(() => undefined);
  expect(await whatNode1Knows(test, pod)).toEqual(expected);
}

/** Connections of both families between the other two nodes, which never fall silent; the result ends them. */
async function keepTalking({ at }: ThreeNodes): Promise<() => Promise<void>> {
  const listener = await at.node2.listen(7003);
  let isOver = false;
  const talks: Awaited<ReturnType<typeof openConnection>>[] = [];
  // One after the other, or they might be taken for each other.
  for (const family of families) {
    const target = { address: at.node2[family], port: 7003 };
    talks.push(await openConnection(at.node1, { listener, target }));
  }
  const talking = Promise.all(
    talks.map(async ({ client, server }) => {
      do await expectTalking(client, server);
      while (!isOver);
    }),
  );
  // Awaited in the end; until then it must not count as unhandled.
  talking.catch(() => undefined);
  return async () => {
    isOver = true;
    await talking;
    await listener.close();
  };
}

async function expectReachable({ at }: ThreeNodes, pod: PlayedPod): Promise<void> {
  for (const family of families) {
    await expectTcpEcho(at.node1, { address: pod[family], port });
    await expectTcpEcho(pod, { address: at.node2[family], port });
  }
}

/** Gives the third node other addresses than the ones it had. */
async function renumber(test: ThreeNodes, { ipv4, ipv6 }: Readonly<Record<'ipv4' | 'ipv6', string>>): Promise<void> {
  const change = [
    // The lab has told the agent to serve flows at the address that it had.
    'echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind',
    'ip address flush dev eth0 scope global',
    `ip address add ${ipv4}/24 dev eth0`,
    `ip address add ${ipv6}/64 dev eth0 nodad`,
    'ip route replace default via 172.31.0.2',
    'ip -6 route replace default via fd00:172:31::2',
  ];
  expect(await test.lab.exec('@node3', ['sh', '-ec', change.join('; ')])).toMatchObject({ status: 0 });
}

/** Leaves nothing on the third node of what it was. */
async function wipe({ lab }: ThreeNodes): Promise<void> {
  for (const service of ['node3/agent', 'node3/l7-proxy']) await lab.stopService(service, 'SIGKILL');
  const { stateDirectory, bpfRoot } = lab.paths.node('node3');
  for (const directory of [stateDirectory, bpfRoot]) {
    // What a file system for BPF has by itself, it keeps.
    const names = (await readdir(directory)).filter((name) => !name.endsWith('.debug'));
    for (const name of names) await rm(join(directory, name), { recursive: true });
  }
  await lab.exec('@node3', ['sh', '-c', 'ip link del weir_host; ip link del weir_vxlan']);
}

/** Registers the tests; the third node is not the one it was behind them. */
export function testNodesComingAndGoing(test: ThreeNodes): void {
  it('a node that dies is known until its lease is over and not longer, and is back with another address', async () => {
    const pod = test.at.node3;
    expect(await whatNode1Knows(test, pod)).toEqual(known(pod));
    const stopTalking = await keepTalking(test);
    await test.lab.stopService('node3/agent', 'SIGKILL');
    // What forwards is in the kernel: without its agent the node still works.
    await expectTcpEcho(test.at.node1, { address: pod.ipv4, port });
    expect(await whatNode1Knows(test, pod)).toEqual(known(pod));
    await untilNode1Knows(test, pod, forgotten);

    await renumber(test, { ipv4: '172.31.0.93', ipv6: 'fd00:172:31::93' });
    await test.lab.startService('node3/agent');
    await untilNode1Knows(test, pod, known(pod));
    await expectReachable(test, pod);
    await stopTalking();
    await test.lab.up();
  });

  it('a node is added while the others talk, and its pods reach theirs', async () => {
    const stopTalking = await keepTalking(test);
    await test.lab.removePod('other');
    await wipe(test);
    await untilNode1Knows(test, test.at.node3, forgotten);

    for (const service of ['node3/agent', 'node3/l7-proxy']) await test.lab.startService(service);
    await test.lab.up();
    const pod = await test.pod('newcomer', { node: 'node3', labels: { app: 'newcomer' } });
    await pod.echo(port, [pod.ipv4, pod.ipv6]);
    await untilNode1Knows(test, pod, known(pod));
    await expectReachable(test, pod);
    await stopTalking();
  });
}
