// SPDX-License-Identifier: Apache-2.0
// What is wrong with a policy file is said with file, line, field and value, and changes nothing.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { fromPods, onPort, policy } from './testing/policy.ts';
import { expectTcpDropped, expectTcpEcho } from './testing/reach.ts';
import { useLab, type PlayedPod } from './testing/use-lab.ts';
import { weir, weirLab } from './testing/weir.ts';

const directory = mkdtempSync(join(tmpdir(), 'weir-bad-policies-'));
afterAll(() => rmSync(directory, { recursive: true }));
const file = (name: string, text: string): string => {
  writeFileSync(join(directory, name), text);
  return join(directory, name);
};

const standing = policy('standing', { app: 'a' }, { ingress: [{ ...fromPods({ app: 'b' }), ...onPort(7000) }] });
let a: PlayedPod, b: PlayedPod, c: PlayedPod;
const test = useLab('badpolicy', async ({ pod }) => {
  const labelled = (name: string): Promise<PlayedPod> => pod(name, { labels: { app: name } });
  [a, b, c] = await Promise.all([labelled('a'), labelled('b'), labelled('c')]);
  await a.echo(7000, [a.ipv4, a.ipv6]);
});

const good = (name: string): string => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: ${name}
spec:
  endpointSelector: {matchLabels: {app: a}}
  ingress: [{}]
`;
const withRule = (rule: string): string => `${good('new').replace('  ingress: [{}]\n', '')}  ingress:
    - fromEndpoints:
        - matchLabels: {app: c}
      toPorts:
        - ports:
            - ${rule}
`;

/** Title, text of the file, and what is said of it behind the name of the file. */
const faults: [string, string, RegExp][] = [
  ['a syntax error', `${good('new')}  egress: [\n`, /^:9:1: .*\S/],
  ['an unknown field', good('new').replace('  ingress', '  ingres'), /^:7:3: spec\.ingres: .*ingress/],
  ['a field of another case', good('new').replace('endpointSelector', 'endpointselector'), /^:6:3: .*endpointSelector/],
  ['port 70000', withRule("{port: '70000', protocol: TCP}"), /^:12:22: .*ports\[0\]\.port: "70000" is not a port/],
  ['a number for a port', withRule('{port: 80, protocol: TCP}'), /^:12:22: .*ports\[0\]\.port: .*80/],
  ['an unknown protocol', withRule("{port: '80', protocol: TPC}"), /^:12:38: .*protocol: .*"TPC"/],
  [
    'a bad regular expression',
    withRule("{port: '80', protocol: TCP}\n          rules: {http: [{path: '/(a'}]}"),
    /^:13:\d+: .*http\[0\]\.path: .*"\/\(a"/,
  ],
  ['a duplicated key', good('new').replace('  name: new', '  name: new\n  name: new'), /^:5:3: .*name/],
  ['a feature that is not enforced', withRule("{port: '80'}\n          serverNames: [a]"), /^:13:\d+: .*serverNames/],
  [
    'a selector that is none',
    good('new').replace('{matchLabels: {app: a}}', '{matchLabels: [a]}'),
    /^:6:\d+: .*matchLabels/,
  ],
  ['no name', good('new').replace('  name: new', '  labels: {}'), /^:\d+:\d+: metadata\.name/],
  ['another kind', good('new').replace('CiliumNetworkPolicy', 'NetworkPolicies'), /^:2:\d+: kind: "NetworkPolicies"/],
];

interface DumpedEntry {
  readonly formatted: { readonly key: { readonly version: number }; readonly value: { readonly version: number } };
}

/** What the kernel enforces, byte for byte, and what the agent keeps of it. */
function enforced(): Record<string, unknown> {
  const { bpfRoot, stateDirectory } = test.lab.paths.node('node1');
  const dump = (map: string): DumpedEntry[] => {
    const pin = `${bpfRoot}/maps/${map}`;
    const options = { encoding: 'utf8', maxBuffer: 64 << 20 } as const;
    return JSON.parse(execFileSync('bpftool', ['-j', 'map', 'dump', 'pinned', pin], options)) as DumpedEntry[];
  };
  const slots = dump('weir_policy_slots_v2').filter(({ formatted }) => formatted.value.version !== 0);
  expect(slots).not.toEqual([]);
  const versions = new Set(slots.map(({ formatted }) => formatted.value.version));
  return {
    slots,
    // Entries of versions that no slot has any more are nothing but waste that is not yet taken out.
    entries: dump('weir_policy_v2').filter(({ formatted }) => versions.has(formatted.key.version)),
    runtime: dump('weir_runtime_v1'),
    stored: readFileSync(join(stateDirectory, 'policies.json'), 'utf8'),
    // What the agent knows of the cluster is written down some time after it has started, whatever is imported.
    state: readdirSync(stateDirectory)
      .filter((name) => !['cluster.json', 'identities.json'].includes(name))
      .sort(),
  };
}

describe('an import that is refused', () => {
  it.each(faults)('for %s says where and what, fails, and changes nothing', async (_, text, message) => {
    await test.apply(standing);
    const before = enforced();
    const name = file('new.yaml', text);
    for (const { status, stdout, stderr } of await Promise.all([
      weir(test.lab, ['policy', 'import', name]),
      weirLab(test.lab, ['policy', 'apply', name]),
    ])) {
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      const line = stderr.split('\n').find((each) => each.includes(name)) ?? stderr;
      expect(line).toContain(name);
      expect(line.slice(line.indexOf(name) + name.length)).toMatch(message);
    }
    expect(enforced()).toEqual(before);
  });

  it('for a name that is given twice names both places', async () => {
    const [one, two] = [file('one.yaml', good('same')), file('two.yaml', good('same'))];
    const { status, stderr } = await weir(test.lab, ['policy', 'import', one, two]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/two\.yaml:\d+:\d+: metadata\.name: .*same/);
    expect(stderr).toContain('one.yaml');
  });

  it('for one of several files takes none of them', async () => {
    await test.apply(standing);
    const before = enforced();
    const files = [file('right.yaml', good('right')), file('wrong.yaml', faults[3]![1])];
    expect(await weir(test.lab, ['policy', 'import', ...files])).toMatchObject({ status: 1 });
    expect(enforced()).toEqual(before);
    await expectTcpEcho(b, { address: a.ipv6, port: 7000 });
    await expectTcpDropped(test, { client: c, target: { address: a.ipv6, port: 7000 } });
  });

  it('says everything that is wrong at once', async () => {
    const text = `${withRule("{port: '70000', protocol: TPC}")}  egres: []\n`;
    const { stderr } = await weir(test.lab, ['policy', 'import', file('new.yaml', text)]);
    for (const wrong of ['70000', 'TPC', 'egres']) expect(stderr).toContain(wrong);
    expect(stderr).toContain('Nothing was changed');
  });

  it('for a file that is not there says so', async () => {
    const { status, stderr } = await weir(test.lab, ['policy', 'import', join(directory, 'missing.yaml')]);
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('missing.yaml') });
  });
});

it('a deletion of what is not there fails, names it, and deletes nothing else', async () => {
  await test.apply(standing);
  const before = enforced();
  const { status, stderr } = await weir(test.lab, ['policy', 'delete', 'standing', 'missing']);
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('"missing"') });
  expect(enforced()).toEqual(before);
});
