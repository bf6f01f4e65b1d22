// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { compileFilters, type FilterLists, type Flow, messageToJson, timestampOf } from '@weir/flow';
import type { flow } from '@weir/proto';

export interface FlowLogOptions {
  readonly path: string;
  readonly node: string;
  /** Which flows are written; all of them without any filter. */
  readonly filters: FilterLists;
  /** Of one file. */
  readonly bytesMax: number;
  /** Files that are kept: the path, then `path.1` as the next older one, and so on. */
  readonly filesMax: number;
  /** Told of the first of several failures in a row. */
  readonly onFailed: (error: unknown) => void;
}

/** Writes flows as lines of JSON, as `hubble observe -o json` prints them. Never makes whoever gives it flows wait. */
export interface FlowLog {
  observe(each: Flow): void;
  lost(event: flow.LostEvent.$Properties): void;
  /** Lines that could not be written, or had no room to wait for it. */
  readonly lostLines: number;
  close(): Promise<void>;
}

// What waits for a slow disk.
const waitingBytesMax = 1 << 20;

/** The file that grows, and the older ones behind it. */
function createRotation({ path, bytesMax, filesMax }: FlowLogOptions) {
  let file: FileHandle | undefined;
  let bytes = 0;
  const at = (age: number): string => (age === 0 ? path : `${path}.${age}`);
  const rotate = async (): Promise<void> => {
    await file?.close();
    file = undefined;
    await rm(at(filesMax - 1), { force: true });
    for (let age = filesMax - 2; age >= 0; age--) await rename(at(age), at(age + 1)).catch(ignoreMissing);
  };
  return {
    async write(text: string): Promise<void> {
      if (file === undefined) {
        file = await open(path, 'a', 0o640);
        bytes = (await file.stat()).size;
      }
      const length = Buffer.byteLength(text);
      if (bytes > 0 && bytes + length > bytesMax) {
        await rotate();
        file = await open(path, 'a', 0o640);
        bytes = 0;
      }
      await file.write(text);
      bytes += length;
    },
    async close(): Promise<void> {
      await file?.close();
      file = undefined;
    },
  };
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** Opens the log with the first flow. INVALID_ARGUMENT for filters that cannot be. */
export function createFlowLog(options: FlowLogOptions): FlowLog {
  const isWanted = compileFilters(options.filters);
  const rotation = createRotation(options);
  let waiting: string[] = [];
  let waitingBytes = 0;
  let lostLines = 0;
  let isFailing = false;
  let writing: Promise<void> | undefined;

  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const lines = waiting;
      waiting = [];
      waitingBytes = 0;
      try {
        await rotation.write(lines.join(''));
        isFailing = false;
      } catch (error) {
        lostLines += lines.length;
        await rotation.close().catch(() => undefined);
        if (!isFailing) options.onFailed(error);
        isFailing = true;
      }
    }
    writing = undefined;
  };
  const write = (response: object): void => {
    const line = `${JSON.stringify(messageToJson('observer.GetFlowsResponse', response))}\n`;
    if (waitingBytes + line.length > waitingBytesMax) {
      lostLines += 1;
      return;
    }
    waiting.push(line);
    waitingBytes += line.length;
    writing ??= Promise.resolve().then(flush);
  };
  return {
    observe(each) {
      if (isWanted(each)) write({ flow: each, nodeName: each.nodeName ?? '', time: each.time ?? null });
    },
    lost: (lostEvents) => write({ lostEvents, nodeName: options.node, time: timestampOf(Date.now()) }),
    get lostLines() {
      return lostLines;
    },
    async close() {
      await writing;
      await rotation.close();
    },
  };
}
