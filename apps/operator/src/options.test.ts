// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parseCommandLine } from './options.ts';

const run = (...args: string[]) => parseCommandLine(['--name', 'op', ...args]);

describe('parseCommandLine()', () => {
  it('has pools of both families, a file and the usual times by default', () => {
    const { options } = run() as unknown as { options: Record<string, unknown> };
    expect(options).toMatchObject({
      ...{ name: 'op', listen: ['unix:/run/weir/operator.sock'], identityAllocator: 'unix:/run/weir/identity.sock' },
      store: { kind: 'file', path: '/var/lib/weir/operator.db' },
      pools: { ipv4: { capacity: 256, nodePrefixLength: 24 }, ipv6: { capacity: 65_536, nodePrefixLength: 64 } },
      ...{ graceMs: 900_000, leaderLeaseMs: 5_000, gcIntervalMs: 60_000, metrics: undefined, tls: undefined },
    });
  });

  it('takes a store of the cluster', () => {
    expect(run('--store', 'etcd', '--store-endpoint', 'a:1', '--store-endpoint', 'b:2')).toMatchObject({
      options: { store: { kind: 'etcd', endpoints: ['a:1', 'b:2'], tokenFile: undefined } },
    });
  });

  it('takes Kubernetes', () => {
    expect(run('--k8s-api', 'in-cluster', '--pod-ranges', 'kubernetes')).toMatchObject({
      options: {
        kubernetes: {
          ...{
            access: { kubeconfig: undefined, server: undefined },
            namespace: 'kube-system',
            podRanges: 'kubernetes',
          },
          agentSelector: 'app.kubernetes.io/name=weir-agent',
        },
      },
    });
  });

  it.each([
    [['--pod-ranges', 'kubernetes'], '--pod-ranges kubernetes needs --k8s-api or --kubeconfig'],
    [['--ipv4-pool', 'fd00::/64'], '"fd00::/64" is not an IPv4 prefix'],
    [['--ipv4-node-prefix', '12'], 'cannot have a prefix of 12 bits, expected 16 to 30'],
    [['--store', 'consul'], '--store consul needs at least one --store-endpoint'],
    [['--metrics', 'unix:/a'], 'is a unix socket, expected "host:port"'],
    [['--node-grace', '1ms'], '"1ms" is out of range, expected 1s–'],
    [['--tls-ca', 'a'], '--tls-cert and --tls-key is missing'],
    [['--name', 'a b'], '--name "a b" is not a name'],
  ])('refuses %s', (args, message) => {
    expect(run(...args)).toMatchObject({ status: 2, output: expect.stringContaining(message) });
  });
});
