// SPDX-License-Identifier: Apache-2.0
import { styleText } from 'node:util';

type Style = Parameters<typeof styleText>[0];

const colour =
  (style: Style, stream: NodeJS.WriteStream) =>
  (text: string): string =>
    styleText(style, text, { stream });

/** Colours for standard output, where it is a terminal. */
export const onStdout = {
  bold: colour('bold', process.stdout),
  dim: colour('dim', process.stdout),
  cyan: colour('cyan', process.stdout),
  green: colour('green', process.stdout),
  red: colour('red', process.stdout),
  yellow: colour('yellow', process.stdout),
};

/** Colours for standard error, where it is a terminal. */
export const onStderr = {
  cyan: colour('cyan', process.stderr),
  dim: colour('dim', process.stderr),
  red: colour('red', process.stderr),
};
