// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import type { RuleTraffic } from '@weir/datapath-maps';
import { sumTraffic } from '../counters.ts';

/** Which counter belongs to which rules; 0 is nobody's, and counts nothing. */
export interface RuleCounters {
  /** The counter of a cookie; the first call gives it one, set to 0. 0 when there is none left: then nothing is counted. */
  counterOf(cookie: number): number;
  /** Says what an agent before gave. */
  adopt(cookie: number, counter: number): void;
  /** Frees counters whose rules have gone, when most are taken. Not while entries are being written. */
  collect(): void;
  list(): readonly RuleTraffic[];
}

// Looking at all entries takes milliseconds.
const collectedFrom = 0.75;

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

/** Hands out the counters of a map. `inUse` says which cookies the entries of policies have. */
export function createRuleCounters(map: BpfMap, inUse: () => ReadonlySet<number>): RuleCounters {
  const { maxEntries, valueStride } = map.info;
  const byCookie = new Map<number, number>();
  const taken = new Set<number>();
  let next = 1;

  const free = (): number => {
    if (taken.size >= maxEntries - 1) return 0;
    while (taken.has(next)) next = (next % (maxEntries - 1)) + 1;
    return next;
  };

  return {
    counterOf(cookie) {
      const known = cookie === 0 ? 0 : byCookie.get(cookie);
      if (known !== undefined) return known;
      const counter = free();
      if (counter === 0) return 0;
      taken.add(counter);
      byCookie.set(cookie, counter);
      map.update(u32(counter), new Uint8Array(valueStride));
      return counter;
    },
    adopt(cookie, counter) {
      if (counter === 0 || cookie === 0) return;
      byCookie.set(cookie, counter);
      taken.add(counter);
    },
    collect() {
      if (taken.size < (maxEntries - 1) * collectedFrom) return;
      const used = inUse();
      for (const [cookie, counter] of byCookie) {
        if (used.has(cookie)) continue;
        byCookie.delete(cookie);
        taken.delete(counter);
      }
    },
    list: () =>
      [...byCookie].map(([cookie, counter]) => {
        const values = map.lookup(u32(counter)) ?? new Uint8Array();
        return { cookie, ...sumTraffic(values) };
      }),
  };
}
