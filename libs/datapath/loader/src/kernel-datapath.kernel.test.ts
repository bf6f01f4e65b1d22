// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from '@jest/globals';
import { createMap, hasFeature, openPinnedMap } from '@weir/bpf-loader-node';
import {
  fromBytes,
  mapSpecs,
  policyFlag,
  policyKeyKind,
  policyPeerShift,
  policyWord,
  toBytes,
} from '@weir/datapath-layout';
import { clusterPeer, parseIpAddress } from '@weir/model';
import { allow, describeAsRoot, ingress, pod, useTestDatapaths, useTestDevices } from '../testing/test-datapath.ts';
import { nowTicks, openProxyDatapath, type ProxyDatapath } from './index.ts';

const datapaths = useTestDatapaths();
let observer: ProxyDatapath | undefined;
afterEach(() => {
  observer?.close();
  observer = undefined;
});

/** What the programs compare the verdicts that they remember with. */
function revision(): number {
  observer ??= openProxyDatapath(datapaths.bpfRoot);
  return observer.revision();
}

const exact = (address: string, identity: number) => ({ address: parseIpAddress(address), length: 128, identity });
const range = (address: string, length: number, identity: number) => ({
  address: parseIpAddress(address),
  length,
  identity,
});

describeAsRoot('openKernelDatapath()', () => {
  it('adopts what an instance before left, and writes nothing when nothing has changed', async () => {
    const change = {
      policies: new Map([[1, ingress(allow(), allow({ port: 443 }))]]),
      endpoints: [pod(1)],
      ipcache: [exact('10.0.0.1', 257), range('10.0.0.0', 120, 8)],
    };
    const first = await datapaths.open();
    await first.apply(change);
    await first.close();
    const before = revision();

    const second = await datapaths.open();
    expect(first.loaded.adopted).toBe(false);
    expect(second.loaded).toMatchObject({ adopted: true, build: first.loaded.build });
    await second.apply(change);
    expect(revision()).toBe(before);
    expect(second.listPolicy(1)).toEqual(expect.arrayContaining([allow(), allow({ port: 443 })]));
    expect(second.listEndpoints()).toEqual([pod(1)]);
    expect(await second.listIpcache()).toEqual(expect.arrayContaining(change.ipcache));
  });

  it('says which pinned maps keep another size than is asked for, also when it adopts them', async () => {
    const limits = { ct: 1024, policy: 64, interfaces: 8, endpoints: 16, ipcache: 16, prefixes: 8 };
    await (await datapaths.open({ limits })).close();
    const { loaded } = await datapaths.open({ limits: { ...limits, ct: 2048 } });
    expect(loaded.adopted).toBe(true);
    expect(loaded.keptSizes).toEqual([{ map: 'weir_ct_v2', entries: 1024, wanted: 2048 }]);
  });

  it('deletes policy entries that no slot names: those of an agent that died while it wrote', async () => {
    const first = await datapaths.open();
    await first.apply({ policies: new Map([[1, ingress(allow())]]) });
    await first.close();
    using policy = openPinnedMap(join(datapaths.bpfRoot, 'maps', mapSpecs.policy.name));
    const orphan = policy.entries().keys.slice(0, policy.info.keySize);
    new DataView(orphan.buffer).setUint32(mapSpecs.policy.key.offsets.version, 77, true);
    policy.update(orphan, new Uint8Array(policy.info.valueSize));
    const second = await datapaths.open();
    expect(datapaths.entryCount('policy')).toBe(1);
    expect(second.listPolicy(1)).toEqual([allow()]);
  });

  it('rejects with FAILED_PRECONDITION when there is no object file', async () => {
    await expect(datapaths.open({ objectPath: '/nowhere/weir.bpf.o' })).rejects.toThrow('/nowhere/weir.bpf.o');
  });
});

