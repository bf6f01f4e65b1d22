// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { direction, policyVerdict } from '@weir/datapath-layout';
import type { DatapathEndpoint, PolicyContent, PolicyMapEntry } from '@weir/datapath-maps';
import { createFaults } from './faults.ts';
import { createMemoryDatapath } from './memory-datapath.ts';

const allow = (port: number): PolicyMapEntry => ({
  ...{ direction: direction.ingress, peerIdentity: 300, protocol: 6, port },
  ...{ verdict: policyVerdict.allow, ruleSet: 0, cookie: 0 },
});
const ingress = (...ports: number[]): PolicyContent => ({
  ingressEnforced: true,
  egressEnforced: false,
  entries: ports.map(allow),
});
const pod: DatapathEndpoint = {
  ...{ ifindex: 10, id: 1, identity: 300, policySlot: 1, mac: new Uint8Array(6) },
  ...{ ipv4: new Uint8Array(16), ipv6: new Uint8Array(16) },
};

describe('createMemoryDatapath()', () => {
  it('counts changes, and does not count those that change nothing', async () => {
    const datapath = createMemoryDatapath();
    const change = { policies: new Map([[1, ingress(80)]]), endpoints: [pod] };
    await datapath.apply(change);
    await datapath.apply(change);
    expect(datapath.revision).toBe(1);
    await datapath.apply({ policyPatches: new Map([[1, { added: [allow(443)], removed: [allow(80)] }]]) });
    expect(datapath.listPolicy(1)).toEqual([allow(443)]);
    await datapath.apply({ endpointsRemoved: [pod], policiesRemoved: [1] });
    expect([datapath.revision, datapath.listEndpoints(), datapath.listPolicySlots()]).toEqual([3, [], []]);
  });

  it('refuses as a whole what has no room', async () => {
    const datapath = createMemoryDatapath({ policyEntriesMax: 2 });
    await datapath.apply({ policies: new Map([[1, ingress(80)]]) });
    const tooMuch = {
      policies: new Map([
        [1, ingress(1)],
        [2, ingress(1, 2)],
      ] as const),
      endpoints: [pod],
    };
    await expect(datapath.apply(tooMuch)).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    expect(datapath.listPolicy(1)).toEqual([allow(80)]);
    expect(datapath.listEndpoints()).toEqual([]);
  });
});

describe('createFaults()', () => {
  it('lets the N-th call over all wrapped objects fail, and that one do nothing', async () => {
    const faults = createFaults();
    const datapath = createMemoryDatapath();
    const faulty = faults.wrap(datapath, { rejecting: ['apply'], throwing: ['attachEndpoint'] });
    faults.failCall(2);
    await faulty.apply({ endpoints: [pod] });
    expect(() => faulty.attachEndpoint({ id: 1, ifindex: 10 })).toThrow('Injected fault in call 2, "attachEndpoint"');
    expect(faulty.attached.size).toBe(0);
    faulty.attachEndpoint({ id: 1, ifindex: 10 });
    expect([faulty.listEndpoints(), datapath.attached.get(1)]).toEqual([[pod], 10]);
    faults.failCall(1);
    await expect(faulty.apply({})).rejects.toThrow('"apply"');
  });

  it('lets the same calls fail for the same seed', () => {
    const outcome = (seed: number): boolean[] => {
      const faults = createFaults();
      const target = faults.wrap({ go: () => true }, { throwing: ['go'] });
      faults.failRandomly({ probability: 0.5, seed });
      return Array.from({ length: 50 }, () => {
        try {
          return target.go();
        } catch {
          return false;
        }
      });
    };
    expect(outcome(7)).toEqual(outcome(7));
    expect(outcome(7)).not.toEqual(outcome(8));
  });
});
