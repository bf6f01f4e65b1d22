// SPDX-License-Identifier: Apache-2.0
// The programs look at the host's own packets while, and only while, its policy enforces something.
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { openPinnedMap } from '@weir/bpf-loader-node';
import { fromBytes, hostPolicyBits, mapSpecs, runtimeState } from '@weir/datapath-layout';
import { allow, describeAsRoot, ingress, useTestDatapaths } from '../testing/test-datapath.ts';

const datapaths = useTestDatapaths();
const host = { policySlot: 3, isAudited: false };
const open = { ingressEnforced: false, egressEnforced: false, entries: [] };

function runtime() {
  using map = openPinnedMap(join(datapaths.bpfRoot, 'maps', mapSpecs.runtime.name));
  return fromBytes(runtimeState, map.lookup(new Uint8Array(4)) ?? new Uint8Array(runtimeState.size));
}

describeAsRoot('the policy of the host', () => {
  it('is looked at from the change on that makes it enforce something, to the one that ends that', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ host, policies: new Map([[3, open]]) });
    expect([runtime().hostPolicy, datapath.hostPolicySlot()]).toEqual([0, undefined]);
    const { revision } = runtime();
    await datapath.apply({ policies: new Map([[3, ingress(allow())]]) });
    expect(runtime()).toMatchObject({ hostPolicy: 3, revision: revision + 1 });
    expect(datapath.hostPolicySlot()).toBe(3);
    await datapath.apply({ policies: new Map([[3, { ...open, egressEnforced: true }]]) });
    expect(runtime().hostPolicy).toBe(3);
    await datapath.apply({ policies: new Map([[3, open]]) });
    expect(runtime()).toMatchObject({ hostPolicy: 0, revision: revision + 3 });
  });

  it('is that of another slot, or audited, from the change on that says so', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ host, policies: new Map([3, 4].map((slot) => [slot, ingress()])) });
    const { revision } = runtime();
    await datapath.apply({ host: { policySlot: 4, isAudited: true } });
    expect(runtime()).toMatchObject({ hostPolicy: 4 | hostPolicyBits.audited, revision: revision + 1 });
    expect(datapath.hostPolicySlot()).toBe(4);
  });

  it('outlives the agent, and stays as it is until the next one knows better', async () => {
    const first = await datapaths.open();
    await first.apply({ host, policies: new Map([[3, ingress(allow())]]) });
    await first.close();
    const { revision } = runtime();
    const second = await datapaths.open();
    expect(second.hostPolicySlot()).toBe(3);
    await second.apply({ policies: new Map([[3, ingress(allow())]]) });
    await second.apply({ host, policies: new Map([[3, ingress(allow())]]) });
    expect(runtime()).toMatchObject({ hostPolicy: 3, revision });
  });
});
