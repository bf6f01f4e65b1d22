// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { openPinnedMap } from '@weir/bpf-loader-node';
import { mapSpecs } from '@weir/datapath-layout';
import { describeAsRoot, useTestDatapaths } from '../testing/test-datapath.ts';
import { nowTicks } from './index.ts';

const datapaths = useTestDatapaths();
const { ct } = mapSpecs;

/** Remembers flows that end so many ticks from now. */
function remember(...ticks: readonly number[]): void {
  using map = openPinnedMap(join(datapaths.bpfRoot, 'maps', ct.name));
  ticks.forEach((left, index) => {
    const value = new Uint8Array(ct.valueSize);
    ct.value.writeExpires(new DataView(value.buffer), 0, (nowTicks() + left) >>> 0);
    map.update(new Uint8Array(ct.keySize).fill(index + 1), value);
  });
}

describeAsRoot('the flows that are remembered', () => {
  it('are counted by the sweep, without those that it takes away', async () => {
    const datapath = await datapaths.open();
    const use = () => datapath.mapUse().find(({ map }) => map === 'ct');
    expect(use()).toEqual({ map: 'ct', entries: 0, entriesMax: 1024 });
    const long = 100_000;
    remember(long, long, -long);
    expect(await datapath.sweepConnections()).toEqual({ seen: 3, deleted: 1 });
    expect(use()).toMatchObject({ entries: 2 });
    expect(datapaths.entryCount('ct')).toBe(2);
  });
});
