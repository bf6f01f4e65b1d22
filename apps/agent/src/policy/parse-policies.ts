// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { WeirError } from '@weir/errors';
import { type ParsedPolicies, parsePolicyFiles, type PolicyFile } from '@weir/policy';

/** What reading may cost. */
export interface ParseLimits {
  readonly timeoutMs: number;
  readonly memoryMiBMax: number;
}

// Files that are made for it take seconds and hundreds of megabytes a megabyte. What is small is read at once, since
// starting a thread takes longer than it does; what is not must keep no pod waiting.
const inlineBytesMax = 8 * 1024;
// Most of what reading leaves behind is short-lived; a thread that lets it pile up leaves the process large for good.
const youngGenerationMiBMax = 16;
const defaultLimits: ParseLimits = { timeoutMs: 20_000, memoryMiBMax: 512 };

// In a bundle the thread's program lies beside the agent's.
const isSource = import.meta.url.endsWith('.ts');
const program = new URL(isSource ? './policy-parser-thread.ts' : './policy-parser.mjs', import.meta.url);

const sizeOf = ({ content }: PolicyFile): number =>
  typeof content === 'string' ? Buffer.byteLength(content) : content.length;

/**
 * Reads policy files without blocking the event loop for long. Rejects with RESOURCE_EXHAUSTED when it takes more time or
 * memory than it may; whatever else is wrong with them is among the problems.
 */
export async function parsePolicies(
  files: readonly PolicyFile[],
  limits: ParseLimits = defaultLimits,
): Promise<ParsedPolicies> {
  if (files.reduce((sum, file) => sum + sizeOf(file), 0) <= inlineBytesMax) return parsePolicyFiles(files);
  const { timeoutMs, memoryMiBMax } = limits;
  const worker = new Worker(fileURLToPath(program), {
    workerData: files,
    resourceLimits: { maxOldGenerationSizeMb: memoryMiBMax, maxYoungGenerationSizeMb: youngGenerationMiBMax },
  });
  const refusal = (what: string): WeirError =>
    new WeirError('RESOURCE_EXHAUSTED', `Reading the policy files takes more than ${what}; import fewer at a time`);
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<ParsedPolicies>((resolve, reject) => {
      timer = setTimeout(() => reject(refusal(`${timeoutMs} ms`)), timeoutMs);
      worker.once('message', resolve);
      worker.once('error', (error: NodeJS.ErrnoException) => {
        const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
        reject(isMemory ? refusal(`${memoryMiBMax} MiB of memory`) : WeirError.from(error));
      });
      worker.once('exit', () => reject(new WeirError('INTERNAL', 'The thread that reads policies ended early')));
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}
