// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { BackendTraffic } from '@weir/datapath-maps';
import type { Service } from '@weir/model';
import { createServiceTotals } from './service-totals.ts';

const done = (connections: number, active = 0): BackendTraffic => ({
  ...{ connections, active, sentBytes: connections * 10, receivedBytes: connections * 100 },
});
const named = (name: string): Service => ({
  ...{ namespace: 'default', name, owner: 'api', frontends: [], backends: [], affinityTimeoutS: 0 },
});

describe('createServiceTotals()', () => {
  it('counts on when backends go, come and come again', () => {
    let backends = new Map([['a', done(5, 2)]]);
    const totals = createServiceTotals({ list: () => [named('web')], traffic: () => () => backends });
    const now = (): BackendTraffic | undefined => {
      totals.refresh();
      return totals.list().get('default/web');
    };
    expect(now()).toEqual(done(5, 2));
    expect(now()).toEqual(done(5, 2));
    backends = new Map([
      ['a', done(7, 1)],
      ['b', done(1)],
    ]);
    expect(now()).toEqual(done(8, 1));
    backends = new Map([['b', done(2)]]);
    expect(now()).toEqual(done(9));
    // Another backend at the address of before counts from the beginning.
    backends = new Map([['b', done(1)]]);
    expect(now()).toEqual(done(10));
    backends = new Map();
    expect(now()).toEqual(done(10));
  });

  it('leaves out what nobody has called, and takes together what is beyond a thousand', () => {
    const all = Array.from({ length: 1_003 }, (_, index) => named(`s${index}`));
    const traffic = (key: string) => new Map([['a', done(key === 'default/s0' ? 0 : 1)]]);
    const totals = createServiceTotals({ list: () => all, traffic: () => traffic });
    totals.refresh();
    const rows = totals.list();
    expect(rows.size).toBe(1_001);
    expect(rows.has('default/s0')).toBe(false);
    expect(rows.get('other')).toEqual(done(2));
  });
});
