// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { createTestNamespace, type TestNamespace } from '../testing/namespaces.ts';

let host: TestNamespace;
let pod: TestNamespace;
beforeAll(() => {
  host = createTestNamespace('exhost');
  pod = createTestNamespace('expod');
});
afterAll(() => {
  pod.remove();
  host.remove();
});

describe('the example attach-namespace', () => {
  it('ties a namespace to another one, with addresses and default routes of both families', () => {
    const example = join(import.meta.dirname, '../examples/attach-namespace.ts');
    const output = execFileSync(
      'ip',
      ['netns', 'exec', host.name, process.execPath, example, `/run/netns/${pod.name}`],
      { encoding: 'utf8' },
    );
    expect(output).toMatch(/^eth0 has index \d+; eth9 is missing\n$/);
    expect(host.ip('link show ex0')[0]).toMatchObject({ mtu: 1450, flags: expect.arrayContaining(['UP']) });
    expect(pod.ip('-4 route')).toContainEqual(expect.objectContaining({ dst: 'default', gateway: '10.0.0.1' }));
    expect(pod.ip('-6 route')).toContainEqual(expect.objectContaining({ dst: 'default', gateway: 'fd00::1' }));
  });
});
