// SPDX-License-Identifier: Apache-2.0
import { dirname, join } from 'node:path';
import { mapSpecs, runtimeState, type DatapathConfig } from '@weir/datapath-layout';
import type { Datapath, DatapathChange } from '@weir/datapath-maps';
import { type Attachment, type Attachments, createAttachments } from './attachments.ts';
import { readEventLoss, readTraffic } from './counters.ts';
import { createEndpointTables, type EndpointTables } from './endpoint-tables.ts';
import { readEvents } from './event-reader.ts';
import { createExpiringTable } from './expiring-entries.ts';
import { createIpcacheTables, type IpcacheTables } from './ipcache-tables.ts';
import { createFormerMaps } from './former-maps.ts';
import { createMasqueradeTables } from './masquerade-tables.ts';
import { createNodeTables, type NodeTables } from './node-tables.ts';
import { createPins } from './pins.ts';
import { createHostPolicyWord, type HostPolicyWord } from './policy/host-policy-word.ts';
import { createPolicyTables, type PolicyCleanup, type PolicyTables } from './policy/policy-tables.ts';
import { type LoadedDatapath, loadDatapath, type MapLimits } from './programs.ts';
import { createServiceTables } from './service-tables.ts';
import { createSocketPrograms } from './socket-programs.ts';
import { type Undo, undoAlso } from './undo.ts';

/** How the datapath of a node is opened. */
export interface KernelDatapathOptions {
  /** Below a BPF file system; everything of this node is pinned here. */
  readonly bpfRoot: string;
  /** The compiled `weir.bpf.o`; `weir_sock.bpf.o` is beside it. */
  readonly objectPath: string;
  readonly config?: Partial<DatapathConfig>;
  readonly limits?: MapLimits;
  /** How long after it was attached the program of an endpoint becomes a tcx link. Default: 2000. */
  readonly settleDelayMs?: number;
}

/** The datapath in the kernel, and how it came to be. */
export interface KernelDatapath extends Datapath {
  readonly loaded: Pick<LoadedDatapath, 'adopted' | 'build' | 'keptSizes'>;
}

// A program that read a policy word before it changed has long finished by then: programs run for microseconds.
const cleanupDelayMs = 100;

const endpointLink = (id: number): string => `endpoint-${id}`;

/** The revision, which programs read for every packet. */
function createRevision({ maps }: LoadedDatapath): { bump(): void; close(): void } {
  const memory = maps.runtime.mmap();
  const words = new Uint32Array(memory.buffer);
  return {
    bump: () => void Atomics.add(words, runtimeState.offsets.revision / 4, 1),
    close: () => memory.close(),
  };
}

/** Runs tasks one after the other; a failed one does not stop the next. */
function createQueue(): (task: () => void) => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const run = last.then(task);
    last = run.catch(() => undefined);
    return run;
  };
}

/** Deletes old policy entries a little later, all at once. */
function createCleaner(clean: (cleanup: PolicyCleanup) => void): {
  later(cleanup: PolicyCleanup | undefined): void;
  finish(): void;
} {
  let pending: PolicyCleanup[] = [];
  let timer: NodeJS.Timeout | undefined;
  const finish = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const due = pending;
    pending = [];
    for (const cleanup of due) clean(cleanup);
  };
  return {
    later(cleanup) {
      if (cleanup === undefined || cleanup.entries.length + cleanup.emptied.length === 0) return;
      pending.push(cleanup);
      timer ??= setTimeout(finish, cleanupDelayMs);
    },
    finish,
  };
}

const openPolicyTables = ({ maps }: LoadedDatapath): PolicyTables =>
  createPolicyTables({
    slots: maps.policySlots,
    exact: maps.policy,
    ranges: maps.policyRanges,
    traffic: maps.ruleTraffic,
  });

interface ApplyOptions {
  readonly policies: PolicyTables;
  readonly endpoints: EndpointTables;
  readonly ipcache: IpcacheTables;
  readonly nodes: NodeTables;
  readonly host: HostPolicyWord;
  readonly revision: { bump(): void };
  readonly later: (cleanup: PolicyCleanup | undefined) => void;
}

/** See `Datapath.apply`. */
function createApply({
  policies,
  endpoints,
  ipcache,
  nodes,
  host,
  revision,
  later,
}: ApplyOptions): (change: DatapathChange) => void {
  /*
   * What grants comes after what it refers to, and what refers goes before what it referred to: policies that know an
   * identity before addresses that have it, policies before endpoints that use them; and addresses go before policies
   * forget their identity. Whatever needs room comes before whatever takes away, so that all of it can be put back. The
   * revision comes last.
   */
  return (change) => {
    const staged = policies.stage({
      policies: change.policies ?? new Map(),
      patches: change.policyPatches ?? new Map(),
    });
    staged.activate();
    let hasChanged = !staged.isEmpty;
    const noted = (undo: Undo | undefined): Undo => {
      hasChanged ||= undo !== undefined;
      return undo ?? (() => undefined);
    };
    try {
      const undo = undoAlso(staged.revert, () => noted(endpoints.upsert(change.endpoints ?? [])));
      undoAlso(undo, () => noted(ipcache.upsert(change.ipcache ?? [])));
    } catch (error) {
      // Flows that were judged in between are judged again.
      revision.bump();
      throw error;
    }
    hasChanged = host.settle(change.host, policies.isEnforced) || hasChanged;
    if (change.nodes !== undefined) hasChanged = nodes.set(change.nodes) || hasChanged;
    hasChanged = endpoints.remove(change.endpointsRemoved ?? []) || hasChanged;
    hasChanged = ipcache.remove(change.ipcacheRemoved ?? []) || hasChanged;
    const cleanup = staged.finish();
    const removed = policies.remove(change.policiesRemoved ?? []);
    if (hasChanged || removed !== undefined) revision.bump();
    later(cleanup);
    later(removed);
  };
}

