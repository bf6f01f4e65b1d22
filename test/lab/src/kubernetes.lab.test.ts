// SPDX-License-Identifier: Apache-2.0
// A real cluster: two kubelets that start pods with Weir.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Kubelets, kubeletsSkipReason, startKubelets, until } from './testing/kubelets.ts';

if (kubeletsSkipReason !== undefined) process.stderr.write(`Skipped: the tests with kubelets: ${kubeletsSkipReason}\n`);

const namespace = 'demo';
const container = { name: 'c', image: 'klab.local/agnhost:1', imagePullPolicy: 'Never' };
const pod = (name: string, node: string, more: object): object => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels: { app: name } } },
  spec: { nodeName: node, terminationGracePeriodSeconds: 0, containers: [{ ...container, ...more }] },
});
const serving = {
  args: ['netexec', '--http-port=8080'],
  ports: [{ name: 'web', containerPort: 8080 }],
  // The kubelet asks from the node.
  readinessProbe: { httpGet: { path: '/healthz', port: 'web' }, periodSeconds: 1 },
};
const service = {
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'server', namespace } },
  spec: { clusterIP: '10.98.0.80', selector: { app: 'server' }, ports: [{ name: 'web', port: 80, targetPort: 'web' }] },
};
/** Only pods with a label may call the server, by the name of its port. */
const policy = {
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'server', namespace } },
  spec: {
    podSelector: { matchLabels: { app: 'server' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'near' } } }], ports: [{ port: 'web' }] }],
  },
};

(kubeletsSkipReason === undefined ? describe : describe.skip)('pods of Kubernetes', () => {
  let cluster: Kubelets;
  let address: string;
  beforeAll(async () => {
    cluster = await startKubelets();
    const [one = '', two = ''] = cluster.nodes;
    const space = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
    await cluster.apply(space, service, pod('server', one, serving), pod('near', one, {}), pod('far', two, {}));
    await cluster.kubectl('-n', namespace, 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s');
    address = await cluster.kubectl('-n', namespace, 'get', 'pod', 'server', '-o', 'jsonpath={.status.podIP}');
  }, 600_000);
  afterAll(() => cluster?.down(), 120_000);

  const calls = async (from: string, url: string): Promise<boolean> => {
    const curl = ['curl', '-s', '-m', '2', url];
    const said = cluster.kubectl('-n', namespace, 'exec', from, '--', ...curl).catch(() => '');
    return (await said) === 'server';
  };
  const reach = async (): Promise<Record<string, boolean>> => {
    const urls = { address: `http://${address}:8080/hostname`, service: 'http://10.98.0.80/hostname' };
    const pairs = ['near', 'far'].flatMap((from) => Object.entries(urls).map(([to, url]) => ({ from, to, url })));
    const all = pairs.map(async ({ from, to, url }) => [`${from} → ${to}`, await calls(from, url)] as const);
    return Object.fromEntries(await Promise.all(all));
  };
  const reachIs = (near: boolean, far: boolean) => async (): Promise<boolean> =>
    Object.entries(await reach()).every(([pair, passes]) => passes === (pair.startsWith('near') ? near : far));

  it('have addresses, and reach each other on and across nodes, directly and by a service', async () => {
    expect(address).toMatch(/^10\.246\./);
    await until('everybody reaches the server', reachIs(true, true));
  });

  it('are held to NetworkPolicies by their labels, and to what their labels become', async () => {
    await cluster.apply(policy);
    await until('only the pod with the label reaches it', reachIs(true, false));
    await cluster.kubectl('-n', namespace, 'label', '--overwrite', 'pod', 'far', 'app=near');
    await until('the other one has the label', reachIs(true, true));
    await cluster.kubectl('-n', namespace, 'label', '--overwrite', 'pod', 'far', 'app=far');
    await until('it has not any more', reachIs(true, false));
  });

  it('stay connected and held while the agent is dead, and after it has come back', async () => {
    const [one = ''] = cluster.nodes;
    await cluster.killAgent(one);
    expect(await reachIs(true, false)()).toBe(true);
    await cluster.kubectl('-n', namespace, 'delete', 'networkpolicy', 'server');
    await cluster.startAgent(one);
    await until('what was deleted meanwhile is gone', reachIs(true, true));
    expect(await cluster.weir(one, 'status')).toMatch(/kubernetes: +Ok/);
  });
});
