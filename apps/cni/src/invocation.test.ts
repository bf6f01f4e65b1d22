// SPDX-License-Identifier: Apache-2.0
// What the runtime hands in: environment variables and the network configuration. None of this needs an agent.
import { beforeAll, describe, expect, it } from '@jest/globals';
import { buildPrograms, callEnv, config, runPlugin, type PluginInput } from '../testing/plugin.ts';

/** Runs a call that must be refused before any agent is asked, and gives the CNI error. */
async function refusal(input: PluginInput): Promise<{ cniVersion: string; code: number; msg: string }> {
  const result = await runPlugin(input);
  expect(result).toMatchObject({ status: 1, signal: null, stderr: '' });
  return JSON.parse(result.stdout) as { cniVersion: string; code: number; msg: string };
}

beforeAll(buildPrograms, 120_000);

describe('weir-cni VERSION', () => {
  const supportedVersions = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'];

  it.each(['0.3.1', '1.1.0', '9.0.0'])('echoes version %s and lists what it supports', async (cniVersion) => {
    const result = await runPlugin({ env: { CNI_COMMAND: 'VERSION' }, stdin: JSON.stringify({ cniVersion }) });
    expect(result.status).toBe(0);
    expect(JSON.parse(result.stdout)).toEqual({ cniVersion, supportedVersions });
  });

  it('answers with its newest version when there is no input', async () => {
    const result = await runPlugin({ env: { CNI_COMMAND: 'VERSION' } });
    expect(JSON.parse(result.stdout)).toEqual({ cniVersion: '1.1.0', supportedVersions });
  });

  it('refuses input that is not JSON with code 6', async () => {
    expect(await refusal({ env: { CNI_COMMAND: 'VERSION' }, stdin: '{' })).toMatchObject({ code: 6 });
  });
});

describe('weir-cni environment', () => {
  it.each([
    ['CNI_COMMAND', { CNI_COMMAND: '' }],
    ['CNI_COMMAND', { CNI_COMMAND: 'add' }],
    ['CNI_CONTAINERID', { CNI_CONTAINERID: '' }],
    ['CNI_CONTAINERID', { CNI_CONTAINERID: '../etc' }],
    ['CNI_CONTAINERID', { CNI_CONTAINERID: '.a' }],
    ['CNI_CONTAINERID', { CNI_CONTAINERID: 'a'.repeat(201) }],
    ['CNI_IFNAME', { CNI_IFNAME: '' }],
    ['CNI_IFNAME', { CNI_IFNAME: '..' }],
    ['CNI_IFNAME', { CNI_IFNAME: 'a/b' }],
    ['CNI_IFNAME', { CNI_IFNAME: 'a b' }],
    ['CNI_IFNAME', { CNI_IFNAME: 'sixteencharsname' }],
    ['CNI_NETNS', { CNI_NETNS: '' }],
    ['CNI_NETNS', { CNI_NETNS: 'relative' }],
    ['CNI_NETNS', { CNI_NETNS: `/${'x'.repeat(4095)}` }],
    ['CNI_ARGS', { CNI_ARGS: 'A' }],
    ['CNI_ARGS', { CNI_ARGS: '=b' }],
    ['CNI_ARGS', { CNI_ARGS: 'A=b;;C=d' }],
    ['CNI_ARGS', { CNI_ARGS: 'A=b;' }],
    ['WEIR_CNI_TIMEOUT_MS', { WEIR_CNI_TIMEOUT_MS: '60s' }],
    ['WEIR_CNI_TIMEOUT_MS', { WEIR_CNI_TIMEOUT_MS: '0' }],
    ['WEIR_CNI_CONNECT_TIMEOUT_MS', { WEIR_CNI_CONNECT_TIMEOUT_MS: '-1' }],
  ])('refuses a bad %s with code 4 and names it', async (name, changes) => {
    const error = await refusal({ env: callEnv('ADD', changes), stdin: config() });
    expect(error.code).toBe(4);
    expect(error.msg).toContain(name);
    expect(error.msg).toContain('expected');
  });

  it('names every wrong variable in one message', async () => {
    const env = { CNI_COMMAND: 'ADD', CNI_ARGS: 'x'.repeat(1000), CNI_PATH: 'x'.repeat(70_000) };
    const error = await refusal({ env, stdin: config({ cniVersion: '0.4.0' }) });
    expect(error.cniVersion).toBe('0.4.0');
    for (const name of ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_ARGS', 'CNI_PATH'])
      expect(error.msg).toContain(name);
  });

  it('does not need a network namespace for DEL, nor any container for STATUS and GC', async () => {
    const absent = { socket: '/nonexistent/weir/x.sock' };
    const del = { ...callEnv('DEL'), CNI_NETNS: '' };
    for (const env of [del, { CNI_COMMAND: 'STATUS' }, { CNI_COMMAND: 'GC' }])
      expect((await refusal({ env, stdin: config(absent) })).msg).toContain('The agent cannot be reached');
  });
});

describe('weir-cni network configuration', () => {
  const add = callEnv('ADD');

  it.each([
    ['is not JSON', 6, '{"cniVersion": "1.1.0", "name": weir}'],
    ['is empty', 6, ''],
    ['is not an object', 6, '[]'],
    ['is not UTF-8', 6, Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['has no version', 1, JSON.stringify({ name: 'weir' })],
    ['has a version that is too old', 1, config({ cniVersion: '0.2.0' })],
    ['has a version that is too new', 1, config({ cniVersion: '2.0.0' })],
    ['has a version that is no string', 7, config({ cniVersion: 1.1 })],
    ['has no name', 7, config({ name: undefined })],
    ['has a name with a slash', 7, config({ name: 'a/b' })],
    ['has a relative socket', 7, config({ socket: 'cni.sock' })],
    ['has a socket that is too long', 7, config({ socket: `/${'x'.repeat(107)}` })],
    ['has a socket with a zero byte', 7, config({ socket: '/run/weir\0/x' })],
    ['has a socket that is no string', 7, config({ socket: 7 })],
    ['has a time limit with a fraction', 7, config({ timeoutMs: 1.5 })],
    ['has a time limit of nothing', 7, config({ connectTimeoutMs: 0 })],
    ['is larger than 1 MiB', 5, config({ x: 'x'.repeat(1024 * 1024) })],
  ])('that %s is refused with code %i', async (_, code, stdin) => {
    const error = await refusal({ env: add, stdin });
    expect(error).toMatchObject({ code, cniVersion: '1.1.0' });
    expect(error.msg).toMatch(/expected|more than/);
  });

  it.each([
    ['CHECK', '0.3.1', '0.4.0'],
    ['STATUS', '1.0.0', '1.1.0'],
    ['GC', '0.4.0', '1.1.0'],
  ])('%s is refused with version %s', async (command, cniVersion, since) => {
    const error = await refusal({ env: callEnv(command), stdin: config({ cniVersion }) });
    expect(error).toMatchObject({ code: 1, cniVersion });
    expect(error.msg).toContain(`expected "${since}" or newer`);
  });

  it('is waited for no longer than the time limit', async () => {
    const started = performance.now();
    const env = callEnv('ADD', { WEIR_CNI_TIMEOUT_MS: '200' });
    const error = await refusal({ env, stdin: 'never' });
    expect(error).toMatchObject({ code: 5 });
    expect(error.msg).toContain('did not end within 200 ms');
    expect(performance.now() - started).toBeGreaterThan(190);
  });
});
