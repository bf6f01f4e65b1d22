// SPDX-License-Identifier: Apache-2.0
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestNamespaces, type TestNamespaces } from '../testing/namespaces.ts';
import { describeAsRoot, sampleSpec } from '../testing/sample.ts';

describeAsRoot('examples', () => {
  let namespaces: TestNamespaces;
  beforeAll(() => {
    sampleSpec(); // Also compiles the objects of the examples.
    namespaces = createTestNamespaces(['example']);
  });
  afterAll(() => {
    namespaces.remove();
  });

  it('count-packets counts, and reports long packets', async () => {
    const inside = ['netns', 'exec', basename(namespaces.path('example'))];
    const example = join(import.meta.dirname, '..', 'examples', 'count-packets.ts');
    const child = spawn('ip', [
      ...inside,
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      example,
      'lo',
      '2',
    ]);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
    const ended = once(child, 'close');
    const timer = setInterval(() => {
      spawnSync('ip', [...inside, 'ping', '-c1', '-W1', '-s1450', '127.0.0.1']);
    }, 200);
    await ended;
    clearInterval(timer);
    expect(output).toMatch(/protocol 1: \d+ packets/);
    expect(output).toMatch(/[1-9]\d* long packets in all/);
  });
});
