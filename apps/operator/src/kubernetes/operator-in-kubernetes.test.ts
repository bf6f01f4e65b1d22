// SPDX-License-Identifier: Apache-2.0
// What the operator does in Kubernetes, against the real kube-apiserver, seen with the real kubectl.
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock as clock } from '@weir/clock';
import { type ControlPlane, controlPlaneSkipReason, createControlPlane } from '@weir/control-plane';
import { customResourceDefinitions, schemaVersion, schemaVersionLabel } from '@weir/custom-resources';
import { createKubernetesApi, type KubernetesApi, openKubernetesAccess } from '@weir/kubernetes';
import { defaultClusterName } from '@weir/model';
import { createLogger } from '@weir/telemetry';
import { createLeaderElection, type LeaderElection } from '../leader/leader-election.ts';
import { createLeaseClaims } from '../leader/lease-claims.ts';
import { rangesOfKubernetes } from './cilium-nodes.ts';
import { createKubernetesDuties, type KubernetesDuties } from './kubernetes-duties.ts';
import { registerDefinitions } from './register-definitions.ts';

if (controlPlaneSkipReason !== undefined) {
  process.stderr.write(`Skipped: the operator in Kubernetes: ${controlPlaneSkipReason}\n`);
}
/** What the tests look at of objects. */
interface Found {
  readonly metadata: {
    readonly labels: Record<string, string>;
    readonly resourceVersion: string;
    readonly ownerReferences: readonly object[];
  };
  readonly spec: {
    readonly taints: readonly { readonly key: string }[];
    readonly names: { readonly shortNames: readonly string[] };
    readonly ipam: { readonly podCIDRs: readonly string[] };
  };
  readonly status: { readonly conditions: readonly { readonly message?: string }[] };
}
const logger = createLogger({ service: 'test', level: 'silent' });
const namespace = 'kube-system';
const age = expect.stringMatching(/^\d+[smh]/);