describeAsRoot('apply()', () => {
  it('bumps the revision once for a change, and not at all for none', async () => {
    const datapath = await datapaths.open();
    const before = revision();
    const change = {
      policies: new Map([[1, ingress(allow())]]),
      endpoints: [pod(1)],
      ipcache: [exact('10.0.0.1', 257)],
    };
    await datapath.apply(change);
    await datapath.apply(change);
    await datapath.apply({});
    expect(revision()).toBe(before + 1);
  });

  it('replaces a policy and removes the entries of the one before', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, ingress(allow(), allow({ port: 443 }))]]) });
    await datapath.apply({ policies: new Map([[1, ingress(allow({ port: 22 }))]]) });
    expect(datapath.listPolicy(1)).toEqual([allow({ port: 22 })]);
    await datapath.close();
    expect(datapaths.entryCount('policy')).toBe(1);
  });

  it('leaves every policy in force, and no entry behind, when the policy map has no room', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, ingress(allow())]]) });
    const before = revision();
    const many = Array.from({ length: 64 }, (_, index) => allow({ port: 1000 + index }));
    await expect(
      datapath.apply({
        policies: new Map([
          [1, ingress(allow({ port: 443 }))],
          [2, ingress(...many)],
        ]),
      }),
    ).rejects.toThrow('The map "weir_policy_v2" has no room for 64 more entries (it holds at most 64)');
    expect(datapath.listPolicy(1)).toEqual([allow()]);
    expect(datapath.listPolicySlots()).toEqual([1]);
    expect(datapaths.entryCount('policy')).toBe(1);
    expect(revision()).toBe(before);
  });

  it('puts policies and endpoints back when an address has no room', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, ingress(allow())]]), endpoints: [pod(1)] });
    const addresses = Array.from({ length: 20 }, (_, index) => exact(`10.9.0.${index}`, 300));
    await expect(
      datapath.apply({
        policies: new Map([[1, ingress(allow({ port: 443 }))]]),
        policyPatches: new Map([[2, { added: [allow()], removed: [] }]]),
        endpoints: [pod(1, { identity: 999 }), pod(2)],
        ipcache: [range('10.9.0.0', 112, 7), ...addresses],
      }),
    ).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED', details: { map: 'weir_ipcache_v1', entriesMax: 16 } });
    expect(datapath.listPolicy(1)).toEqual([allow()]);
    expect(datapath.listPolicySlots()).toEqual([1]);
    expect(datapath.listEndpoints()).toEqual([pod(1)]);
    expect(await datapath.listIpcache()).toEqual([]);
    expect(datapaths.entryCount('policy')).toBe(1);
  });

  it('refuses one pod too many, and leaves nothing of it behind', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ endpoints: Array.from({ length: 8 }, (_, index) => pod(index + 1)) });
    await expect(datapath.apply({ endpoints: [pod(9)] })).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
    expect(datapath.listEndpoints()).toHaveLength(8);
    expect(datapaths.entryCount('endpoints')).toBe(16);
  });

  it('goes on with the next change after one that failed', async () => {
    const datapath = await datapaths.open();
    const many = Array.from({ length: 65 }, (_, index) => allow({ port: 1000 + index }));
    const failing = datapath.apply({ policies: new Map([[2, ingress(...many)]]) });
    const next = datapath.apply({ policies: new Map([[1, ingress(allow())]]) });
    await expect(failing).rejects.toThrow('no room');
    await next;
    expect(datapath.listPolicySlots()).toEqual([1]);
  });

  it('takes away an endpoint, but not an address that has passed on to another one', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ endpoints: [pod(1)] });
    await datapath.apply({ endpoints: [pod(2, { ipv4: pod(1).ipv4 })] });
    await datapath.apply({ endpointsRemoved: [pod(1)] });
    expect(datapath.listEndpoints().map(({ id }) => id)).toEqual([2]);
    expect(datapaths.entryCount('endpoints')).toBe(2);
  });
});

