// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import type { BpfMap } from '@weir/bpf-loader-node';
import { mapSpecs, natCounters, type NatEntry, type NatKey } from '@weir/datapath-layout';
import type { MasqueradeDatapath, MasqueradeRange, UplinkAddresses } from '@weir/datapath-maps';
import { createExpiringTable, type ExpiringTable } from './expiring-entries.ts';
import { createMapRows } from './map-rows.ts';

type Subject = 'nat' | 'uplinks' | 'natExcluded' | 'natSecret' | 'natCounters';

const none = new Uint8Array(16);
/** All of IPv4. */
const ipv4 = { address: Uint8Array.of(...new Array<number>(10).fill(0), 0xff, 0xff, 0, 0, 0, 0), length: 96 } as const;
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const nameOf = (prefixLength: number, address: Uint8Array): string =>
  `${Buffer.from(address).toString('hex')}/${prefixLength}`;

interface Row extends MasqueradeRange {
  readonly value?: number;
}

/** Ports of flows are computed with it, so it is made once, and never while there may be flows. */
function ensureSecret(map: BpfMap): void {
  const secret = createMapRows(map, mapSpecs.natSecret);
  if (secret.get(0)?.value === 0n) secret.setAll([[0, { value: randomBytes(8).readBigUInt64LE() | 1n }]]);
}

/** What the programs masquerade by, and how full it is. */
export type MasqueradeTables = MasqueradeDatapath & Pick<ExpiringTable<NatKey, NatEntry>, 'use'>;

/** The open maps. */
export function createMasqueradeTables(maps: Readonly<Record<Subject, BpfMap>>): MasqueradeTables {
  const uplinks = createMapRows(maps.uplinks, mapSpecs.uplinks);
  const excluded = createMapRows(maps.natExcluded, mapSpecs.natExcluded);
  ensureSecret(maps.natSecret);
  return {
    setUplinks(wanted: readonly UplinkAddresses[]) {
      uplinks.setAll(
        wanted.map(({ ifindex, ipv4, ipv6 }) => [ifindex, { ipv4: ipv4 ?? none, ipv6: ipv6 ?? none }] as const),
      );
      const indexes = new Set(wanted.map(({ ifindex }) => ifindex));
      uplinks.deleteAll(uplinks.all().flatMap(([ifindex]) => (indexes.has(ifindex) ? [] : [ifindex])));
    },
    setExcluded(ranges: readonly MasqueradeRange[]) {
      // In the trie ::/0 is about IPv4 as well, which it is not meant to be.
      const rows: readonly Row[] = ranges.some(({ length }) => length < ipv4.length)
        ? [{ ...ipv4, value: 0 }, ...ranges]
        : ranges;
      const wanted = new Set(rows.map(({ address, length }) => nameOf(length, address)));
      for (const { address, length, value = 1 } of rows) excluded.setAll([[{ address, prefixLength: length }, value]]);
      for (const [key] of excluded.all()) {
        if (!wanted.has(nameOf(key.prefixLength, key.address))) excluded.delete(key);
      }
    },
    ...createExpiringTable(maps.nat, { name: 'nat', spec: mapSpecs.nat }),
    counts() {
      const perCpu = maps.natCounters.lookup(new Uint8Array(4)) ?? new Uint8Array();
      const sum = { mapped: 0, retries: 0, exhausted: 0 };
      for (let offset = 0; offset < perCpu.byteLength; offset += natCounters.size) {
        sum.mapped += natCounters.readMappedNumber(viewOf(perCpu), offset);
        sum.retries += natCounters.readRetriesNumber(viewOf(perCpu), offset);
        sum.exhausted += natCounters.readExhaustedNumber(viewOf(perCpu), offset);
      }
      return sum;
    },
  };
}
