// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from '@jest/globals';
import { createWeirCommand } from './weir-command.ts';

describe('WeirCommand.text()', () => {
  const text = (lab: string, args: readonly string[]): string =>
    createWeirCommand({ root: '/', lab, defaultLab: 'weir' }).text(args);

  it('names the lab only if it is not the default one', () => {
    expect(text('weir', ['lab', 'up'])).toBe('./weir lab up');
    expect(text('demo', ['lab', 'up'])).toBe('WEIR_LAB=demo ./weir lab up');
  });

  it('quotes arguments so that a shell gives them back', () => {
    const args = ['a=b,c', '%{http_code}', "it's", 'http://[fd00::1]/x', '', '$HOME *', '--', '@node1'];
    const line = text('weir', args).replace('./weir', 'printf "%s\\n"');
    expect(execFileSync('sh', ['-c', line], { encoding: 'utf8' })).toBe(`${args.join('\n')}\n`);
  });
});
