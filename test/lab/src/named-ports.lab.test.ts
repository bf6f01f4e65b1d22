// SPDX-License-Identifier: Apache-2.0
// A name of a port means what the pod says that it is of: the one whose ingress it is, the peer of egress. Pods of one
// identity may say different things, and pods of other nodes are believed as those of this one are.
import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NamedPort } from '@weir/model';
import { onPort, policy, type Rule, toPods } from './testing/policy.ts';
import { expectTcpDropped, expectTcpEcho } from './testing/reach.ts';
import { eventually, kill, without } from './testing/services.ts';
import { families, type PlayedPod, useLab } from './testing/use-lab.ts';
import { weir } from './testing/weir.ts';

const [isServer, isClient] = [{ app: 'server' }, { app: 'client' }];
const [low, high] = [7000, 7001];
const named = (port: number): { readonly namedPorts: readonly NamedPort[] } => ({
  namedPorts: [{ name: 'web', protocol: 6, port }],
});

let first: PlayedPod, second: PlayedPod, far: PlayedPod, client: PlayedPod;
const test = useLab(
  'ports',
  async ({ pod }) => {
    [first, second, far, client] = await Promise.all([
      pod('first', { labels: isServer, ...named(low) }),
      pod('second', { labels: isServer, ...named(high) }),
      pod('far', { node: 'node2', labels: { app: 'far' }, ...named(high) }),
      pod('client', { labels: isClient }),
    ]);
    for (const each of [first, second, far]) {
      for (const port of [low, high]) await each.echo(port, [each.ipv4, each.ipv6]);
    }
  },
  { nodeCount: 2 },
);

const onName = (port: string, protocol = 'TCP'): Rule => ({ toPorts: [{ ports: [{ port, protocol }] }] });
const kubernetes = (port: string): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    podSelector: { matchLabels: isServer },
    ingress: [{ from: [{ podSelector: { matchLabels: isClient } }], ports: [{ port, protocol: 'TCP' }] }],
  },
});

/** Whether the first node would know a pod after a restart, with nobody to ask. */
async function isWrittenDown({ ipv4, identity }: PlayedPod): Promise<boolean | undefined> {
  const { stateDirectory } = test.lab.paths.node('node1');
  const read = (file: string): Promise<string> => readFile(join(stateDirectory, file), 'utf8');
  const [cluster, identities] = await Promise.all([read('cluster.json'), read('identities.json')]);
  return (cluster.includes(`"${ipv4}"`) && identities.includes(String(identity))) || undefined;
}

/** Whether the agent has taken over what the one before left. */
async function isReady(): Promise<true | undefined> {
  const agent = test.lab.agent();
  try {
    const { endpoints } = await agent.listEndpoints({});
    return endpoints.every(({ state }) => state === 'ready') || undefined;
  } catch {
    return undefined;
  } finally {
    agent.close();
  }
}

describe.each(families)('over %s', (family) => {
  const at = (pod: PlayedPod, port: number): { address: string; port: number } => ({ address: pod[family], port });

  const expectEachItsOwn = async (): Promise<void> => {
    await expectTcpEcho(client, at(first, low));
    await expectTcpEcho(client, at(second, high));
    await expectTcpDropped(test, { client, target: at(first, high) });
    await expectTcpDropped(test, { client, target: at(second, low) });
  };

  it('a name in ingress is the port of each pod, also where two pods of one identity differ', async () => {
    expect(second.identity).toBe(first.identity);
    await test.apply(kubernetes('web'));
    await expectEachItsOwn();
  });

  it('a name in ingress is the same before and after a restart of the agent', async () => {
    await test.apply(kubernetes('WEB'));
    await without(test.lab, ['node1/agent'], async () => {
      await expectTcpEcho(client, at(first, low));
      await expectTcpEcho(client, at(second, high));
    });
    await test.logEventsAnew();
    await expectEachItsOwn();
  });

  it('a name in egress is the port of the peer, also on another node', async () => {
    await test.apply(policy('out', isClient, { egress: [{ ...toPods({ app: 'far' }), ...onName('web') }] }));
    await expectTcpEcho(client, at(far, high));
    await expectTcpDropped(test, { client, target: at(far, low) });
    await expectTcpDropped(test, { client, target: at(first, low) });
  });

  it('a name in egress is still known after a restart of the agent, and until the peer is gone', async () => {
    await test.apply(policy('out', isClient, { egress: [{ ...toPods({ app: 'late' }), ...onName('web') }] }));
    const late = await test.pod('late', { node: 'node2', labels: { app: 'late' }, ...named(low) });
    await late.echo(low, [late.ipv4, late.ipv6]);
    await expectTcpEcho(client, at(late, low));
    await eventually('the pod is written down', () => isWrittenDown(late));
    await without(test.lab, ['identity-allocator'], async () => {
      await kill(test.lab, 'node1/agent');
      await eventually('the agent is back', isReady);
      await expectTcpEcho(client, at(late, low));
    });
    await test.logEventsAnew();
    await test.lab.removePod('late');
  });

  it('a name that is of another protocol, or that nobody has, opens nothing, and the trace says so', async () => {
    await test.apply(
      policy('in', isServer, { ingress: [onName('web', 'UDP'), onName('nobodys')] }),
      policy('out', isClient, { egress: [onName('nobodys'), onPort(high)] }),
    );
    await expectTcpDropped(test, { client, target: at(first, low) });
    const { stdout } = await weir(test.lab, [
      ...['policy', 'trace', '--src', 'default/client', '--dst', 'default/second', '--dport', `${high}/tcp`],
    ]);
    expect(stdout).toContain('a port named "nobodys"');
  });
});