describeAsRoot('policy slots', () => {
  const wordOf = (slot: number) => {
    using slots = openPinnedMap(join(datapaths.bpfRoot, 'maps', mapSpecs.policySlots.name));
    const bytes = slots.lookup(new Uint8Array(Uint32Array.of(slot).buffer));
    return fromBytes(policyWord, bytes ?? new Uint8Array(8));
  };

  it('are patched in place, and tell programs of a kind of key that they had not', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, ingress(allow())]]) });
    const { version } = wordOf(1);
    const anyPort = allow({ protocol: 0, port: 0 });
    await datapath.apply({ policyPatches: new Map([[1, { added: [anyPort], removed: [allow()] }]]) });
    expect(datapath.listPolicy(1)).toEqual([anyPort]);
    expect(datapaths.entryCount('policy')).toBe(1);
    expect(wordOf(1)).toMatchObject({
      version,
      ingress: policyFlag.enforced | policyKeyKind.port | policyKeyKind.any,
      egress: 0,
    });
  });

  it('take a patch also when they hold no entry yet: a policy that matches nobody so far', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, { ...ingress(), ingressEnforced: false }]]) });
    await datapath.apply({ policyPatches: new Map([[1, { added: [allow()], removed: [] }]]) });
    expect(datapath.listPolicy(1)).toEqual([allow()]);
  });

  it('keep the value that a patch gives a key again, and ignore what is not there to be removed', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, ingress(allow())]]) });
    await datapath.apply({
      policyPatches: new Map([[1, { added: [allow({ cookie: 2 })], removed: [allow(), allow({ port: 1 })] }]]),
    });
    expect(datapath.listPolicy(1)).toEqual([allow({ cookie: 2 })]);
  });

  it('put back a value that a failed patch has overwritten', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, ingress(allow())]]) });
    const many = Array.from({ length: 64 }, (_, index) => allow({ port: 1000 + index }));
    const patch = { added: [allow({ cookie: 9 }), ...many], removed: [] };
    await expect(datapath.apply({ policyPatches: new Map([[1, patch]]) })).rejects.toThrow('no room');
    await datapath.close();
    expect((await datapaths.open()).listPolicy(1)).toEqual([allow()]);
  });

  it('keep their policy for a moment after they are given up, for programs that look at them', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, ingress(allow())]]) });
    const before = wordOf(1);
    await datapath.apply({ policiesRemoved: [1] });
    expect(datapath.listPolicySlots()).toEqual([]);
    expect(wordOf(1)).toEqual(before);
    await datapath.close();
    expect(wordOf(1)).toEqual({ version: 0, ingress: 0, egress: 0 });
    expect(datapaths.entryCount('policy')).toBe(0);
  });

  it('belong to their next owner when that one comes before the moment is over', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, ingress(allow())]]) });
    await datapath.apply({ policiesRemoved: [1] });
    await datapath.apply({ policies: new Map([[1, { ...ingress(), ingressEnforced: false }]]) });
    expect(wordOf(1).ingress & policyFlag.enforced).toBe(0);
    await datapath.apply({ policies: new Map([[1, ingress(allow({ port: 22 }))]]) });
    await datapath.close();
    expect((await datapaths.open()).listPolicy(1)).toEqual([allow({ port: 22 })]);
  });

  it('keep ranges of ports in a trie of their own, and say so only where there are any', async () => {
    const datapath = await datapaths.open();
    const range = allow({ port: 64, portPrefixLength: 10, peerIdentity: clusterPeer });
    await datapath.apply({ policies: new Map([[1, ingress(allow(), range)]]) });
    expect(wordOf(1).ingress).toBe(
      policyFlag.enforced | policyKeyKind.port | (policyKeyKind.range << policyPeerShift.pods),
    );
    expect([datapaths.entryCount('policy'), datapaths.entryCount('policyRanges')]).toEqual([1, 1]);
    expect(datapath.mapUse()).toEqual(
      expect.arrayContaining([
        { map: 'policy', entries: 1, entriesMax: 64 },
        expect.objectContaining({ map: 'policyRanges', entries: 1 }),
      ]),
    );
    await datapath.close();
    const second = await datapaths.open();
    expect(second.listPolicy(1)).toEqual(expect.arrayContaining([allow(), range]));
    await second.apply({ policyPatches: new Map([[1, { added: [], removed: [range] }]]) });
    expect(datapaths.entryCount('policyRanges')).toBe(0);
  });

  it('leave no range behind when there is no room for the ports', async () => {
    const datapath = await datapaths.open();
    const many = Array.from({ length: 65 }, (_, index) => allow({ port: 1000 + index }));
    const range = allow({ port: 64, portPrefixLength: 10 });
    await expect(datapath.apply({ policies: new Map([[1, ingress(range, ...many)]]) })).rejects.toThrow('no room');
    expect([datapaths.entryCount('policy'), datapaths.entryCount('policyRanges')]).toEqual([0, 0]);
  });

  it('say what passes where no entry is about it', async () => {
    const datapath = await datapaths.open();
    await datapath.apply({ policies: new Map([[1, { ...ingress(), ingressDefaultAllow: true }]]) });
    expect(wordOf(1).ingress).toBe(policyFlag.enforced | policyFlag.defaultAllow);
    await datapath.apply({ policies: new Map([[1, ingress()]]) });
    expect(wordOf(1).ingress).toBe(policyFlag.enforced);
  });

  it.each([0, 4096])('refuses slot %i, which does not exist', async (slot) => {
    const datapath = await datapaths.open();
    await expect(datapath.apply({ policies: new Map([[slot, ingress()]]) })).rejects.toThrow(
      `Policy slot ${slot} does not exist; there are 1–4095`,
    );
  });
});

