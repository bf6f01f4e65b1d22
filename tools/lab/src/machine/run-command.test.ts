// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { requireCommand, runCommand } from './run-command.ts';

describe('runCommand()', () => {
  it('gives status, signal and both outputs', async () => {
    const script = 'cat; echo err >&2; exit 7';
    expect(await runCommand(['sh', '-c', script], { input: 'in' })).toEqual({
      status: 7,
      signal: null,
      stdout: 'in',
      stderr: 'err\n',
    });
    expect(await runCommand(['sh', '-c', 'kill -TERM $$'])).toMatchObject({ status: null, signal: 'SIGTERM' });
  });

  it('ends a command at its time limit', async () => {
    await expect(runCommand(['sleep', '10'], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('ends a command that prints too much', async () => {
    await expect(runCommand(['yes'], { outputBytesMax: 10_000 })).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  });

  it('ends a command when it is cancelled', async () => {
    await expect(runCommand(['sleep', '10'], { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });

  it('names a program that does not exist', async () => {
    await expect(runCommand(['no-such-program'])).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('no-such-program'),
    });
  });
});

describe('requireCommand()', () => {
  it('fails with what the command complained of', async () => {
    await expect(requireCommand(['sh', '-c', 'echo no luck >&2; exit 3'])).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      message: expect.stringMatching(/exit status 3: no luck$/),
    });
  });
});
