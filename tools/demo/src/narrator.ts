// SPDX-License-Identifier: Apache-2.0
import { styleText } from 'node:util';

/** Tells what a demonstration does, and keeps count of what differs from what it should be. */
export interface Narrator {
  /** Begins a step. */
  step(title: string): void;
  /** A command that is run now, as it can be typed. */
  command(text: string): void;
  /** What came back. */
  output(text: string): void;
  /** Says what was to be shown, and whether it was. */
  check(what: string, holds: boolean): void;
  note(text: string): void;
  /** How many checks there were, and how many did not hold. */
  counts(): { readonly checks: number; readonly failures: number };
}

/** Makes a narrator that writes to a stream, in colour where it is a terminal. */
export function createNarrator(stream: NodeJS.WriteStream): Narrator {
  let steps = 0;
  let checks = 0;
  let failures = 0;
  const write = (text: string): void => void stream.write(`${text}\n`);
  const style = (name: 'bold' | 'cyan' | 'dim' | 'green' | 'red', text: string): string =>
    styleText(name, text, { stream });
  return {
    step: (title) => write(`\n${style('cyan', '==>')} ${style('bold', `${++steps}. ${title}`)}`),
    command: (text) => write(`  ${style('dim', '$')} ${text}`),
    output(text) {
      for (const line of text.trimEnd().split('\n')) write(`    ${line.trimEnd()}`);
    },
    check(what, holds) {
      checks++;
      if (!holds) failures++;
      write(holds ? `  ${style('green', '✓')} ${what}` : `  ${style('red', '✗')} ${what}`);
    },
    note: write,
    counts: () => ({ checks, failures }),
  };
}
