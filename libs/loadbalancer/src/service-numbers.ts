// SPDX-License-Identifier: Apache-2.0
import type { ServiceChange, ServiceLimits, ServiceRows } from '@weir/datapath-maps';
import { createNumbering, type Numbering } from './numbering.ts';
import type { NewNumbers } from './render-service.ts';
import type { RenderedService } from './rendered-service.ts';

/** The numbers that groups, pools and backends have in the kernel. */
export interface ServiceNumbers {
  /** Calls back with a source of new ones; they are given back when it throws. */
  taking<Result>(task: (numbers: NewNumbers) => Result): Result;
  /** Gives back those that `from` has and `to` has not. */
  release(from: RenderedService, to: RenderedService): void;
  /** Gives back those of rows that are taken away. */
  releaseRows(change: ServiceChange): void;
}

const numberMax = 0xffffffff;

/** Knows those that are used in the kernel. Pool 0 stands for none. */
export function createServiceNumbers(
  rows: ServiceRows,
  { limits, start }: { readonly limits: ServiceLimits; readonly start: number },
): ServiceNumbers {
  const groups = createNumbering({ what: 'groups', max: numberMax, start });
  const pools = createNumbering({ what: 'pools', max: limits.poolsMax - 1, start });
  const backends = createNumbering({ what: 'backends', max: numberMax, start });
  for (const { group, pool } of rows.frontends.values()) {
    groups.claim(group);
    pools.claim(pool);
  }
  for (const pool of rows.pools.keys()) pools.claim(pool);
  for (const [id, { group }] of rows.backends) {
    backends.claim(id);
    groups.claim(group);
  }
  return {
    taking(task) {
      const giveBack: (() => void)[] = [];
      const from = (numbering: Numbering) => () => {
        const number = numbering.take();
        giveBack.push(() => numbering.release(number));
        return number;
      };
      try {
        return task({ group: from(groups), pool: from(pools), backend: from(backends) });
      } catch (error) {
        for (const each of giveBack) each();
        throw error;
      }
    },
    release(from, to) {
      const kept = new Set([...to.groups.values()].map(({ group }) => group));
      for (const { group } of from.groups.values()) if (!kept.has(group)) groups.release(group);
      for (const pool of from.pools.keys()) if (!to.pools.has(pool)) pools.release(pool);
      for (const id of from.backends.keys()) if (!to.backends.has(id)) backends.release(id);
    },
    releaseRows(change) {
      for (const pool of change.pools.keys()) pools.release(pool);
      for (const id of change.backends.keys()) backends.release(id);
    },
  };
}
