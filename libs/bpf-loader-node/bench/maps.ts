// SPDX-License-Identifier: Apache-2.0
// What map access from JavaScript costs, in nanoseconds an element: `node libs/bpf-loader-node/bench/maps.ts`, as root.
// Each figure is the median of several rounds; `getppid` through `process.ppid` is the price of a bare system call here.
import { createMap, mapFlags, type BpfMap, type MapType } from '../src/index.ts';

const rounds = 7;
const entries = 100_000;
const singles = 100_000;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Median processor time (so that a busy machine does not count) of `body` divided by `elements`; `reset` runs before each round, off the clock. */
function measure(elements: number, body: () => void, reset: () => void = () => undefined): number {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    reset();
    const start = process.threadCpuUsage();
    body();
    const { user, system } = process.threadCpuUsage(start);
    times.push(((user + system) * 1000) / elements);
  }
  return median(times);
}

function print(what: string, nanoseconds: number): void {
  process.stdout.write(`${what.padEnd(58)} ${nanoseconds.toFixed(0).padStart(7)} ns\n`);
}

/** Keys 0 … entries-1, with the prefix length of a whole address in front for a trie. */
function makeKeys(): Uint8Array {
  return new Uint8Array(new Uint32Array(Array.from({ length: entries * 2 }, (_, i) => (i % 2 ? i >> 1 : 32))).buffer);
}

const keys = makeKeys();
const values = new Uint8Array(entries * 16).fill(1);

function makeMap(type: MapType): BpfMap {
  const flags = type === 'lpm_trie' ? mapFlags.noPrealloc : 0;
  return createMap({ name: 'bench', type, keySize: 8, valueSize: 16, maxEntries: entries, flags });
}

async function benchMap(type: MapType): Promise<void> {
  const map = makeMap(type);
  const key = keys.slice(0, 8);
  const value = new Uint8Array(16);
  const empty = (): void => {
    map.entries({ remove: true });
  };
  const fill = (): void => {
    map.updateMany({ keys, values });
  };
  const title = (what: string): string => `${type}, key 8 B, value 16 B: ${what}`;
  print(title(`batch update of ${entries}`), measure(entries, fill, empty));
  print(
    title(`batch delete of ${entries}`),
    measure(entries, () => map.deleteMany(keys), fill),
  );
  fill();
  print(
    title(`read all ${entries}`),
    measure(entries, () => map.entries()),
  );
  print(title('read all and delete'), measure(entries, empty, fill));
  fill();
  const eachSingle = (operation: () => unknown) => (): void => {
    for (let i = 0; i < singles; i++) operation();
  };
  print(
    title('single look-up into a given buffer'),
    measure(
      singles,
      eachSingle(() => map.lookup(key, value)),
    ),
  );
  print(
    title('single update'),
    measure(
      singles,
      eachSingle(() => map.update(key, value)),
    ),
  );
  const start = process.hrtime.bigint();
  for await (const slice of map.slices()) void slice.count;
  print(title('slices on the pool, wall clock'), Number(process.hrtime.bigint() - start) / entries);
  map.close();
}

function benchBaseline(): void {
  const array = createMap({
    name: 'revision',
    type: 'array',
    keySize: 4,
    valueSize: 8,
    maxEntries: 1,
    flags: mapFlags.mmapable,
  });
  const memory = array.mmap();
  const words = new BigUint64Array(memory.buffer);
  print(
    'process.ppid (one system call)',
    measure(singles, () => {
      for (let i = 0; i < singles; i++) void process.ppid;
    }),
  );
  print(
    'mapped counter: read',
    measure(singles, () => {
      for (let i = 0; i < singles; i++) Atomics.load(words, 0);
    }),
  );
  memory.close();
  array.close();
}

benchBaseline();
for (const type of ['hash', 'lru_hash', 'lpm_trie'] as const) await benchMap(type);
