// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  decodeSkbContext,
  encodeSkbContext,
  hasHelper,
  loadObject,
  openObject,
  type BpfMap,
  type BpfObject,
} from '@weir/bpf-loader-node';
import {
  configConstants,
  ctEntry,
  endpoint,
  endpointFlag,
  eventBudget,
  hostPolicyBits,
  ipcacheEntry,
  ipPrefix,
  mapSpecs,
  runtimeState,
  toBytes,
  trafficCounter,
  type CtEntry,
  type CtKey,
  type DatapathConfig,
} from '@weir/datapath-layout';
import { parseIpAddress } from '@weir/model';
import { macBytes } from '../packet/layers.ts';
import type { PacketBuilder } from '../packet/packet-builder.ts';
import { createEventLog, type LoggedEvent } from './event-log.ts';
import { flowStateOf, type FlowState } from './flow-state.ts';
import { createMetrics, type Count } from './metrics.ts';
import { outcomeOf, type Outcome } from './outcome.ts';
import { createPolicyWriter, type PolicyRules } from './policy-writer.ts';
import { client, host, hostIfindex, office, officeRanges, pods, remotePod, uplinkIfindex } from './scene.ts';
import type { Party, Pod } from './scene.ts';

/** Marks that the proxy sets on its sockets, see bpf/lib/packet.h. */
export const marks = { clientLeg: 0xa00, serverLeg: 0xb00 } as const;

export interface PacketNodeOptions {
  readonly config?: Partial<DatapathConfig>;
  /** Entries, by map; bytes for the ring. */
  readonly sizes?: Partial<Record<keyof typeof mapSpecs, number>>;
  /** Nobody reads the ring: events stay in it. */
  readonly keepEvents?: boolean;
}

/** How a packet gets to the programs. */
export interface SendOptions {
  /** Of the socket that sent it, where that is on the host. */
  readonly mark?: number;
  /** It leaves by the uplink; what has come in by another interface before, `forwarded`. */
  readonly outwards?: 'own' | 'forwarded';
}

/**
 * A node made of the real programs with maps of their own and interfaces in a network namespace of their own: packets go
 * through `BPF_PROG_TEST_RUN`. Every run is checked for what no program may do, see `outcomeOf`.
 */
export interface PacketNode {
  /** Path of the network namespace that the programs run in. */
  readonly netns: string;
  /** Whether the kernel lets a test run say by which interface a packet came in, which 5.10 does not. */
  readonly takesForwarded: boolean;
  readonly object: BpfObject;
  /** Sends a packet by the hook at which what the party sends arrives. */
  send(from: Party, frame: PacketBuilder | Uint8Array, options?: SendOptions): Outcome;
  /** Replaces the policy of a pod and bumps the revision. */
  setPolicy(pod: Pod, rules: PolicyRules): void;
  /** Replaces the policy of the host and bumps the revision; undefined: it enforces nothing. */
  setHostPolicy(rules: PolicyRules | undefined, options?: { readonly isAudited?: boolean }): void;
  setIdentity(address: { readonly address: string; readonly length: number }, identity: number): void;
  addPod(pod: Pod): void;
  /** Says that a party is a pod of another node, which has the number, and what address packets for it are sent to. */
  setRemote(party: Party, node: { readonly number: number; readonly address: string }): void;
  removePod(pod: Pod): void;
  /** Says that something has changed, as the last step of every change does. */
  bump(): void;
  setRevision(revision: number): void;
  setProxyPort(port: number): void;
  flows(): readonly FlowState[];
  forgetFlows(): void;
  fragmentCount(): number;
  /** Lets time pass for all flows: they are that much nearer to their end. */
  pass(milliseconds: number): void;
  metrics(): readonly Count[];
  /** What the rules with a counter decided on. */
  ruleTraffic(counter: number): { readonly packets: number; readonly bytes: number };
  events(): Promise<readonly LoggedEvent[]>;
  eventLoss(): { readonly rateLimited: number; readonly ringFull: number };
  /** Back to the scene as it was: nothing remembered, no policy, every party known. */
  reset(): void;
  close(): void;
}

const objectPath =
  process.env['WEIR_BPF_OBJECT'] ?? fileURLToPath(new URL('../../../../../dist/bpf/weir.bpf.o', import.meta.url));

const countersOfTests = 9;
const hostPolicySlot = 99;
const smallMaps = {
  ct: 4096,
  ruleTraffic: 16,
  fragments: 256,
  interfaces: 64,
  endpoints: 64,
  lbAffinity: 64,
  lbSockets: 64,
  lbFlows: 4096,
};