(controlPlaneSkipReason === undefined ? describe : describe.skip)('operator in Kubernetes', () => {
  let plane: ControlPlane;
  let api: KubernetesApi;
  let election: LeaderElection;
  let duties: KubernetesDuties;

  const kubectl = (args: readonly string[], input = ''): Promise<string> =>
    new Promise((resolve, reject) => {
      const all = ['--kubeconfig', plane.kubeconfig, ...args];
      const child = execFile('kubectl', all, { maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(stderr.slice(-2_000)));
      });
      child.stdin?.end(input);
    });
  const apply = (object: unknown): Promise<string> => kubectl(['apply', '-f', '-'], JSON.stringify(object));
  /** Columns of what kubectl prints are two spaces apart at least. */
  const table = async (...args: string[]): Promise<string[][]> =>
    (await kubectl(['get', ...args]))
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/));
  const eventually = async <Value>(get: () => Promise<Value>, holds: (value: Value) => boolean): Promise<Value> => {
    const untilMs = performance.now() + 30_000;
    for (;;) {
      const value = await get();
      if (holds(value)) return value;
      if (performance.now() > untilMs) throw new Error(`It stays ${JSON.stringify(value)}`);
      await sleep(50);
    }
  };
  const get = (path: string): Promise<Found> => api.request<Found>({ path });
  const candidate = (name: string): LeaderElection => {
    const claims = createLeaseClaims({ api, namespace, name: 'weir-operator', leaseMs: 3_000, clock });
    return createLeaderElection({ claims, name, id: name, leaseMs: 3_000, clock, logger });
  };
  const addNode = async (name: string, spec: object = {}): Promise<void> => {
    await api.request({
      ...{ method: 'POST', path: '/api/v1/nodes' },
      body: { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: { zone: 'a' } }, spec },
    });
    const addresses = [
      { type: 'InternalIP', address: '192.0.2.9' },
      { type: 'Hostname', address: name },
    ];
    await api.request({
      ...{ method: 'PATCH', path: `/api/v1/nodes/${name}/status`, body: { status: { addresses } } },
      contentType: 'application/strategic-merge-patch+json',
    });
  };

  beforeAll(async () => {
    plane = await createControlPlane();
    api = createKubernetesApi(await openKubernetesAccess({ kubeconfig: plane.kubeconfig, server: undefined }));
    election = candidate('first');
    election.start();
    duties = createKubernetesDuties({
      ...{ api, election, namespace, agentSelector: 'app.kubernetes.io/name=weir-agent', clock, logger },
      ...{ clusterName: defaultClusterName, rangesOf: rangesOfKubernetes },
    });
    duties.start();
    const names = customResourceDefinitions().map(({ metadata }) => `crd/${metadata.name}`);
    const said = () => kubectl(['get', '-o', 'jsonpath={.items[*].status.conditions[*].type}', ...names]).catch(String);
    await eventually(said, (text) => text.trim().split('Established').length === names.length + 1);
  }, 180_000);
  afterAll(async () => {
    await duties?.stop();
    await election?.stop();
    await plane?.destroy();
  });

  it('one leads, as a Lease says; another one at once when it resigns', async () => {
    const second = candidate('second');
    second.start();
    await eventually(
      async () => second.leader,
      (leader) => leader === 'first',
    );
    expect((await table('lease', '-n', namespace, 'weir-operator'))[1]?.slice(0, 2)).toEqual([
      'weir-operator',
      'first_first',
    ]);
    await election.stop();
    await eventually(async () => second.isLeader, Boolean);
    expect(await get(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/weir-operator`)).toMatchObject({
      spec: { holderIdentity: 'second_second', leaseDurationSeconds: 3 },
    });
    await second.stop();
    election.start();
    await eventually(async () => election.isLeader, Boolean);
  });

  it('brings definitions of older versions up to date, and leaves those of newer ones alone', async () => {
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ciliumidentities.cilium.io';
    const definitions = customResourceDefinitions();
    const change = async (version: string): Promise<unknown> => {
      const body = { metadata: { labels: { [schemaVersionLabel]: version } }, spec: { names: { shortNames: ['x'] } } };
      await api.request({ method: 'PATCH', path, contentType: 'application/merge-patch+json', body });
      await registerDefinitions({ api, definitions, logger });
      const { metadata, spec } = await get(path);
      return [metadata.labels[schemaVersionLabel], spec.names.shortNames];
    };
    expect(await change('999.0.0')).toEqual(['999.0.0', ['x']]);
    expect(await change('0.0.9')).toEqual([schemaVersion, ['ciliumid']]);
    expect(await change(schemaVersion)).toEqual([schemaVersion, ['ciliumid']]);
    const { metadata } = await get(path);
    await registerDefinitions({ api, definitions, logger });
    expect((await get(path)).metadata.resourceVersion).toBe(metadata.resourceVersion);
  });

  it('keeps a CiliumNode for every node, with its ranges, or why it has none', async () => {
    await addNode('n1', { podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24'] });
    await addNode('n2');
    const error = ['n2', '-o', 'jsonpath={.status.ipam.operator-status.error}'];
    await eventually(
      () => kubectl(['get', 'cn', ...error]).catch(String),
      (text) => text.includes('no range'),
    );
    expect(duties.reason).toContain('Kubernetes has given node "n2" no range');
    expect(await table('cn', '-o', 'wide')).toEqual([
      ['NAME', 'CILIUMINTERNALIP', 'INTERNALIP', 'PODCIDRS', 'AGE'],
      ['n1', '192.0.2.9', '["10.1.0.0/24"]', age],
      ['n2', '192.0.2.9', '[]', age],
    ]);
    await kubectl(['label', 'cn', 'n1', 'mine=yes']);
    await kubectl(['patch', 'node', 'n2', '--patch', '{"spec":{"podCIDR":"10.1.1.0/24","podCIDRs":["10.1.1.0/24"]}}']);
    await kubectl(['label', 'node', 'n1', 'zone=b', '--overwrite']);
    await eventually(
      () => kubectl(['get', 'cn', ...error]),
      (text) => text === '',
    );
    const { metadata, spec } = await eventually(
      () => get('/apis/cilium.io/v2/ciliumnodes/n1'),
      (node) => node.metadata.labels.zone === 'b',
    );
    // What others have said stays.
    expect(metadata.labels).toEqual({ mine: 'yes', zone: 'b' });
    expect(metadata.ownerReferences).toMatchObject([{ kind: 'Node', name: 'n1' }]);
    expect(spec.ipam.podCIDRs).toEqual(['10.1.0.0/24']);
    await kubectl(['delete', 'node', 'n2']);
    await eventually(
      () => kubectl(['get', 'cn', '-o', 'name']),
      (text) => !text.includes('n2'),
    );
    expect(duties.reason).toBeUndefined();
  });

  it('takes the taint off a node whose agent is ready, and no other taint', async () => {
    const other = { key: 'keep', effect: 'NoSchedule' };
    const taints = [{ key: 'node.cilium.io/agent-not-ready', effect: 'NoExecute' }, other];
    await addNode('tainted', { podCIDR: '10.1.9.0/24', podCIDRs: ['10.1.9.0/24'], taints });
    const labels = { 'app.kubernetes.io/name': 'weir-agent' };
    await apply({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'weir-agent-x', namespace, labels } },
      spec: { nodeName: 'tainted', containers: [{ name: 'agent', image: 'weir' }] },
    });
    const ready = (status: string): Promise<unknown> =>
      api.request({
        ...{ method: 'PATCH', path: `/api/v1/namespaces/${namespace}/pods/weir-agent-x/status` },
        contentType: 'application/strategic-merge-patch+json',
        body: { status: { conditions: [{ type: 'Ready', status }] } },
      });
    await ready('False');
    await eventually(
      () => kubectl(['get', 'cn', '-o', 'name']),
      (text) => text.includes('tainted'),
    );
    expect((await get('/api/v1/nodes/tainted')).spec.taints).toEqual(expect.arrayContaining(taints));
    await ready('True');
    const { spec, status } = await eventually(
      () => get('/api/v1/nodes/tainted'),
      (node) => node.spec.taints.every(({ key }) => key !== taints[0]?.key),
    );
    expect(spec.taints).toContainEqual(other);
    expect(status.conditions).toMatchObject([{ type: 'NetworkUnavailable', status: 'False', reason: 'WeirIsUp' }]);
  });

  const policy = (name: string, spec: object, kind = 'CiliumNetworkPolicy'): unknown => ({
    ...{ apiVersion: 'cilium.io/v2', kind, metadata: { name }, spec },
  });
  const validOf = async (kind: string, name: string): Promise<string[] | undefined> =>
    (await table(kind)).find(([first]) => first === name);

  it('says of policies whether they are valid, and if not, why', async () => {
    await apply(policy('good', { endpointSelector: {}, ingress: [{ toPorts: [{ ports: [{ port: '80' }] }] }] }));
    await apply(policy('bad', { endpointSelector: {}, ingress: [{ fromCIDR: ['10.0.0.0/99'] }] }));
    await apply(policy('all', { endpointSelector: {} }, 'CiliumClusterwideNetworkPolicy'));
    await eventually(
      () => validOf('cnp', 'good'),
      (row) => row?.[2] === 'True',
    );
    await eventually(
      () => validOf('cnp', 'bad'),
      (row) => row?.[2] === 'False',
    );
    await eventually(
      () => validOf('ccnp', 'all'),
      (row) => row?.[2] === 'True',
    );
    const path = '/apis/cilium.io/v2/namespaces/default/ciliumnetworkpolicies/bad';
    const { conditions } = (await get(path)).status;
    expect(conditions).toMatchObject([{ type: 'Valid', status: 'False' }]);
    expect(conditions[0]?.message).toContain('10.0.0.0/99');
    await apply(policy('bad', { endpointSelector: {}, ingress: [{ fromCIDR: ['10.0.0.0/9'] }] }));
    await eventually(
      () => validOf('cnp', 'bad'),
      (row) => row?.[2] === 'True',
    );
  });

  it.each<[string, object, string]>([
    ['a port that is none', { endpointSelector: {}, ingress: [{ toPorts: [{ ports: [{ port: 'x/y' }] }] }] }, 'port'],
    ['an unknown entity', { endpointSelector: {}, ingress: [{ fromEntities: ['nobody'] }] }, 'fromEntities'],
    ['no subject', { ingress: [{}] }, 'endpointSelector'],
    ['what is not enforced', { endpointSelector: {}, ingress: [{ authentication: {} }] }, 'authentication'],
  ])('has %s refused at kubectl apply, with the field named', async (_what, spec, field) => {
    await expect(apply(policy('refused', spec))).rejects.toThrow(field);
  });

  it('has endpoints and identities shown as people know them', async () => {
    await apply({
      ...{ apiVersion: 'cilium.io/v2', kind: 'CiliumIdentity' },
      metadata: { name: '4711', labels: { 'io.kubernetes.pod.namespace': 'default' } },
      'security-labels': { 'k8s:app': 'web' },
    });
    await apply({ apiVersion: 'cilium.io/v2', kind: 'CiliumEndpoint', metadata: { name: 'web-0' } });
    const status = {
      ...{ id: 12, state: 'ready', identity: { id: 4711, labels: ['k8s:app=web'] } },
      networking: { addressing: [{ ipv4: '10.1.0.9', ipv6: 'fd00::9' }], node: '192.0.2.9' },
    };
    await kubectl(['patch', 'cep', 'web-0', '--subresource=status', '--type=merge', '-p', JSON.stringify({ status })]);
    expect([await table('ciliumid'), await table('cep')]).toEqual([
      [
        ['NAME', 'NAMESPACE', 'AGE'],
        ['4711', 'default', age],
      ],
      [
        ['NAME', 'SECURITY IDENTITY', 'ENDPOINT STATE', 'IPV4', 'IPV6', 'AGE'],
        ['web-0', '4711', 'ready', '10.1.0.9', 'fd00::9', age],
      ],
    ]);
  });
});
