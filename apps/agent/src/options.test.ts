// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { formatCidr } from '@weir/model';
import { parseCommandLine } from './options.ts';

const optionsOf = (...args: string[]) => {
  const commandLine = parseCommandLine(['--node-name', 'n1', ...args]);
  if (commandLine.kind === 'exit') throw new TypeError(commandLine.output);
  return commandLine.options;
};

describe('parseCommandLine()', () => {
  it('has pod ranges from an operator unless they are given', () => {
    const ranges = ['--ipv4-range', '10.1.0.0/24', '--ipv6-range', 'fd01::/64'];
    expect(optionsOf('--operator', 'a:1,b:2').operator).toBe('a:1,b:2');
    expect(optionsOf('--operator', 'a:1', ...ranges).operator).toBeUndefined();
    expect(parseCommandLine(['--operator', 'a:1', ...ranges.slice(2)])).toMatchObject({
      status: 2,
      output: expect.stringContaining('expected --ipv4-range and --ipv6-range or neither'),
    });
  });

  it('has a default for everything', () => {
    const { ipv4Range, ipv6Range, ...options } = optionsOf();
    expect([formatCidr(ipv4Range), formatCidr(ipv6Range)]).toEqual(['10.244.0.0/24', 'fd00:10:244::/64']);
    expect(options).toEqual({
      ...{ flowMetrics: [], flowMetricsContext: [], flowLog: undefined },
      ...{ nodeName: 'n1', runDir: '/run/weir', stateDir: '/var/lib/weir', bpfRoot: '/sys/fs/bpf/weir' },
      ...{
        bpfObject: undefined,
        cniInstall: undefined,
        cgroup: undefined,
        identityAllocator: 'unix:/run/weir/identity.sock',
        tls: undefined,
        devices: undefined,
      },
      ...{
        mtu: undefined,
        routing: 'direct',
        enablePolicy: 'default',
        policyAuditMode: false,
        flowAggregation: 'medium',
        flowEventsMax: 1_000,
        nodeAuditMode: false,
        allowLocalhost: 'auto',
        labels: '',
        nodeLabels: [],
        logLevel: 'info',
      },
      ...{ observerListen: [], observerPlaintext: 'loopback', observerFlows: 4_096, metrics: undefined },
      ...{ conntrackMax: 131_072, policyMax: 262_144, maglevTableSize: 65_521, operator: undefined },
      ...{ kubernetes: undefined, arePodRangesGiven: false },
      ...{
        masquerade: 'on',
        masqueradePorts: { first: 10_240, last: 29_999 },
        masqueradeExclude: [],
        masqueradeMax: 65_536,
      },
    });
  });

  it('speaks to Kubernetes by an address, a file, or both', () => {
    expect(optionsOf('--k8s-api', 'in-cluster').kubernetes).toEqual({ kubeconfig: undefined, server: undefined });
    expect(optionsOf('--kubeconfig', '/a').kubernetes).toEqual({ kubeconfig: '/a', server: undefined });
    expect(parseCommandLine(['--k8s-api', 'http://a'])).toMatchObject({ status: 2 });
  });

  it('looks for the allocator in the run directory', () => {
    expect(optionsOf('--run-dir', '/run/x').identityAllocator).toBe('unix:/run/x/identity.sock');
    for (const address of ['127.0.0.1:7000', 'a:7000,[::1]:7000']) {
      expect(optionsOf('--identity-allocator', address).identityAllocator).toBe(address);
    }
  });

  it('takes every flag', () => {
    const options = optionsOf(
      ...['--devices', 'eth0,eth1', '--mtu', '9000', '--enable-policy', 'always', '--allow-localhost', 'policy'],
      ...[
        '--ipv4-range',
        '10.1.0.0/16',
        '--ipv6-range',
        'fd01::/64',
        '--conntrack-max',
        '4096',
        '--policy-max',
        '2048',
      ],
      ...[
        '--labels',
        'k8s:!team',
        '--log-level',
        'debug',
        '--bpf-object',
        '/x.o',
        '--bpf-root',
        '/b',
        '--state-dir',
        '/s',
        '--cgroup',
        '/c',
      ],
    );
    expect({
      ...options,
      ipv4Range: formatCidr(options.ipv4Range),
      ipv6Range: formatCidr(options.ipv6Range),
    }).toMatchObject({
      ...{ devices: ['eth0', 'eth1'], mtu: 9000, enablePolicy: 'always', allowLocalhost: 'policy' },
      ...{ ipv4Range: '10.1.0.0/16', ipv6Range: 'fd01::/64', conntrackMax: 4096, policyMax: 2048 },
      ...{ labels: 'k8s:!team', logLevel: 'debug', bpfObject: '/x.o', bpfRoot: '/b', stateDir: '/s' },
    });
  });

  it('takes ports and ranges of masquerading', () => {
    const options = optionsOf(
      ...['--masquerade', 'off', '--masquerade-ports', '1024-1024', '--masquerade-max', '2048'],
      ...['--masquerade-exclude', '10.0.0.0/8,fd00::/8'],
    );
    expect(options).toMatchObject({
      masquerade: 'off',
      masqueradePorts: { first: 1024, last: 1024 },
      masqueradeMax: 2048,
    });
    expect(options.masqueradeExclude.map(formatCidr)).toEqual(['10.0.0.0/8', 'fd00::/8']);
  });

  it('takes where to install the plugin, and what to chain', () => {
    const args = ['--cni-bin-dir', '/b', '--cni-conf-dir', '/c', '--cni-chain', 'portmap,bandwidth', '--cni-temporary'];
    expect(parseCommandLine(args)).toMatchObject({
      options: { cniInstall: { binDir: '/b', confDir: '/c', chain: ['portmap', 'bandwidth'], isTemporary: true } },
    });
  });

  it.each<[string[], string]>([
    [['--masquerade', 'maybe'], 'maybe'],
    [['--masquerade-ports', '1023-2000'], '"1023-2000" is not a range of ports from 1024 to 65535'],
    [['--masquerade-ports', '2000-1999'], '"2000-1999" is not a range of ports'],
    [['--masquerade-ports', '2000-65536'], '"2000-65536" is not a range of ports'],
    [['--masquerade-ports', '2000'], '"2000" is not a range of ports'],
    [['--masquerade-exclude', '10.0.0.0/8,ten'], 'ten'],
    [['--masquerade-exclude', ''], '--masquerade-exclude'],
    [['--node-name', 'Node_1'], '--node-name "Node_1" is not a node name'],
    [['--ipv4-range', 'fd00::/64'], '"fd00::/64" is not an IPv4 prefix'],
    [['--ipv6-range', '10.0.0.0/8'], '"10.0.0.0/8" is not an IPv6 prefix'],
    [['--ipv4-range', '10.0.0.0/31'], 'The pod range 10.0.0.0/31 has no address for a pod'],
    [['--ipv4-range', 'ten'], 'ten'],
    [['--mtu', '68'], '"68" is not a number from 1280 to 65535'],
    [['--mtu', '1e4'], '"1e4" is not a number from 1280 to 65535'],
    [['--conntrack-max', '12'], '"12" is not a number from 1024 to 16777216'],
    [['--policy-max', '-1'], '"-1" is not a number from 1024 to 16777216'],
    [['--enable-policy', 'maybe'], 'maybe'],
    [['--allow-localhost', 'maybe'], 'maybe'],
    [['--log-level', 'loud'], 'loud'],
    [['--identity-allocator', 'http://x'], 'http://x'],
    [['--labels', 'k8s:('], '--labels'],
    [['--devices', ''], '--devices'],
    [['--flow-metrics', 'drop'], '--flow-metrics needs --metrics'],
    [['--flow-log-allow', '{}'], 'need --flow-log'],
    [['--flow-log', 'x', '--flow-log-allow', '{'], '"{" is not JSON'],
    [['--flow-log', 'x', '--flow-log-deny', '{"source_port":["x"]}'], 'invalid source port filter'],
    [['--cni-bin-dir', '/opt/cni/bin'], '--cni-bin-dir and --cni-conf-dir are given together'],
    [['--cni-temporary'], 'other flags of --cni-… only with them'],
    [['--cni-chain', 'portmap,tuning'], '"tuning" cannot be chained, expected portmap or bandwidth'],
    [['--nonsense'], '--nonsense'],
    [['start'], 'too many arguments'],
  ])('refuses %j with status 2, and says why', (args, message) => {
    expect(parseCommandLine(args)).toEqual({ kind: 'exit', status: 2, output: expect.stringContaining(message) });
  });

  it('reads which flows are written where', () => {
    const filters = [
      '--flow-log-allow',
      '{"verdict":["DROPPED"]}',
      '--flow-log-deny',
      '{"source_pod":["kube-system/"]}',
    ];
    const line = parseCommandLine(['--flow-log', '/var/log/flows.json', '--flow-log-size', '2', ...filters]);
    expect(line).toMatchObject({
      options: {
        flowLog: {
          ...{ path: '/var/log/flows.json', bytesMax: 2_097_152, filesMax: 5 },
          filters: { whitelist: [{ verdict: [2] }], blacklist: [{ sourcePod: ['kube-system/'] }] },
        },
      },
    });
  });

  it.each([['--help'], ['--version']])('answers %s with status 0', (flag) => {
    expect(parseCommandLine([flag])).toMatchObject({ kind: 'exit', status: 0 });
  });
});
