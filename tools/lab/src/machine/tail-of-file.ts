// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';

/** The last part of a file as text, from a line's start where it is cut; a note when there is nothing to show. */
export async function tailOfFile(path: string, bytesMax = 2_000): Promise<string> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    const start = Math.max(0, size - bytesMax);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    const text = buffer.subarray(0, bytesRead).toString().trimEnd();
    return (start === 0 ? text : text.slice(text.indexOf('\n') + 1)) || '(it printed nothing)';
  } catch {
    return '(it printed nothing)';
  }
}
