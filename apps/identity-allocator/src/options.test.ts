// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parseCommandLine, version } from './options.ts';

describe('parseCommandLine()', () => {
  it('has defaults for everything', () => {
    expect(parseCommandLine([])).toEqual({
      kind: 'run',
      options: {
        listen: ['unix:/run/weir/identity.sock'],
        plaintext: 'loopback',
        tls: undefined,
        metrics: undefined,
        store: { kind: 'embedded', path: '/var/lib/weir/identity.db' },
        times: { leaseMs: 900_000, graceMs: 900_000, reuseDelayMs: 3_600_000 },
        gcIntervalMs: 60_000,
        logLevel: 'info',
        nodeName: undefined,
      },
    });
  });

  it('puts socket and store into the directories that are named', () => {
    const options = { listen: ['unix:/r/identity.sock'], store: { kind: 'embedded', path: '/s/identity.db' } };
    expect(parseCommandLine(['--run-dir', '/r', '--state-dir', '/s'])).toMatchObject({ kind: 'run', options });
  });

  it('takes several addresses and durations with units', () => {
    const args = ['--listen', 'unix:/a.sock', '--listen', '[::1]:0', '--lease', '1m30s', '--gc-interval', '500ms'];
    expect(parseCommandLine(args)).toMatchObject({
      options: { listen: ['unix:/a.sock', '[::1]:0'], times: { leaseMs: 90_000 }, gcIntervalMs: 500 },
    });
    expect(parseCommandLine(['--garbage-collection', 'operator'])).toMatchObject({
      options: { gcIntervalMs: undefined },
    });
  });

  it.each(['consul', 'etcd'])('takes %s with the addresses of its servers', (kind) => {
    const args = ['--store', kind, '--store-endpoint', '10.0.0.1:4001', '--store-endpoint', '[::1]:4001'];
    const store = { kind, endpoints: ['10.0.0.1:4001', '[::1]:4001'], prefix: 'weir/identity' };
    expect(parseCommandLine(args)).toMatchObject({ options: { store } });
  });

  it.each([
    [['--lease', '15'], '"15" is not a duration'],
    [['--lease', '1ms'], '"1ms" is out of range, expected 1s–1d'],
    [['--lease', '5m', '--gc-grace', '1m'], '--gc-grace is 1m, expected at least the --lease of 5m'],
    [['--lease', '5m', '--reuse-delay', '1m'], '--reuse-delay is 1m, expected at least the --lease of 5m'],
    [['--listen', 'nowhere'], '"nowhere" is neither'],
    [['--listen', '0.0.0.0:4000'], 'expected --tls-…, a unix socket, a loopback address or --allow-plaintext'],
    [['--store', 'paper'], 'Allowed choices are embedded, consul, etcd'],
    [['--store', 'etcd'], '--store etcd needs at least one --store-endpoint'],
    [['--store', 'etcd', '--store-endpoint', 'nowhere'], '"nowhere" is neither'],
    [['--store', 'etcd', '--store-endpoint', 'unix:/x'], 'is a unix socket, expected "host:port"'],
    [['--store', 'etcd', '--store-endpoint', 'h:1', '--store-path', '/x'], '--store-path is given with --store etcd'],
    [['--store', 'etcd', '--store-endpoint', 'h:1', '--store-prefix', '/x'], '--store-prefix is "/x"'],
    [['--store', 'etcd', '--store-endpoint', 'h:1', '--consul-token-file', '/x'], '--consul-token-file is given with'],
    [['--store-endpoint', 'h:1'], '--store-endpoint is given with --store embedded'],
    [['--log-level', 'loud'], 'Allowed choices are debug, info'],
    [['--metrics', 'unix:/x'], 'is a unix socket, expected "host:port"'],
    [['--tls-ca', 'a', '--tls-key', 'k'], '--tls-cert is missing: all three of the TLS files are needed'],
    [['--nonsense'], "unknown option '--nonsense'"],
    [['extra'], 'too many arguments'],
  ])('refuses %j with status 2 and a reason', (args, reason) => {
    expect(parseCommandLine(args)).toEqual({ kind: 'exit', status: 2, output: expect.stringContaining(reason) });
  });

  it('listens for other machines with TLS', () => {
    const args = ['--listen', '0.0.0.0:4000', '--tls-ca', 'ca', '--tls-cert', 'crt', '--tls-key', 'key'];
    const tls = { ca: 'ca', certificate: 'crt', key: 'key' };
    expect(parseCommandLine(args)).toMatchObject({ kind: 'run', options: { tls } });
  });

  it('lets plaintext be asked for by name', () => {
    const args = ['--listen', '0.0.0.0:4000', '--allow-plaintext'];
    expect(parseCommandLine(args)).toMatchObject({ kind: 'run', options: { plaintext: 'anywhere' } });
  });

  it('gives help and version with status 0', () => {
    expect(parseCommandLine(['--version'])).toEqual({ kind: 'exit', status: 0, output: `${version}\n` });
    expect(parseCommandLine(['--help'])).toMatchObject({ status: 0, output: expect.stringContaining('--reuse-delay') });
  });
});