describeAsRoot('rule traffic', () => {
  /** What the programs do. */
  const count = (counter: number, packets: number) => {
    using map = openPinnedMap(join(datapaths.bpfRoot, 'maps', mapSpecs.ruleTraffic.name));
    const values = new Uint8Array(map.info.valueStride);
    new DataView(values.buffer).setBigUint64(0, BigInt(packets), true);
    map.update(new Uint8Array(Uint32Array.of(counter).buffer), values);
  };
  const counterOf = (cookie: number): number => {
    using policy = openPinnedMap(join(datapaths.bpfRoot, 'maps', mapSpecs.policy.name));
    const { values, count: entries } = policy.entries();
    const view = new DataView(values.buffer, values.byteOffset);
    const all = Array.from({ length: entries }, (_, index) =>
      mapSpecs.policy.value.decode(view, index * mapSpecs.policy.valueSize),
    );
    return all.find((entry) => entry.cookie === cookie)?.counter ?? 0;
  };

  it('is counted for all entries of a cookie together, over restarts, and not for cookie 0', async () => {
    const datapath = await datapaths.open();
    const entries = [allow({ cookie: 5 }), allow({ cookie: 5, port: 81 }), allow({ cookie: 0, port: 82 })];
    await datapath.apply({ policies: new Map([[1, ingress(...entries)]]) });
    expect(counterOf(0)).toBe(0);
    count(counterOf(5), 3);
    expect(datapath.listRuleTraffic()).toEqual([{ cookie: 5, packets: 3, bytes: 0 }]);
    await datapath.close();
    const second = await datapaths.open();
    expect(second.listRuleTraffic()).toEqual([{ cookie: 5, packets: 3, bytes: 0 }]);
  });

  it('begins at 0 for another cookie that gets the counter, and is not counted when none is left', async () => {
    const datapath = await datapaths.open({ limits: { policy: 64, ruleTraffic: 2 } });
    await datapath.apply({ policies: new Map([[1, ingress(allow({ cookie: 5 }), allow({ cookie: 6, port: 81 }))]]) });
    expect([counterOf(5), counterOf(6)].toSorted()).toEqual([0, 1]);
    count(1, 3);
    await datapath.close();
    const second = await datapaths.open();
    await second.apply({ policies: new Map([[1, ingress(allow({ cookie: 8 }))]]) });
    await second.close();
    const third = await datapaths.open();
    await third.apply({ policies: new Map([[1, ingress(allow({ cookie: 9 }))]]) });
    expect(counterOf(9)).toBe(1);
    expect(third.listRuleTraffic()).toEqual([{ cookie: 9, packets: 0, bytes: 0 }]);
  });
});

