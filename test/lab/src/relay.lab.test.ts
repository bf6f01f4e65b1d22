// SPDX-License-Identifier: Apache-2.0
// Two nodes whose flows are asked for in one place: every step of the walkthrough can be told from that alone.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type observer, ObserverDefinition, relay } from '@weir/proto';
import { createRpcClient, type RpcClient } from '@weir/rpc';
import { curl, httpServer } from './testing/http.ts';
import { fromPods, onHttp, policy } from './testing/policy.ts';
import { eventually } from './testing/services.ts';
import { type PlayedPod, useLab } from './testing/use-lab.ts';
import { weir } from './testing/weir.ts';

const { NodeState } = relay;
const port = 80;
const [isServer, isClient] = [{ app: 'server' }, { app: 'client' }];
const timeout = { deadlineMs: 90_000 };

let server: PlayedPod, client: PlayedPod, stranger: PlayedPod;
const test = useLab(
  'relay',
  async ({ pod }) => {
    [server, client, stranger] = await Promise.all([
      pod('server', { node: 'node2', labels: isServer, ...httpServer(port) }),
      pod('client', { node: 'node1', labels: isClient }),
      pod('stranger', { node: 'node1', labels: { app: 'stranger' } }),
    ]);
  },
  { nodeCount: 2 },
);

let flows: RpcClient<typeof ObserverDefinition>;
beforeAll(async () => {
  flows = createRpcClient(ObserverDefinition, { address: `unix:${test.lab.paths.relaySocket}`, waitForReady: true });
  await eventually('the relay asks both nodes', async () => (await states()).join() === '1,1' || undefined);
});
afterAll(() => flows.close());

const states = async (): Promise<relay.NodeState[]> => (await flows.getNodes({})).nodes.map(({ state }) => state ?? 0);

/** What `weir observe` prints of the relay's flows, without what flows on and on. */
async function observe(...args: readonly string[]): Promise<string> {
  const { stdout, stderr, status } = await weir(test.lab, [
    ...['observe', '--server', `unix://${test.lab.paths.relaySocket}`, ...args],
  ]);
  return status === 0 ? `${stdout}${stderr}` : `${status}: ${stderr}`;
}

/** Without numbers that differ, and with the names of pods that a node knows by their addresses only. */
const asNames = (text: string): string =>
  [server, client, stranger]
    .reduce((all, { name, ipv4 }) => all.replaceAll(` ${ipv4}:`, ` default/${name}:`), text)
    .replaceAll(/(?<=default\/\w+):\d+| \(ID:\d+\)/g, '');

it('tells who talked to whom, on which node, what became of it, and by which policy', async () => {
  await test.apply(
    policy('landing', isServer, { ingress: [{ ...fromPods(isClient), ...onHttp(port, { path: '/yes' }) }] }),
  );
  const url = (path: string): string => `http://${server.ipv4}${path}`;
  expect((await curl(test.lab, 'client', url('/yes'))).status).toBe(200);
  expect((await curl(test.lab, 'client', url('/no'))).status).toBe(403);
  await expect(stranger.connect({ address: server.ipv4, port }, 300)).rejects.toThrow();
  const isTold = (text: string): boolean =>
    [/stranger.* DROPPED/, /http-response .*no/].every((each) => each.test(text));
  const told = await eventually('the refusals have been told', async () => {
    const text = await observe(
      '--all',
      '--print-node-name',
      '--print-policy-names',
      '--use-default-field-masks',
      'false',
    );
    return isTold(text) ? asNames(text).split('\n') : undefined;
  });
  const lines = [
    `[node1]: default/client -> default/server policy-verdict:none EGRESS ALLOWED (TCP Flags: SYN)`,
    `[node2]: default/client -> default/server policy-verdict:L3-L4 INGRESS ALLOWED BY landing (CiliumNetworkPolicy)`,
    `[node2]: default/client -> default/server http-request FORWARDED (HTTP/1.1 GET ${url('/yes')})`,
    `[node2]: default/client <- default/server http-response FORWARDED (HTTP/1.1 200 `,
    `[node2]: default/client -> default/server http-request DROPPED (HTTP/1.1 GET ${url('/no')})`,
    `[node2]: default/stranger <> default/server Policy denied DROPPED (TCP Flags: SYN)`,
  ];
  for (const line of lines) expect(told).toContainEqual(expect.stringContaining(line));
});

it('gives the flows of both nodes that are asked for', async () => {
  const since = { seconds: 0 };
  const seen: observer.GetFlowsResponse[] = [];
  for await (const response of flows.getFlows({ since, whitelist: [{ sourceLabel: ['app=client'] }] }, timeout)) {
    seen.push(response);
  }
  const [first, ...rest] = seen;
  expect(first?.nodeStatus).toMatchObject({ stateChange: NodeState.NODE_CONNECTED, nodeNames: ['node1', 'node2'] });
  expect(new Set(rest.map(({ flow: each }) => each?.source?.identity))).toEqual(new Set([client.identity]));
  expect(new Set(rest.map(({ nodeName }) => nodeName))).toEqual(new Set(['node1', 'node2']));
});

it('follows a node through its death, and says so', async () => {
  const seen: string[] = [];
  const following = (async () => {
    const whitelist = [{ protocol: ['icmpv4'] }];
    for await (const { flow: each, nodeStatus, nodeName } of flows.getFlows({ follow: true, whitelist }, timeout)) {
      if (each) seen.push(nodeName ?? '');
      else if (nodeStatus) seen.push(`${NodeState[nodeStatus.stateChange ?? 0]} ${nodeStatus.nodeNames?.join()}`);
      if (seen.at(-1) === 'node2' && seen.includes('NODE_ERROR node2')) return;
    }
  })();
  await test.lab.stopService('node2/agent', 'SIGKILL');
  await eventually('the node is missed', async () => seen.includes('NODE_ERROR node2') || undefined);
  expect(await flows.serverStatus({})).toMatchObject({
    ...{ numConnectedNodes: { value: 1 }, numUnavailableNodes: { value: 1 }, unavailableNodes: ['node2'] },
  });
  expect(await observe('status')).toContain('Unavailable Nodes: node2');
  expect(await observe('--last', '1')).toMatch(/1 nodes? (is|are) unavailable: node2/i);
  await test.lab.startService('node2/agent');
  await test.lab.up();
  const pinging = await test.lab.spawn('client', ['ping', '-i', '0.3', server.ipv4], { stdio: 'ignore' });
  await following;
  pinging.kill();
  expect(seen[0]).toBe('NODE_CONNECTED node1,node2');
});