/** See `Datapath.attachNode`. */
const createAttachNode =
  (attachments: Attachments): Datapath['attachNode'] =>
  ({ hostIfindex, uplinks, overlayIfindex }) => {
    const wanted: Attachment[] = [
      { name: 'node-host', hook: 'host', ifindex: hostIfindex },
      ...(overlayIfindex === undefined
        ? []
        : [{ name: 'node-overlay', hook: 'overlay', ifindex: overlayIfindex } as const]),
      ...uplinks.flatMap(({ name, ifindex }) => [
        { name: `node-uplink-${name}`, hook: 'network', ifindex } as const,
        { name: `node-outwards-${name}`, hook: 'outwards', ifindex } as const,
      ]),
    ];
    wanted.forEach(attachments.attach);
    attachments.retain('node-', new Set(wanted.map(({ name }) => name)));
  };

/**
 * Opens the datapath of a node: takes over what an agent before left in the kernel, or loads it anew. Rejects with
 * CORRUPT_STATE when a pinned map has another layout, and with the verifier's words when the kernel refuses a program; what
 * runs keeps running.
 */
export async function openKernelDatapath(options: KernelDatapathOptions): Promise<KernelDatapath> {
  const pins = createPins(options.bpfRoot);
  const loaded = await loadDatapath({
    objectPath: options.objectPath,
    config: options.config ?? {},
    limits: options.limits ?? {},
    pins,
  });
  const { maps, programs } = loaded;
  const former = createFormerMaps(pins, maps.ct);
  former.takeOver();
  const attachments = createAttachments({ pins, programs, settleDelayMs: options.settleDelayMs });
  const policies = openPolicyTables(loaded);
  const endpoints = createEndpointTables({ interfaces: maps.interfaces, addresses: maps.endpoints });
  const ipcache = createIpcacheTables({ addresses: maps.ipcache, prefixes: maps.prefixes });
  const revision = createRevision(loaded);
  const services = createServiceTables(maps, revision.bump);
  const sockets = createSocketPrograms({
    objectPath: join(dirname(options.objectPath), 'weir_sock.bpf.o'),
    config: options.config ?? {},
    pins,
    maps: new Map(Object.entries(mapSpecs).map(([subject, { name }]) => [name, maps[subject as keyof typeof maps]])),
  });
  const nodes = createNodeTables({ nodes: maps.nodes, addresses: maps.nodeAddresses, ranges: maps.podRanges });
  const host = createHostPolicyWord(maps.runtime);
  const masquerade = createMasqueradeTables(maps);
  const connections = createExpiringTable(maps.ct, { name: 'ct', spec: mapSpecs.ct });
  const cleaner = createCleaner(policies.clean);
  const enqueue = createQueue();

  const applyNow = createApply({ policies, endpoints, ipcache, nodes, host, revision, later: cleaner.later });

  const { adopted, build, keptSizes } = loaded;
  return {
    loaded: { adopted, build, keptSizes },
    services: { ...services, attachSockets: sockets.attach },
    masquerade,
    apply: (change) => enqueue(() => applyNow(change)),
    attachNode: createAttachNode(attachments),
    attachEndpoint: ({ id, ifindex }) => attachments.attachQuickly({ name: endpointLink(id), hook: 'pod', ifindex }),
    detachEndpoint: ({ id }) => attachments.detach(endpointLink(id)),
    retainEndpoints(ids) {
      attachments.retain('endpoint-', new Set([...ids].map(endpointLink)));
      for (const each of pins.builds()) if (each !== build && each !== sockets.build) pins.removeBuild(each);
      former.takeOver();
      former.forget();
    },
    listEndpoints: endpoints.list,
    listPolicySlots: policies.slots,
    listPolicy: policies.list,
    hostPolicySlot: host.slot,
    listNodes: nodes.list,
    listIpcache: ipcache.list,
    listConnections: connections.list,
    listTraffic: () => readTraffic(maps.metrics),
    listRuleTraffic: policies.traffic,
    mapUse: () => [...policies.use(), ...ipcache.use(), connections.use(), masquerade.use()],
    eventLoss: () => readEventLoss(maps.eventBudget),
    sweepConnections: connections.sweep,
    readEvents: (onBatch) => readEvents(maps.events, onBatch),
    async close() {
      await enqueue(cleaner.finish);
      await attachments.close();
      revision.close();
      host.close();
      policies.close();
      services.close();
      sockets.close();
      for (const each of [...Object.values(maps), ...Object.values(programs)]) each.close();
    },
  };
}

/** How many policies a node can have: one for each different identity of its pods. Slot 0 stands for none. */
export const policySlotsMax = mapSpecs.policySlots.maxEntries - 1;