describeAsRoot('maps of a layout before', () => {
  const formerName = 'weir_ct_v1';

  it('hand over their flows, also those that begin while programs are replaced, and go in the end', async () => {
    const formerSize = 96;
    await (await datapaths.open()).close();
    using former = createMap({
      ...{ type: 'hash', keySize: mapSpecs.ct.keySize, valueSize: formerSize, maxEntries: 16, name: formerName },
    });
    former.pin(join(datapaths.bpfRoot, 'maps', formerName));
    const flow = (port: number) => {
      const key = new Uint8Array(mapSpecs.ct.keySize);
      new DataView(key.buffer).setUint16(mapSpecs.ct.key.offsets.lowPort, port, false);
      const entry = { ...mapSpecs.ct.value.decode(new DataView(new ArrayBuffer(mapSpecs.ct.valueSize)), 0) };
      const expires = (nowTicks() + 100_000) >>> 0;
      const value = toBytes(mapSpecs.ct.value, { ...entry, expires, egressCookie: port });
      former.update(key, value.subarray(0, formerSize));
    };
    flow(1);
    const datapath = await datapaths.open();
    flow(2);
    datapath.retainEndpoints(new Set());
    const found = [];
    for await (const slice of datapath.listConnections()) found.push(...slice.map(({ entry }) => entry.egressCookie));
    expect(found.toSorted()).toEqual([1, 2]);
    expect(readdirSync(join(datapaths.bpfRoot, 'maps'))).not.toContain(formerName);
  });
});

