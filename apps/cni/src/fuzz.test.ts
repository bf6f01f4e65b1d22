// SPDX-License-Identifier: Apache-2.0
// Goal: whatever comes in, the program ends by itself, without a sanitizer report, with valid JSON or nothing on standard
// output. Method: the sanitized build with random environments and random, mostly nearly right, configurations.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { buildPrograms, callEnv, config, runPlugin, startAgent, temporaryDirectory } from '../testing/plugin.ts';

const directory = temporaryDirectory();
beforeAll(buildPrograms, 120_000);
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const commands = fc.constantFrom('ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION', '', 'DELETE');
const text = fc.string({ unit: 'binary', maxLength: 300 }).map((value) => value.replaceAll('\0', ''));
const value = fc.oneof(text, fc.constantFrom('a', 'eth0', '/run/netns/x', 'A=b;C=d', '1', '99999999999', '-'));
const environment = fc.dictionary(
  fc.constantFrom('CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_ARGS', 'CNI_PATH', 'WEIR_CNI_TIMEOUT_MS'),
  value,
  { maxKeys: 2 },
);
const members = fc.dictionary(
  fc.constantFrom('cniVersion', 'name', 'socket', 'timeoutMs', 'connectTimeoutMs', 'args'),
  fc.oneof(fc.constantFrom<unknown>('0.3.1', '1.0.0', 'x', 1, 0, null), fc.jsonValue()),
  { maxKeys: 2 },
);
const call = fc.record({
  command: commands,
  environment,
  members,
  cut: fc.oneof(
    { weight: 3, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
  ),
  noise: fc.oneof(
    { weight: 3, arbitrary: fc.constant(new Uint8Array()) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 8 }) },
  ),
});

describe('weir-cni', () => {
  it('ends properly on any environment and any input', async () => {
    const agent = await startAgent((_, response) => {
      response.end('{"cniVersion":"1.1.0"}');
    });
    const sockets = [agent.socket, join(directory, 'cni.sock')];
    const statuses = new Set<number | null>();
    try {
      await fc.assert(
        fc.asyncProperty(call, fc.constantFrom(...sockets), async (input, socket) => {
          const json = Buffer.from(config({ socket, ...input.members }));
          const stdin = Buffer.concat([json.subarray(0, Math.ceil(json.length * input.cut)), input.noise]);
          const result = await runPlugin({ env: callEnv(input.command, input.environment), stdin });
          statuses.add(result.status);
          expect(result).toMatchObject({ signal: null, stderr: '' });
          expect([0, 1]).toContain(result.status);
          if (result.stdout !== '' || result.status === 1) JSON.parse(result.stdout);
        }),
        { numRuns: 400, endOnFailure: true },
      );
    } finally {
      await agent.close();
    }
    expect(statuses).toEqual(new Set([0, 1]));
  });
});
