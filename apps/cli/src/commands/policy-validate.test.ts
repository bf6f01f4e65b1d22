// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { allFeatures, defaultFeatures } from '@weir/policy';
import { runProgram } from '../run-program.ts';
import { capture, createTestCli, type Outcome, type TestCli } from '../testing/test-cli.ts';

let cli: TestCli;
let file: string;
beforeEach(() => {
  cli = createTestCli();
  file = join(cli.directory, 'policy.yaml');
  writeFileSync(
    file,
    `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: p }
spec: { endpointSelector: {}, egress: [{ toCIDR: [192.0.2.0/24] }] }
`,
  );
});
afterEach(() => cli.close());

const validate = (...flags: string[]): Promise<Outcome> => cli.weir('policy', 'validate', file, ...flags);
const answerWith = (features: readonly string[]): Promise<void> =>
  cli.answer({ getPolicyFeatures: () => ({ features: [...features], version: '7.0.0' }) });

describe('weir policy validate', () => {
  it('judges by what the agent at hand enforces', async () => {
    await answerWith([...allFeatures, 'something of tomorrow']);
    expect(await validate()).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('the agent, which has version 7.0.0'),
    });
    await answerWith([...allFeatures].filter((feature) => feature !== 'cidr'));
    const refused = await validate('-o', 'json');
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('spec.egress[0].toCIDR') });
    expect(JSON.parse(refused.stdout)).toMatchObject({ enforcer: { kind: 'agent', version: '7.0.0' }, policies: [] });
    expect(await validate('--agent')).toMatchObject({ status: 1 });
    expect(await validate('--no-agent')).toMatchObject({ status: 0 });
  });

  it('judges by what this version enforces where there is no agent', async () => {
    const { status, stdout } = await validate('-o', 'json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ enforcer: { kind: 'built-in', features: [...defaultFeatures].sort() } });
  });

  it('judges by what this version enforces where the agent knows no such question', async () => {
    await cli.answer({
      getPolicyFeatures() {
        throw new WeirError('NOT_SUPPORTED', 'What is that?');
      },
    });
    expect(JSON.parse((await validate('-o', 'json')).stdout)).toMatchObject({ enforcer: { kind: 'built-in' } });
    expect(await validate('--agent')).toMatchObject({ status: 1, stderr: 'weir: What is that?\n' });
  });

  it('fails without an agent that was asked for by name', async () => {
    const asked = await capture(() =>
      runProgram(['--address', 'unix:/nowhere/agent.sock', 'policy', 'validate', '--agent', file]),
    );
    expect(asked).toMatchObject({ status: 1, stderr: expect.stringContaining('No agent listens') });
  });
});
