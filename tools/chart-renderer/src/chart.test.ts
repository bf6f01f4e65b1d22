// SPDX-License-Identifier: Apache-2.0
// What the chart becomes, for several sets of values: rendered by Go's own templates, and judged by the real kube-apiserver.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ControlPlane, controlPlaneSkipReason, createControlPlane } from '@weir/control-plane';
import Ajv from 'ajv';
import { parse, parseAllDocuments } from 'yaml';
import { chartRendererSkipReason, renderChart } from './index.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const read = (path: string): string => readFileSync(root + path, 'utf8');
const budget = 'policy/v1/PodDisruptionBudget';

/** What a rendered object is, as far as the tests look at it. */
interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

interface PodSpec {
  readonly containers: readonly { readonly command: readonly string[]; readonly args: readonly string[] }[];
  readonly serviceAccountName: string;
}

const everything = {
  ...{ kubeProxyReplacement: true, kubernetes: { api: 'https://10.0.0.1:6443' }, podRanges: 'pools' },
  tls: { enabled: true },
  image: { digest: `sha256:${'0'.repeat(64)}`, pullSecrets: ['registry'] },
  agent: { privileged: false, flowMetrics: ['drop', 'http'], cgroup: '/sys/fs/cgroup/x', updateMaxUnavailable: '10%' },
  identityAllocator: { replicas: 3, store: 'etcd', storeEndpoints: ['10.0.0.1:2379', '10.0.0.2:2379'] },
  operator: { replicas: 2, store: 'consul', storeEndpoints: ['10.0.0.1:8500'], extraArgs: ['--gc-interval=2m'] },
  relay: { replicas: 2 },
};
const sets: Readonly<Record<string, object>> = {
  'what is there by default': {},
  'everything that can be turned on': everything,
  'as little as can be': {
    ...{ relay: { enabled: false }, l7Proxy: { enabled: false }, podDisruptionBudgets: false },
    ...{ operator: { replicas: 1 }, cni: { chain: [], uninstall: true } },
  },
};

const objects = (values: object, apiVersions: readonly string[] = []): Rendered[] =>
  renderChart({ values, apiVersions })
    .filter(({ name }) => name.endsWith('.yaml'))
    .flatMap(({ text }) => parseAllDocuments(text))
    .map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS() as Rendered;
    })
    .filter((object) => object !== null);

if (chartRendererSkipReason !== undefined) {
  process.stderr.write(`Skipped: the chart: ${chartRendererSkipReason}\n`);
}

(chartRendererSkipReason === undefined ? describe : describe.skip)('charts/weir', () => {
  const names = (rendered: readonly Rendered[]): string[] =>
    rendered.map(({ kind, metadata }) => `${kind}/${metadata.name}`);

  it.each(Object.entries(sets))('with %s has nothing without a value, and no object twice', (_what, values) => {
    const rendered = objects(values, [budget]);
    expect(JSON.stringify(rendered)).not.toMatch(/<no value>|null|%!/);
    expect(new Set(names(rendered)).size).toBe(rendered.length);
  });

  it.each(Object.entries(sets))('with %s gives programs flags that they have', (_what, values) => {
    const containers = objects(values).flatMap(({ spec }) => spec?.template?.spec.containers ?? []);
    for (const { command, args } of containers) {
      const program = /\/opt\/weir\/([a-z0-9-]+)\.mjs$/.exec(command.at(-1) ?? '')?.[1] ?? '';
      const known = new Set(
        read(`docs/reference/${program}.md`)
          .match(/^ {2}(?:-V, )?--[a-z0-9-]+/gm)
          ?.map((flag) => flag.trim()),
      );
      expect(args.map((arg) => arg.split('=')[0]).filter((flag) => !known.has(flag ?? ''))).toEqual([]);
    }
    expect(containers.length).toBeGreaterThan(2);
  });

  it('has what is turned on, and not what is turned off', () => {
    const [some, all, few] = Object.values(sets).map((values) => names(objects(values)));
    expect(some).toEqual(
      expect.arrayContaining(['DaemonSet/weir-agent', 'DaemonSet/weir-l7-proxy', 'Deployment/weir-relay']),
    );
    expect(some).toContain('PodDisruptionBudget/weir-operator');
    expect(all).toContain('PodDisruptionBudget/weir-identity-allocator');
    expect(few?.filter((name) => /relay|l7-proxy|PodDisruptionBudget/.test(name))).toEqual([]);
    expect(names(objects({ podMonitor: { enabled: true } }))).toContain('PodMonitor/weir-agent');
  });

  it.each([
    [{ kubeProxyReplacement: true }, 'kubeProxyReplacement needs kubernetes.api'],
    [{ identityAllocator: { replicas: 2 } }, 'identityAllocator.replicas: more than one needs'],
    [{ podRanges: 'pools' }, 'operator.replicas: with podRanges pools, more than one needs'],
    [{ operator: { store: 'etcd' } }, 'operator.storeEndpoints: etcd needs at least one'],
  ])('refuses %j, and says why', (values, message) => {
    expect(() => renderChart({ values })).toThrow(message);
  });

  it('tells in its notes how to go on', () => {
    const notes = (values: object): string =>
      renderChart({ values }).find(({ name }) => name === 'NOTES.txt')?.text ?? '';
    expect(notes({})).toMatch(/rollout status daemonset\/weir-agent[^]*clear text/);
    expect(notes(everything)).toMatch(/turn kube-proxy off/);
    expect(notes(everything)).not.toMatch(/clear text/);
  });
});

