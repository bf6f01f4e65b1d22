// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from '@jest/globals';
import { describeAsRoot, emptyPacket, loadSample } from '../testing/sample.ts';
import { encodeSkbContext, openRingReader } from './index.ts';
import type { BpfObject, RecordBatch, RingReader, RingReaderOptions } from './index.ts';

const opened: { close(): unknown }[] = [];
afterEach(() => {
  for (const closable of opened.splice(0).reverse()) closable.close();
});

interface Received {
  batches: number;
  lost: number;
  /** First word of each record: the index that the program wrote. */
  indexes: number[];
}

/** A loaded sample with a reader that notes what it gets. */
function setUp(options: Partial<RingReaderOptions> = {}, ringBytes = 1 << 20): [BpfObject, RingReader, Received] {
  const sample = loadSample({ maps: { events: { maxEntries: ringBytes } } });
  const received: Received = { batches: 0, lost: 0, indexes: [] };
  const reader = openRingReader(sample.map('events'), {
    intervalMs: 1,
    onBatch: (batch) => {
      note(received, batch);
    },
    ...options,
  });
  opened.push(sample, reader);
  return [sample, reader, received];
}

function note(received: Received, batch: RecordBatch): void {
  received.batches += 1;
  received.lost += batch.lost;
  for (let i = 0; i < batch.count; i++) {
    const record = batch.record(i);
    received.indexes.push(new DataView(record.buffer, record.byteOffset).getUint32(0, true));
  }
}

/** Has the program send `count` (at most 1024) records of 16 bytes; returns how many the ring took. */
function send(sample: BpfObject, count: number): number {
  return sample.program('send_events').testRun({ data: emptyPacket(), context: encodeSkbContext({ mark: count }) })
    .retval;
}

async function until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('Timed out');
    await sleep(2);
  }
}

