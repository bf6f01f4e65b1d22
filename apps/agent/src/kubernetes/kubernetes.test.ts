// SPDX-License-Identifier: Apache-2.0
// The agent's side of Kubernetes against the real kube-apiserver, on a node in memory.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@weir/clock';
import {
  type ControlPlane,
  controlPlaneSkipReason,
  createControlPlane,
  createCutter,
  type Cutter,
  until,
} from '@weir/control-plane';
import { createMemoryServices } from '@weir/datapath-testing';
import { createKubernetesApi, type KubernetesApi, openKubernetesAccess } from '@weir/kubernetes';
import { formatLabelSet } from '@weir/model';
import { createPolicyService, type PolicyService } from '../policy/policy-service.ts';
import { createPolicyStore } from '../policy/policy-store.ts';
import { createServiceController, type ServiceController } from '../service/service-controller.ts';
import { createServiceStore } from '../service/service-store.ts';
import {
  cniCall,
  createTestAgent,
  createTestNode,
  silent,
  type TestAgent,
  type TestNode,
} from '../testing/test-agent.ts';
import { type Kubernetes, startKubernetes } from './kubernetes.ts';

if (controlPlaneSkipReason !== undefined) {
  process.stderr.write(`Skipped: the tests of the agent in Kubernetes: ${controlPlaneSkipReason}\n`);
}

