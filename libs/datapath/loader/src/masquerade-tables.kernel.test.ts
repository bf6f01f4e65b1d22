// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BpfObject, loadObject, openObject } from '@weir/bpf-loader-node';
import { mapSpecs, natCounters, natEntry, natKey, natSecret, toBytes, uplink } from '@weir/datapath-layout';
import { parseCidr, parseIpAddress } from '@weir/model';
import { nowTicks } from './expiring-entries.ts';
import { createMasqueradeTables } from './masquerade-tables.ts';
import { describeAsRoot, objectPath } from '../testing/test-datapath.ts';

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

describeAsRoot('createMasqueradeTables()', () => {
  let object: BpfObject;
  beforeAll(() => {
    object = loadObject(openObject({ path: objectPath }), {});
  });
  afterAll(() => object.close());
  const map = (subject: keyof typeof mapSpecs) => object.map(mapSpecs[subject].name);
  const open = () =>
    createMasqueradeTables({
      ...{ nat: map('nat'), uplinks: map('uplinks'), natExcluded: map('natExcluded') },
      ...{ natSecret: map('natSecret'), natCounters: map('natCounters') },
    });
  const range = (text: string) => {
    const { address, prefixLength } = parseCidr(text);
    return { address, length: prefixLength };
  };

  it('makes a secret once, so that flows find their ports again after a restart', () => {
    const secret = (): bigint => natSecret.decode(viewOf(map('natSecret').lookup(u32(0))!), 0).value;
    expect(secret()).toBe(0n);
    open();
    const made = secret();
    expect(made).not.toBe(0n);
    open();
    expect(secret()).toBe(made);
  });

  it('makes the uplinks what they are to be', () => {
    const tables = open();
    const [ipv4, ipv6] = [parseIpAddress('192.0.2.1'), parseIpAddress('2001:db8::1')];
    tables.setUplinks([
      { ifindex: 2, ipv4, ipv6 },
      { ifindex: 3, ipv4, ipv6: undefined },
    ]);
    tables.setUplinks([{ ifindex: 3, ipv4: undefined, ipv6 }]);
    expect(map('uplinks').entries().count).toBe(1);
    const value = uplink.decode(viewOf(map('uplinks').lookup(u32(3))!), 0);
    expect([Buffer.from(value.ipv4), Buffer.from(value.ipv6)]).toEqual([Buffer.alloc(16), Buffer.from(ipv6)]);
  });

  describe('setExcluded()', () => {
    const isExcluded = (address: string): boolean => {
      const key = new Uint8Array(20);
      viewOf(key).setUint32(0, 128, true);
      key.set(parseIpAddress(address), 4);
      const value = map('natExcluded').lookup(key);
      return value !== undefined && viewOf(value).getUint32(0, true) === 1;
    };

    it('replaces the ranges of before', () => {
      const tables = open();
      tables.setExcluded(['10.0.0.0/8', 'fd00::/8'].map(range));
      expect(['10.1.2.3', '11.0.0.0', 'fd00::1', 'fe00::1'].map(isExcluded)).toEqual([true, false, true, false]);
      tables.setExcluded([range('11.0.0.0/8')]);
      expect(['10.1.2.3', '11.0.0.0', 'fd00::1'].map(isExcluded)).toEqual([false, true, false]);
      tables.setExcluded([]);
      expect(map('natExcluded').entries().count).toBe(0);
    });

    it('takes all of one family for that family only', () => {
      const tables = open();
      tables.setExcluded([range('::/0')]);
      expect(['10.1.2.3', 'fd00::1'].map(isExcluded)).toEqual([false, true]);
      tables.setExcluded([range('0.0.0.0/0')]);
      expect(['10.1.2.3', 'fd00::1'].map(isExcluded)).toEqual([true, false]);
      tables.setExcluded(['::/0', '0.0.0.0/0'].map(range));
      expect(['10.1.2.3', 'fd00::1'].map(isExcluded)).toEqual([true, true]);
      tables.setExcluded([]);
    });
  });

  it('lists flows that live, and sweeps up those that do not', async () => {
    const tables = open();
    const [remote, local, address] = ['203.0.113.9', '192.0.2.1', '10.1.0.11'].map(parseIpAddress) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    const put = (localPort: number, leftTicks: number) =>
      map('nat').update(
        toBytes(natKey, { remote, local, remotePort: 443, localPort, protocol: 6 }),
        toBytes(natEntry, { address, port: 40_000, flags: 0, forService: 0, expires: (nowTicks() + leftTicks) >>> 0 }),
      );
    put(20_000, 60_000);
    put(20_001, -1);
    put(20_002, -600_000);
    const living = [];
    for await (const flows of tables.list()) living.push(...flows.map(({ key }) => key.localPort));
    expect(living).toEqual([20_000]);
    expect(await tables.sweep()).toEqual({ seen: 3, deleted: 1 });
    expect(map('nat').entries().count).toBe(2);
  });

  it('sums up what the CPUs have counted', () => {
    const stride = map('natCounters').info.valueStride;
    const perCpu = new Uint8Array(stride);
    for (let offset = 0; offset < stride; offset += natCounters.size) {
      natCounters.encode(viewOf(perCpu), offset, { mapped: 3n, retries: 2n, exhausted: 1n });
    }
    map('natCounters').update(u32(0), perCpu);
    const cpus = stride / natCounters.size;
    expect(open().counts()).toEqual({ mapped: 3 * cpus, retries: 2 * cpus, exhausted: cpus });
  });
});
