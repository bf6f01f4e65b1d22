// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { parseCommandLine, type ProxyOptions } from './options.ts';

const optionsOf = (...args: string[]): ProxyOptions => {
  const commandLine = parseCommandLine(args);
  if (commandLine.kind !== 'run') throw new Error(commandLine.output);
  return commandLine.options;
};

describe('parseCommandLine()', () => {
  it('has a default for everything', () => {
    expect(optionsOf()).toMatchObject({
      agent: 'unix:/run/weir/agent.sock',
      bpfRoot: '/sys/fs/bpf/weir',
      ruleSetPath: '/var/lib/weir/l7-proxy/rule-sets.json',
      port: 0,
      connectionsMax: 20_000,
      accessLogBytesMax: 4 * 1024 * 1024,
      shutdownTimeoutMs: 10_000,
      staticFile: undefined,
      limits: {
        headBytesMax: 65_536,
        fieldsMax: 100,
        drainBytesMax: 65_536,
        headTimeoutMs: 60_000,
        idleTimeoutMs: 3_600_000,
        connectTimeoutMs: 5_000,
        lingerMs: 1_000,
      },
    });
  });

  it('reads quantities with their units', () => {
    const { limits, upgradeProtocols } = optionsOf(
      ...['--head-bytes-max', '1MiB', '--drain-bytes-max', '0B', '--idle-timeout', '1m30s'],
      ...['--upgrade-protocols', 'WebSocket,spdy'],
    );
    expect(limits).toMatchObject({ headBytesMax: 1_048_576, drainBytesMax: 0, idleTimeoutMs: 90_000 });
    expect([...upgradeProtocols]).toEqual(['websocket', 'spdy']);
  });

  it('has no agent in static mode, unless one is named', () => {
    expect(optionsOf('--static', 'f').agent).toBeUndefined();
    expect(optionsOf('--static', 'f', '--agent', 'unix:/a').agent).toBe('unix:/a');
  });

  it.each([
    [['--idle-timeout', '5'], '"5" is not a duration'],
    [['--head-bytes-max', '64k'], '"64k" is not a size like'],
    [['--head-bytes-max', '1B'], '"1B" is out of range, expected 1KiB–16MiB'],
    [['--port', '70000'], '"70000" is out of range, expected 0–65535'],
    [['--fields-max', '-1'], '"-1" is not a whole number'],
    [['--upgrade-protocols', 'web socket'], '"web socket" is not a protocol name'],
    [['--agent', 'nowhere'], 'Address "nowhere" is neither'],
    [['--log-level', 'loud'], 'Allowed choices are debug, info, warn, error, silent'],
    [['--no-such-flag'], "unknown option '--no-such-flag'"],
    [['word'], 'too many arguments'],
  ])('ends with status 2 for %j', (args, message) => {
    const commandLine = parseCommandLine(args);
    expect(commandLine).toMatchObject({ kind: 'exit', status: 2 });
    if (commandLine.kind === 'exit') expect(commandLine.output).toContain(message);
  });

  it('ends with status 0 for help and version', () => {
    expect(parseCommandLine(['--help'])).toMatchObject({ kind: 'exit', status: 0 });
    expect(parseCommandLine(['--version'])).toMatchObject({ kind: 'exit', status: 0, output: '0.1.0\n' });
  });
});