describeAsRoot('attachments', () => {
  const devices = useTestDevices(3);
  const links = () => readdirSync(join(datapaths.bpfRoot, 'links')).sort();
  const open = (options = {}) => datapaths.open({ settleDelayMs: 0, ...options });
  const later = { settleDelayMs: 3_600_000 };
  const hasTcx = hasFeature('tcx');
  /** Waits until every endpoint has its link. */
  const settled = async (): Promise<void> => {
    while (links().some((name) => name.endsWith('-filter'))) await sleep(5);
  };
  const onDevice = (index: number) => ({ id: 1, ifindex: devices.ifindex(index) });
  const filters = (index: number): string =>
    execFileSync('tc', ['filter', 'show', 'dev', devices.name(index), 'ingress'], { encoding: 'utf8' });

  (hasTcx ? it : it.skip)('of endpoints are filters at first, which a link replaces', async () => {
    const datapath = await datapaths.open(later);
    datapath.attachEndpoint(onDevice(0));
    expect(links()).toEqual(['endpoint-1-filter']);
    const filter = datapaths.link('endpoint-1-filter');
    expect(filters(0)).toContain('weir_from_pod');
    await datapath.close();
    const next = await open();
    next.attachEndpoint(onDevice(0));
    next.retainEndpoints(new Set([1]));
    await settled();
    expect(links()).toEqual(['endpoint-1']);
    expect(datapaths.link('endpoint-1')).toMatchObject({ type: 'tcx', programId: filter.programId });
    expect(filters(0)).not.toContain('weir_from_pod');
  });

  (hasTcx ? it : it.skip)('of endpoints never lack both, whenever the agent dies', async () => {
    const dying = await datapaths.open(later);
    dying.attachEndpoint(onDevice(0));
    await dying.close();
    renameSync(join(datapaths.bpfRoot, 'links', 'endpoint-1-filter'), join(datapaths.bpfRoot, 'links', 'kept'));
    const linking = await open();
    linking.attachEndpoint(onDevice(0));
    await settled();
    renameSync(join(datapaths.bpfRoot, 'links', 'kept'), join(datapaths.bpfRoot, 'links', 'endpoint-1-filter'));
    const next = await open();
    next.attachEndpoint(onDevice(0));
    expect(links()).toEqual(['endpoint-1', 'endpoint-1-filter']);
    next.retainEndpoints(new Set([1]));
    expect(links()).toEqual(['endpoint-1']);
  });

  (hasTcx ? it : it.skip)('of endpoints that nobody attaches again stay as they are', async () => {
    const dying = await datapaths.open(later);
    dying.attachEndpoint(onDevice(0));
    await dying.close();
    const next = await open();
    next.retainEndpoints(new Set([1]));
    expect(links()).toEqual(['endpoint-1-filter']);
    expect(filters(0)).toContain('weir_from_pod');
  });

  it('stay as they are when an instance after them attaches again', async () => {
    const first = await open();
    first.attachEndpoint(onDevice(0));
    await settled();
    const before = datapaths.link('endpoint-1');
    await first.close();
    const second = await open();
    second.attachEndpoint(onDevice(0));
    expect(datapaths.link('endpoint-1')).toEqual(before);
  });

  it('get programs of another configuration by an update of the same link', async () => {
    const first = await open();
    first.attachEndpoint(onDevice(0));
    await settled();
    const before = datapaths.link('endpoint-1');
    const second = await open({ config: { datagramTicks: 1 } });
    expect(second.loaded.adopted).toBe(false);
    second.attachEndpoint(onDevice(0));
    const after = datapaths.link('endpoint-1');
    expect(after.id).toBe(before.id);
    expect(after.programId).not.toBe(before.programId);
    second.retainEndpoints(new Set([1]));
    expect(readdirSync(join(datapaths.bpfRoot, 'programs'))).toEqual([second.loaded.build]);
  });

  it('move when the endpoint has another device', async () => {
    const datapath = await open();
    datapath.attachEndpoint(onDevice(0));
    datapath.attachEndpoint(onDevice(1));
    await settled();
    expect(datapaths.link('endpoint-1')).toMatchObject({ ifindex: devices.ifindex(1) });
    expect(links()).toEqual(['endpoint-1']);
  });

  it('are taken off a device that is gone, and off what was never attached, without an error', async () => {
    const datapath = await open();
    datapath.attachEndpoint(onDevice(0));
    await settled();
    datapath.attachEndpoint({ id: 2, ifindex: devices.ifindex(0) });
    devices.remove(0);
    datapath.detachEndpoint({ id: 2 });
    datapath.detachEndpoint({ id: 1 });
    datapath.detachEndpoint({ id: 7 });
    expect(links()).toEqual([]);
  });

  it('of the node go to the uplinks that are named, and off those that are not any more', async () => {
    const datapath = await open();
    const uplink = (index: number) => ({ name: `up${index}`, ifindex: devices.ifindex(index) });
    datapath.attachEndpoint(onDevice(0));
    await settled();
    datapath.attachNode({ hostIfindex: devices.ifindex(1), uplinks: [uplink(2)] });
    expect(links()).toEqual(['endpoint-1', 'node-host', 'node-outwards-up2', 'node-uplink-up2']);
    const [outwards, inwards] = ['outwards', 'uplink'].map((way) => datapaths.link(`node-${way}-up2`));
    expect(outwards?.programId).not.toBe(inwards?.programId);
    datapath.attachNode({ hostIfindex: devices.ifindex(1), uplinks: [] });
    expect(links()).toEqual(['endpoint-1', 'node-host']);
    datapath.retainEndpoints(new Set());
    expect(links()).toEqual(['node-host']);
  });

  it('fail with NOT_FOUND on a device that does not exist', async () => {
    const datapath = await datapaths.open();
    expect(() => datapath.attachEndpoint({ id: 1, ifindex: 999_999 })).toThrow(
      expect.objectContaining({ code: 'NOT_FOUND' }),
    );
    expect(links()).toEqual([]);
  });
});
