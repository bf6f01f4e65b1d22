// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createTestCli, type TestCli } from '../testing/test-cli.ts';

let cli: TestCli;
let file: string;
beforeAll(() => {
  cli = createTestCli();
  file = join(cli.directory, 'web.yaml');
  writeFileSync(
    file,
    `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  ingress:
    - fromEndpoints: [{matchLabels: {app: front}}]
      toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules: {http: [{method: GET, path: /v1/.*}]}
`,
  );
});
afterAll(() => cli.close());

const offline = (...args: string[]) => cli.weir('policy', 'trace', '-f', file, ...args);
const ends = ['--src', 'shop/app=front', '--dst', 'shop/app=web', '--dport', '80/tcp'];

describe('weir policy trace --policy', () => {
  it('needs no agent, and says which item of which file decides', async () => {
    const { status, stdout } = await offline(...ends, '--http', 'GET /v1/x');
    expect(status).toBe(0);
    expect(stdout.split('\n')[0]).toBe('ALLOWED  TCP/80, GET /v1/x');
    expect(stdout).toContain(
      `handed to the proxy by\n  shop/web, rule 0, spec.ingress[0].toPorts[0] (${file}:9)\n  and the request passes`,
    );
  });

  it('says what the nearest rule wants of a request that is refused, and of a flow that is dropped', async () => {
    const refused = (await offline(...ends, '--http', 'PUT /v2')).stdout;
    expect(refused).toMatch(/^REFUSED BY THE PROXY {2}TCP\/80, PUT \/v2\n/);
    expect(refused).toContain('lets other requests pass: wants method GET, finds PUT');
    const dropped = (await offline('--src', 'shop/app=back', ...ends.slice(2))).stdout;
    expect(dropped).toMatch(/^DROPPED {2}TCP\/80\n/);
    expect(dropped).toContain('in default deny because of shop/web');
    expect(dropped).toContain('is about other peers: wants any:app=front, finds k8s:app=back');
  });

  it('prints JSON with everything', async () => {
    const { stdout } = await offline(...ends, '-o', 'json');
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: 'depends',
      ingress: { verdict: 'redirect', decidedBy: [{ file, line: 9, rule: 0, path: 'spec.ingress[0].toPorts[0]' }] },
      egress: { verdict: 'not-enforced' },
    });
  });

  it.each([
    [['--src', 'web', ...ends.slice(2)], 1, '"web" can only be found by an agent; with --policy, say labels'],
    [[...ends, '--http', 'GET'], 1, '"GET" is not a request; expected METHOD PATH'],
    [[...ends.slice(0, 4), '--dport', '80/x'], 2, '"x" is not a protocol'],
    [ends.slice(2), 2, "required option '--src <end>' not specified"],
    [[...ends, '-f', '/does/not/exist'], 1, 'Cannot read "/does/not/exist"'],
  ])('refuses %j', async (args, status, message) => {
    expect(await offline(...args)).toMatchObject({ status, stdout: '', stderr: expect.stringContaining(message) });
  });
});

describe('weir policy trace', () => {
  it('asks the agent, with everything that was said', async () => {
    const asked: unknown[] = [];
    await cli.answer({
      tracePolicy(request) {
        asked.push(request);
        const side = { verdict: 'not-enforced' };
        return { verdict: 'allowed', source: { identity: 300 }, destination: {}, egress: side, ingress: side };
      },
    });
    const { stdout } = await cli.weir(
      ...['policy', 'trace', '--src', 'shop/a', '--dst', '10.0.0.1', '--dport', '8/icmp'],
    );
    expect(stdout).toContain('From: shop/a  identity 300');
    await cli.weir(...['policy', 'trace', ...ends, '--http', 'GET /', '--header', 'Host: h']);
    expect(asked).toMatchObject([
      { source: 'shop/a', destination: '10.0.0.1', protocol: 1, port: 264, request: null },
      {
        protocol: 6,
        port: 80,
        request: { method: 'GET', path: '/', host: 'h', headers: [{ name: 'Host', value: 'h' }] },
      },
    ]);
  });
});

describe('weir policy selectors', () => {
  it('prints a row for each, with how many more there are', async () => {
    const identities = Array.from({ length: 10 }, (_, index) => 256 + index);
    const selector = { selector: 'any:app=web', policies: ['shop/web'], endpoints: [7], identities };
    await cli.answer({ listSelectors: () => ({ selectors: [selector] }) });
    expect((await cli.weir('policy', 'selectors')).stdout).toBe(
      [
        'SELECTOR     IDENTITIES                                         ENDPOINTS  POLICIES',
        'any:app=web  256, 257, 258, 259, 260, 261, 262, 263 and 2 more  7          shop/web',
        '',
      ].join('\n'),
    );
  });
});
