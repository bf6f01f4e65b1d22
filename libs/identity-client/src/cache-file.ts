// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { CancelTimer, Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { identityRange, parseLabelSet } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { KnownIdentity } from './events.ts';
import type { Cursor } from './identity-cache.ts';

/** What the file holds. */
export interface CacheContent {
  readonly cursor: Cursor;
  readonly identities: Iterable<KnownIdentity>;
}

/** The cache on disk: written now and then, read at the start. */
export interface CacheFile {
  /** Undefined when there is none. One that cannot be read is put aside with a warning: it is only a copy. */
  load(): Promise<CacheContent | undefined>;
  /** Has the content written soon; calls in between are one write. */
  save(): void;
  /** Writes what `save` has announced. */
  flush(): Promise<void>;
}

export interface CacheFileOptions {
  readonly path: string;
  readonly content: () => CacheContent;
  readonly clock: Clock;
  readonly log: Logger;
}

const format = 1;
const saveDelayMs = 1_000;
// Identities turned into text at a stretch, before other work has its turn.
const chunkIdentities = 1_000;

/** Makes the file's keeper; nothing is read or written yet. */
export function createCacheFile({ path, content, clock, log }: CacheFileOptions): CacheFile {
  let cancelTimer: CancelTimer | undefined;
  let writing: Promise<void> = Promise.resolve();

  const write = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    writing = writing.then(() =>
      writeContent(path, content()).catch((error: unknown) =>
        log.warn({ path, error }, 'Cannot save known identities'),
      ),
    );
    return writing;
  };
  return {
    async load() {
      try {
        return parseContent(await readFile(path, 'utf8'));
      } catch (error) {
        if ((error as { code?: unknown }).code === 'ENOENT') return undefined;
        log.warn({ path, error }, 'Cannot read known identities, the file is put aside');
        await rename(path, `${path}.damaged`).catch(() => undefined);
        return undefined;
      }
    },
    save() {
      cancelTimer ??= clock.schedule(saveDelayMs, () => void write());
    },
    flush: () => (cancelTimer === undefined ? writing : write()),
  };
}

/**
 * Written beside, then renamed: a reader sees the old file or the new one. The position is taken first, so that what
 * changes during the writing comes again after a resumption.
 */
async function writeContent(path: string, { cursor, identities }: CacheContent): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o640);
  try {
    await file.write(`{"format":${format},"epoch":${JSON.stringify(cursor.epoch)},"revision":${cursor.revision},`);
    await file.write('"identities":[');
    let lines: string[] = [];
    let separator = '\n';
    for (const { id, labels } of identities) {
      lines.push(`${separator}[${id},${JSON.stringify(labels.key)}]`);
      separator = ',\n';
      if (lines.length < chunkIdentities) continue;
      await file.write(lines.join(''));
      lines = [];
    }
    await file.write(`${lines.join('')}\n]}\n`);
    await file.sync();
  } catch (error) {
    await rm(beside, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  await rename(beside, path);
}

const damaged = (problem: string): WeirError => new WeirError('CORRUPT_STATE', problem);

function parseContent(text: string): CacheContent {
  const parsed = JSON.parse(text) as Partial<Record<'format' | 'epoch' | 'revision' | 'identities', unknown>>;
  const { epoch, revision, identities } = parsed;
  if (parsed.format !== format) throw damaged(`Format is ${String(parsed.format)}, expected ${format}`);
  if (typeof epoch !== 'string') throw damaged('"epoch" is missing');
  if (typeof revision !== 'number' || !Number.isSafeInteger(revision)) throw damaged('"revision" is not a number');
  if (!Array.isArray(identities)) throw damaged('"identities" is not a list');
  return { cursor: { epoch, revision }, identities: identities.map(parseIdentity) };
}

function parseIdentity(entry: unknown): KnownIdentity {
  const [id, key] = Array.isArray(entry) ? (entry as unknown[]) : [];
  const { min, max } = identityRange.cluster;
  if (typeof id !== 'number' || !Number.isInteger(id) || id < min || id > max || typeof key !== 'string') {
    throw damaged(`${JSON.stringify(entry)} is not an identity`);
  }
  return { id, labels: parseLabelSet(key.split(';').slice(0, -1)) };
}