/** Keeps JavaScript from taking anything until the reader has taken that many records from the ring. */
function blockEventLoop(reader: RingReader, records: number): void {
  const deadline = Date.now() + 10_000;
  while (reader.stats().records < records) {
    if (Date.now() > deadline) throw new Error(`Timed out at ${reader.stats().records} records`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
}

/** Processor time that the reader threads of this process have used so far. */
function readerThreadNs(): number {
  const tasks = readdirSync('/proc/self/task').filter(
    (task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim() === 'weir-ring',
  );
  expect(tasks.length).toBeGreaterThan(0);
  const times = tasks.map((task) => readFileSync(`/proc/self/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  return times.reduce((sum, time) => sum + Number(time), 0);
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

describeAsRoot('RingReader', () => {
  it('hands over every record in order, many in one batch', async () => {
    const [sample, reader, received] = setUp();
    for (let i = 0; i < 10; i++) expect(send(sample, 1000)).toBe(1000);
    await until(() => received.indexes.length === 10_000);
    expect(received.indexes).toEqual(Array.from({ length: 10 }, () => upTo(1000)).flat());
    expect(received.batches).toBeLessThan(20);
    expect(reader.stats()).toEqual({ records: 10_000, lost: 0, pendingBytes: 0 });
  });

  it('gives each record its bytes and length', async () => {
    const records: Uint8Array[] = [];
    const [sample] = setUp({
      onBatch: (batch) => {
        for (let i = 0; i < batch.count; i++) records.push(batch.record(i).slice());
        expect(batch.record(batch.count).length).toBe(0);
      },
    });
    send(sample, 3);
    await until(() => records.length === 3);
    expect(records[2]).toEqual(new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]));
  });

  it('keeps batches within their limits', async () => {
    const sizes: number[] = [];
    const [sample] = setUp({
      batchRecords: 100,
      onBatch: ({ count }) => {
        sizes.push(count);
      },
    });
    send(sample, 1000);
    await until(() => sizes.reduce((sum, size) => sum + size, 0) === 1000);
    expect(Math.max(...sizes)).toBe(100);
  });

  it('"wait" loses nothing while JavaScript is busy: records stay in the ring', async () => {
    const [sample, reader, received] = setUp({ batches: 1, batchRecords: 100, whenFull: 'wait' });
    for (let i = 0; i < 5; i++) send(sample, 1000);
    blockEventLoop(reader, 100);
    expect(reader.stats()).toMatchObject({ records: 100, pendingBytes: 4900 * 24 });
    await until(() => received.indexes.length === 5000);
    expect(received.lost).toBe(0);
    expect(received.indexes).toEqual(Array.from({ length: 5 }, () => upTo(1000)).flat());
  });

  it('"wait" leaves the program without room when the ring is full', async () => {
    const [sample, reader, received] = setUp({ batches: 1, batchRecords: 10, whenFull: 'wait' }, 4096);
    let sent = 0;
    for (let i = 0; i < 5; i++) {
      sent += send(sample, 100);
      blockEventLoop(reader, 10);
    }
    expect(sent).toBeLessThan(500);
    await until(() => received.indexes.length === sent);
    expect(received.lost).toBe(0);
  });

  it('"drop" takes everything off the ring and counts exactly what JavaScript did not get', async () => {
    const [sample, reader, received] = setUp({ batches: 1, batchRecords: 100, whenFull: 'drop' });
    for (let i = 0; i < 5; i++) send(sample, 1000);
    blockEventLoop(reader, 5000);
    expect(reader.stats()).toEqual({ records: 5000, lost: 4900, pendingBytes: 0 });
    await until(() => received.indexes.length + received.lost === 5000);
    expect(received.indexes).toEqual(upTo(100));
    send(sample, 1);
    await until(() => received.indexes.length === 101);
    expect(received.lost).toBe(4900);
  });

  it('counts a record that is longer than a batch as lost', async () => {
    const [sample, reader, received] = setUp({ batchBytes: 8 });
    send(sample, 3);
    await until(() => received.lost === 3);
    expect(received.indexes).toEqual([]);
    expect(reader.stats()).toMatchObject({ records: 3, lost: 3 });
  });

  it('costs nothing while the ring is quiet', async () => {
    const [sample, , received] = setUp();
    send(sample, 1);
    await until(() => received.indexes.length === 1);
    const before = readerThreadNs();
    await sleep(500);
    expect(readerThreadNs() - before).toBeLessThan(5_000_000); // 1 % of 500 ms
  });

  it('close() stops at once, from inside onBatch as well, and tells what was not handed over', async () => {
    let calls = 0;
    const [sample, reader] = setUp({
      batches: 4,
      batchRecords: 100,
      onBatch: () => {
        calls += 1;
        undelivered = reader.close();
      },
    });
    let undelivered = -1;
    send(sample, 1000);
    blockEventLoop(reader, 400);
    await until(() => calls === 1);
    await sleep(20);
    expect(calls).toBe(1);
    expect(undelivered).toBe(300);
    expect(reader.close()).toBe(0);
    expect(() => reader.stats()).toThrow('Ring reader is closed');
  });

  it('a later reader goes on where the first one stopped', async () => {
    const [sample, first, received] = setUp({ intervalMs: 0 });
    send(sample, 5);
    await until(() => received.indexes.length === 5);
    first.close();
    send(sample, 7);
    const later: Received = { batches: 0, lost: 0, indexes: [] };
    opened.push(
      openRingReader(sample.map('events'), {
        onBatch: (batch) => {
          note(later, batch);
        },
      }),
    );
    await until(() => later.indexes.length === 7);
  });

  it('refuses sizes out of range and maps that are no ring, by name', () => {
    const sample = loadSample();
    opened.push(sample);
    const onBatch = (): void => undefined;
    expect(() => openRingReader(sample.map('events'), { onBatch, batches: 65 })).toThrow(
      'batches: expected 1 to 64, found 65',
    );
    expect(() => openRingReader(sample.map('events'), { onBatch, intervalMs: -1 })).toThrow('intervalMs: expected');
    expect(() => openRingReader(sample.map('counters'), { onBatch })).toThrow('map: "counters" is not a ring buffer');
    expect(() => openRingReader(sample.map('events'), { onBatch: 5 as never })).toThrow('onBatch: expected a function');
  });
});