describe('charts/weir/values.schema.json', () => {
  const accepts = new Ajv().compile(JSON.parse(read('charts/weir/values.schema.json')) as object);

  it('takes the values that are there by default, and the sets of these tests', () => {
    const all = [parse(read('charts/weir/values.yaml')), ...Object.values(sets)];
    expect(all.map((values) => [accepts(values), accepts.errors])).toEqual(all.map(() => [true, null]));
  });

  it.each([
    [{ kubeProxyReplacment: true }],
    [{ agent: { metricsPort: 70_000 } }],
    [{ podRanges: 'mine' }],
    [{ kubernetes: { api: 'http://10.0.0.1' } }],
    [{ image: { digest: 'latest' } }],
  ])('refuses %j', (values) => {
    expect(accepts(values)).toBe(false);
  });
});

const skipReason = chartRendererSkipReason ?? controlPlaneSkipReason;
if (skipReason !== undefined) process.stderr.write(`Skipped: the chart in Kubernetes: ${skipReason}\n`);

(skipReason === undefined ? describe : describe.skip)('charts/weir in Kubernetes', () => {
  let plane: ControlPlane;
  const kubectl = (args: readonly string[], input = ''): Promise<string> =>
    new Promise((resolve, reject) => {
      const all = ['--kubeconfig', plane.kubeconfig, ...args];
      const child = execFile('kubectl', all, { maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`${stdout.slice(-1_000)}${stderr.slice(-2_000)}`));
      });
      child.stdin?.end(input);
    });
  const list = (items: readonly unknown[]): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  beforeAll(async () => {
    plane = await createControlPlane();
  }, 180_000);
  afterAll(() => plane?.destroy());

  it('is taken by the server, with its definitions, for every set of values', async () => {
    await kubectl(['apply', '-f', `${root}charts/weir/crds`]);
    await kubectl(['wait', '--for=condition=Established', '--timeout=60s', '-f', `${root}charts/weir/crds`]);
    for (const values of Object.values(sets)) {
      const rendered = objects(values);
      const said = await kubectl(['apply', '--dry-run=server', '-f', '-'], list(rendered));
      expect(said.trim().split('\n').length).toBe(rendered.length);
    }
  });

  it('lets each program do what it does, and no more', async () => {
    const kinds = ['ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'];
    await kubectl(['apply', '-f', '-'], list(objects({}).filter(({ kind }) => kinds.includes(kind))));
    const may = async (who: string, ...what: string[]): Promise<string> => {
      const as = `--as=system:serviceaccount:kube-system:${who}`;
      const answer = await kubectl(['auth', 'can-i', as, ...what]).catch(() => 'no');
      return `${who} ${what.join(' ')}: ${answer.trim().split('\n').at(-1)}`;
    };
    const yes: readonly (readonly string[])[] = [
      ['weir-agent', 'watch', 'pods', '-A'],
      ['weir-agent', 'list', 'endpointslices.discovery.k8s.io', '-A'],
      ['weir-agent', 'watch', 'ciliumnetworkpolicies.cilium.io', '-A'],
      ['weir-operator', 'update', 'customresourcedefinitions/ciliumnodes.cilium.io'],
      ['weir-operator', 'patch', 'nodes', '--subresource=status'],
      ['weir-operator', 'update', 'leases/weir-operator', '-n', 'kube-system'],
    ];
    const no: readonly (readonly string[])[] = [
      ['weir-agent', 'get', 'secrets', '-A'],
      ['weir-agent', 'patch', 'nodes'],
      ['weir-agent', 'patch', 'ciliumendpoints.cilium.io', '-A'],
      ['weir-operator', 'get', 'secrets', '-n', 'kube-system'],
      ['weir-operator', 'update', 'customresourcedefinitions/others.example.com'],
      ['weir-operator', 'list', 'pods', '-n', 'default'],
      ['weir-relay', 'get', 'pods', '-n', 'kube-system'],
    ];
    const answers = await Promise.all([...yes, ...no].map(([who = '', ...what]) => may(who, ...what)));
    const expected = [...yes, ...no].map(
      ([who, ...what], index) => `${who} ${what.join(' ')}: ${index < yes.length ? 'yes' : 'no'}`,
    );
    expect(answers).toEqual(expected);
  });
});
