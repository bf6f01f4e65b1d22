// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it, jest } from '@jest/globals';
import { Command } from 'commander';
import { prepareCommands } from './prepare-commands.ts';

describe('prepareCommands()', () => {
  it.each([
    [['one'], '(prog one --help shows how)'],
    [['group', 'two'], '(prog group two --help shows how)'],
    [['--wrong'], '(prog --help shows how)'],
  ])('throws for wrong usage of %j, and names the help of that command', (args, hint) => {
    const program = new Command('prog');
    program.command('one').argument('<needed>');
    program.command('group').command('two').argument('<needed>');
    prepareCommands(program);
    const write = jest.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      expect(() => program.parse(args, { from: 'user' })).toThrow(/missing required argument|unknown option/);
      expect(write.mock.calls.join('')).toContain(hint);
    } finally {
      write.mockRestore();
    }
  });
});