/** Time as the programs tell it. */
export function nowTicks(): number {
  return Number(BigInt.asUintN(32, process.hrtime.bigint() >> 20n));
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function load({ config = {}, sizes = {} }: PacketNodeOptions): BpfObject {
  const coarse = hasHelper({ programType: 'sched_cls', helper: 'bpf_ktime_get_coarse_ns' });
  const entries = Object.entries({ ...smallMaps, ...sizes }) as [keyof typeof mapSpecs, number][];
  return loadObject(openObject({ path: objectPath }), {
    variables: Object.fromEntries(configConstants({ coarseClock: coarse ? 1 : 0, ...config })),
    maps: Object.fromEntries(entries.map(([subject, maxEntries]) => [mapSpecs[subject].name, { maxEntries }])),
  });
}

let namespaces = 0;

function createNamespace(): { readonly path: string; remove(): void } {
  const name = `weirpacket${process.pid}-${namespaces++}`;
  const devices = [...pods.map(({ ifindex }) => ifindex), hostIfindex, uplinkIfindex];
  execFileSync('ip', ['netns', 'add', name]);
  const remove = (): void => void execFileSync('ip', ['netns', 'del', name]);
  try {
    const commands = devices.map((index) => `link add v${index} index ${index} type veth peer name p${index}\n`);
    execFileSync('ip', ['-n', name, '-batch', '-'], { input: `link set lo up\n${commands.join('')}` });
  } catch (error) {
    remove();
    throw error;
  }
  return { path: `/run/netns/${name}`, remove };
}

function clear(map: BpfMap): void {
  const { keys, count } = map.entries();
  if (count > 0) map.deleteMany(keys.subarray(0, count * map.info.keySize));
}

const programs = {
  pod: 'weir_from_pod',
  host: 'weir_from_host',
  network: 'weir_from_network',
  outwards: 'weir_to_network',
} as const;

/** Loads the programs; the caller closes the node. Needs root and a kernel. */
export function createPacketNode(options: PacketNodeOptions = {}): PacketNode {
  const object = load(options);
  const namespace = createNamespace();
  const map = (subject: keyof typeof mapSpecs): BpfMap => object.map(mapSpecs[subject].name);
  const policies = createPolicyWriter({
    slots: map('policySlots'),
    exact: map('policy'),
    ranges: map('policyRanges'),
  });
  const metrics = createMetrics(map('metrics'));
  const log = options.keepEvents ? undefined : createEventLog(map('events'));
  let runtime = { revision: 1, proxyPort: 0, hostPolicy: 0 };

  const setRuntime = (change: Partial<typeof runtime>): void => {
    runtime = { ...runtime, ...change };
    map('runtime').update(u32(0), toBytes(runtimeState, runtime));
  };
  const bump = (): void => setRuntime({ revision: (runtime.revision + 1) >>> 0 });

  const connections = (): { key: CtKey; entry: CtEntry }[] => {
    const { keys, values, count } = map('ct').entries();
    return Array.from({ length: count }, (_, index) => ({
      key: mapSpecs.ct.key.decode(viewOf(keys), index * mapSpecs.ct.keySize),
      entry: ctEntry.decode(viewOf(values), index * ctEntry.size),
    }));
  };

  const setIdentity: PacketNode['setIdentity'] = ({ address, length }, identity) => {
    const bytes = parseIpAddress(address);
    if (length === 128) map('ipcache').update(bytes, toBytes(ipcacheEntry, { identity }));
    else
      map('prefixes').update(
        toBytes(ipPrefix, { prefixLength: length, address: bytes }),
        toBytes(ipcacheEntry, { identity }),
      );
  };

  const addPod = (pod: Pod): void => {
    const [ipv4, ipv6] = [parseIpAddress(pod.ipv4), parseIpAddress(pod.ipv6)];
    const flags = (pod.isAudited === true ? endpointFlag.audited : 0) | ((pod.detail ?? 0) << endpointFlag.detailShift);
    const value = toBytes(endpoint, { ...pod, ipv4, ipv6, mac: macBytes(pod.mac), flags });
    for (const address of [ipv4, ipv6]) map('endpoints').update(address, value);
    map('interfaces').update(u32(pod.ifindex), value);
  };

  const addParty = (party: Party): void => {
    if (party.place === 'pod') addPod(party as Pod);
    for (const address of [party.ipv4, party.ipv6]) setIdentity({ address, length: 128 }, party.identity);
  };

  const setScene = (): void => {
    [...pods, host, remotePod].forEach(addParty);
    for (const range of officeRanges) setIdentity(range, office.identity);
  };

  const send: PacketNode['send'] = (from, frame, { mark = 0, outwards } = {}) => {
    const sent = frame instanceof Uint8Array ? frame : frame.bytes();
    const hook = outwards === undefined ? from.place : 'outwards';
    const ifindex = hook === 'pod' ? (from as Pod).ifindex : hook === 'host' ? hostIfindex : uplinkIfindex;
    const ingressIfindex = outwards === 'forwarded' ? client.ifindex : 0;
    const result = object.program(programs[hook]).testRun({
      data: sent,
      context: encodeSkbContext({ ifindex, ingressIfindex, mark }),
      netns: namespace.path,
    });
    const after = decodeSkbContext(result.context).mark;
    return outcomeOf({ sent, result, marks: [mark, after], counted: metrics.added() });
  };

  const takesForwarded = (): boolean => {
    try {
      const context = encodeSkbContext({ ifindex: uplinkIfindex, ingressIfindex: client.ifindex });
      object.program(programs.outwards).testRun({ data: new Uint8Array(64), context, netns: namespace.path });
      return true;
    } catch {
      return false;
    }
  };

  const node: PacketNode = {
    netns: namespace.path,
    takesForwarded: takesForwarded(),
    object,
    send,
    setPolicy(pod, rules) {
      policies.write(pod.policySlot, rules);
      bump();
    },
    setHostPolicy(rules, { isAudited = false } = {}) {
      if (rules !== undefined) policies.write(hostPolicySlot, rules);
      setRuntime({ hostPolicy: rules === undefined ? 0 : hostPolicySlot | (isAudited ? hostPolicyBits.audited : 0) });
      bump();
    },
    setIdentity,
    addPod,
    setRemote(party, { number, address }) {
      map('nodes').update(u32(number), parseIpAddress(address));
      map('nodeAddresses').update(parseIpAddress(address), u32(number));
      for (const range of [party.ipv4, party.ipv6]) {
        map('podRanges').update(toBytes(ipPrefix, { prefixLength: 120, address: parseIpAddress(range) }), u32(number));
      }
    },
    removePod(pod) {
      for (const address of [pod.ipv4, pod.ipv6]) map('endpoints').delete(parseIpAddress(address));
      map('interfaces').delete(u32(pod.ifindex));
    },
    bump,
    setRevision: (revision) => setRuntime({ revision }),
    setProxyPort: (proxyPort) => setRuntime({ proxyPort }),
    flows: () => connections().map((each) => flowStateOf(each, nowTicks())),
    forgetFlows: () => clear(map('ct')),
    fragmentCount: () => map('fragments').entries().count,
    pass(milliseconds) {
      const ticks = Math.round((milliseconds * 1e6) / 2 ** 20);
      for (const { key, entry } of connections()) {
        const [expires, reported] = [(entry.expires - ticks) >>> 0, (entry.reported - ticks) >>> 0];
        map('ct').update(toBytes(mapSpecs.ct.key, key), toBytes(ctEntry, { ...entry, expires, reported }));
      }
    },
    metrics: metrics.all,
    ruleTraffic(counter) {
      const perCpu = map('ruleTraffic').lookup(u32(counter)) ?? new Uint8Array();
      const sum = { packets: 0, bytes: 0 };
      for (let offset = 0; offset < perCpu.byteLength; offset += trafficCounter.size) {
        sum.packets += trafficCounter.readPacketsNumber(viewOf(perCpu), offset);
        sum.bytes += trafficCounter.readBytesNumber(viewOf(perCpu), offset);
      }
      return sum;
    },
    events: async () => (await log?.read()) ?? [],
    eventLoss() {
      const perCpu = viewOf(map('eventBudget').lookup(u32(0)) ?? new Uint8Array());
      const loss = { rateLimited: 0, ringFull: 0 };
      for (let offset = 0; offset < perCpu.byteLength; offset += eventBudget.size) {
        loss.rateLimited += eventBudget.readLostRateLimitedNumber(perCpu, offset);
        loss.ringFull += eventBudget.readLostRingFullNumber(perCpu, offset);
      }
      return loss;
    },
    reset() {
      for (const subject of [
        'ct',
        'fragments',
        'policy',
        'policyRanges',
        'ipcache',
        'prefixes',
        'endpoints',
        'interfaces',
      ] as const) {
        clear(map(subject));
      }
      for (const pod of pods) map('policySlots').update(u32(pod.policySlot), new Uint8Array(8));
      metrics.clear();
      for (let counter = 1; counter <= countersOfTests; counter++) {
        map('ruleTraffic').update(u32(counter), new Uint8Array(map('ruleTraffic').info.valueStride));
      }
      map('eventBudget').update(u32(0), new Uint8Array(map('eventBudget').info.valueStride));
      setRuntime({ revision: 1, proxyPort: 0, hostPolicy: 0 });
      setScene();
      log?.clear();
    },
    close() {
      log?.close();
      object.close();
      namespace.remove();
    },
  };
  node.reset();
  return node;
}