(controlPlaneSkipReason === undefined ? describe : describe.skip)('startKubernetes()', () => {
  let plane: ControlPlane;
  let cutter: Cutter;
  let admin: KubernetesApi;
  let viaCutter: KubernetesApi;
  let node: TestNode;
  let agent: TestAgent;
  let services: ServiceController;
  let policies: PolicyService;
  let kubernetes: Kubernetes | undefined;
  let serviceKernel: ReturnType<typeof createMemoryServices>;

  beforeAll(async () => {
    plane = await createControlPlane();
    cutter = await createCutter(plane.port);
    const open = async (kubeconfig: string): Promise<KubernetesApi> =>
      createKubernetesApi(await openKubernetesAccess({ kubeconfig, server: undefined }));
    admin = await open(plane.kubeconfig);
    viaCutter = await open(plane.kubeconfigFor(cutter.port));
  }, 120_000);
  afterAll(async () => {
    await cutter?.close();
    await plane?.destroy();
  });

  /** A second one on the same node is a restart. */
  const startAgent = async (): Promise<void> => {
    agent = createTestAgent(node);
    const policyStore = createPolicyStore(join(node.directory, 'policies.json'));
    await agent.namespaceLabels.load();
    await agent.restore(await policyStore.load());
    const store = createServiceStore(join(node.directory, 'services.jsonl'));
    services = createServiceController({ datapath: serviceKernel, store, clock: systemClock, logger: silent });
    await services.restore();
    policies = createPolicyService({ ...agent, store: policyStore });
    kubernetes = startKubernetes({
      ...{ ...agent, api: viaCutter, services, policies, node: 'n1', clock: systemClock, logger: silent },
    });
  };
  const stopAgent = async (): Promise<void> => {
    await kubernetes?.stop();
    await services.close();
    kubernetes = undefined;
  };
  beforeEach(async () => {
    node = createTestNode();
    serviceKernel = createMemoryServices();
    await startAgent();
  });
  afterEach(async () => {
    cutter.mend();
    await stopAgent();
    node.remove();
  });

  const apply = (path: string, object: object): Promise<unknown> => {
    const { name } = (object as { metadata: { name: string } }).metadata;
    const query = { fieldManager: 'test', force: 'true' };
    const contentType = 'application/apply-patch+yaml';
    return admin.request({ method: 'PATCH', path: `${path}/${name}`, query, contentType, body: object });
  };
  const remove = (path: string): Promise<unknown> =>
    admin.request({ method: 'DELETE', path, body: { gracePeriodSeconds: 0 } });
  const namespace = (name: string, labels: object = {}) =>
    apply('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  const pod = (namespaced: string, name: string, more: { labels?: object; spec?: object; node?: string } = {}) =>
    apply(`/api/v1/namespaces/${namespaced}/pods`, {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: { name, labels: more.labels ?? { app: name } },
      spec: {
        nodeName: more.node ?? 'n1',
        containers: [{ name: 'c', image: 'i', ports: [{ name: 'web', containerPort: 8080 }] }],
        ...more.spec,
      },
    });
  const policy = (namespaced: string, name: string, app: string) =>
    apply(`/apis/networking.k8s.io/v1/namespaces/${namespaced}/networkpolicies`, {
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name } },
      spec: { podSelector: { matchLabels: { app } }, ingress: [{ ports: [{ port: 'web' }] }] },
    });
  const add = async (namespaced: string, name: string): Promise<void> => {
    const described = await kubernetes!.describe(cniCall(name, { namespace: namespaced, labels: {} }));
    await agent.manager.add(described);
    kubernetes!.added(described);
  };
  const labelsOf = (name: string): string[] =>
    agent.table.list().flatMap(({ record, labels }) => (record.pod === name ? formatLabelSet(labels) : []));
  const enforced = (): string[] => agent.engine.policies().map(({ key }) => key);

  it('makes endpoints of pods with what Kubernetes says of them, and follows their labels and those of namespaces', async () => {
    // Before the pod is there: it is waited for.
    const added = add('ns-a', 'web');
    await namespace('ns-a', { team: 'blue' });
    await pod('ns-a', 'web');
    await added;
    expect(labelsOf('web')).toEqual([
      'k8s:app=web',
      'k8s:io.cilium.k8s.namespace.labels.team=blue',
      'k8s:io.cilium.k8s.policy.cluster=default',
      'k8s:io.cilium.k8s.policy.serviceaccount=default',
      'k8s:io.kubernetes.pod.namespace=ns-a',
    ]);
    expect(agent.table.list()[0]?.record.namedPorts).toEqual([{ name: 'web', protocol: 6, port: 8080 }]);
    await pod('ns-a', 'web', { labels: { app: 'web', tier: 'front' } });
    await until('the label of the pod is known', () => labelsOf('web').includes('k8s:tier=front'));
    await namespace('ns-a', { team: 'red' });
    const red = 'k8s:io.cilium.k8s.namespace.labels.team=red';
    await until('the label of the namespace is known', () => labelsOf('web').includes(red));
    await remove('/api/v1/namespaces/ns-a/pods/web');
  });

  it('refuses to make an endpoint of a pod that is not on this node, and says so', async () => {
    await namespace('ns-b');
    await pod('ns-b', 'elsewhere', { node: 'n2' });
    await kubernetes?.stop();
    kubernetes = startKubernetes({
      ...{ ...agent, api: viaCutter, services, policies, node: 'n1', clock: systemClock, logger: silent },
      describeTimeoutMs: 3_000,
    });
    await expect(kubernetes.describe(cniCall('elsewhere', { namespace: 'ns-b' }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('Kubernetes has no pod "ns-b/elsewhere" on this node'),
    });
  });

  it('brings policies and services into force, and takes away after a restart what is gone, but only when all is listed', async () => {
    await namespace('ns-c');
    await policy('ns-c', 'stays', 'web');
    await policy('ns-c', 'goes', 'web');
    const service = { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 80, protocol: 'TCP' }] } };
    await apply('/api/v1/namespaces/ns-c/services', { ...service, metadata: { name: 'web' } });
    await apply('/api/v1/namespaces/ns-c/services', { ...service, metadata: { name: 'old' } });
    const subsets = [{ addresses: [{ ip: '10.1.1.1' }], ports: [{ port: 8080, protocol: 'TCP' }] }];
    const slices = '/apis/discovery.k8s.io/v1beta1/namespaces/ns-c/endpointslices';
    await apply(slices, {
      ...{ apiVersion: 'discovery.k8s.io/v1beta1', kind: 'EndpointSlice', addressType: 'IPv4' },
      metadata: { name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
      ...{ endpoints: subsets[0]!.addresses.map(({ ip }) => ({ addresses: [ip] })), ports: subsets[0]!.ports },
    });
    const backendsOf = (name: string) =>
      services.get(`ns-c/${name}`)?.backends.map(({ address, port }) => [address, port]);
    await until('all of it is in force', () => enforced().length === 2 && backendsOf('web')?.length === 1);
    expect(backendsOf('web')).toEqual([['10.1.1.1', 8080]]);
    expect(enforced().sort()).toEqual(['NetworkPolicy/ns-c/goes', 'NetworkPolicy/ns-c/stays']);

    await stopAgent();
    await remove('/apis/networking.k8s.io/v1/namespaces/ns-c/networkpolicies/goes');
    await remove('/api/v1/namespaces/ns-c/services/old');
    cutter.sever();
    await startAgent();
    await until('it is noticed that the server is away', () =>
      kubernetes!.status().unknown.some(({ kind, reason }) => kind === 'networkpolicies' && reason.includes('reached')),
    );
    expect([enforced().length, backendsOf('old')]).toEqual([2, []]);
    cutter.mend();
    await until('what is gone is gone', () => enforced().length === 1 && services.get('ns-c/old') === undefined);
    expect([enforced(), backendsOf('web')]).toEqual([['NetworkPolicy/ns-c/stays'], [['10.1.1.1', 8080]]]);
    await remove('/apis/networking.k8s.io/v1/namespaces/ns-c/networkpolicies/stays');
    await remove('/api/v1/namespaces/ns-c/services/web');
    await until('nothing is left', () => enforced().length === 0 && services.get('ns-c/web') === undefined);
    expect(existsSync(join(node.directory, 'policies.json'))).toBe(true);
    expect(readFileSync(join(node.directory, 'policies.json'), 'utf8')).not.toContain('ns-c');
  });

  it('keeps a policy of somebody else, and says which object is not in force', async () => {
    await namespace('ns-d');
    const content = JSON.stringify({
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'mine', namespace: 'ns-d' } },
      spec: { podSelector: {} },
    });
    await policies.import([{ name: 'mine', content }], { validateOnly: false });
    await policy('ns-d', 'mine', 'web');
    await until('it is refused', () => kubernetes!.status().refused.length > 0);
    expect(kubernetes!.status().refused).toEqual([
      { key: 'NetworkPolicy/ns-d/mine', reason: expect.stringContaining('that somebody has imported') },
    ]);
    await remove('/apis/networking.k8s.io/v1/namespaces/ns-d/networkpolicies/mine');
    await until('it is forgotten', () => kubernetes!.status().refused.length === 0);
    expect(enforced()).toEqual(['NetworkPolicy/ns-d/mine']);
  });
});
