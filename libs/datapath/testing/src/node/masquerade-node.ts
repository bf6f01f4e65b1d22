// SPDX-License-Identifier: Apache-2.0
import { decodeSkbContext, encodeSkbContext, type BpfMap } from '@weir/bpf-loader-node';
import {
  dropReasonNames,
  directionNames,
  ipPrefix,
  mapSpecs,
  natCounters,
  natEntry,
  toBytes,
  uplink,
  type NatCounters,
  type NatEntry,
  type NatKey,
} from '@weir/datapath-layout';
import { assert } from '@weir/errors';
import { parseIpAddress } from '@weir/model';
import type { PacketBuilder } from '../packet/packet-builder.ts';
import { parsePacket, type ParsedPacket } from '../packet/parse-packet.ts';
import { partyName } from './flow-state.ts';
import { markMasquerade } from './outcome.ts';
import { nowTicks, type PacketNode } from './packet-node.ts';
import { host, uplinkIfindex } from './scene.ts';

/** A flow that has a port of the node. */
export interface Mapping {
  readonly pod: string;
  readonly podPort: number;
  readonly nodePort: number;
  readonly remote: string;
  readonly remotePort: number;
  readonly protocol: number;
  readonly leftSeconds: number;
}

/** What came out where packets leave. */
export interface Departure {
  /** `masqueraded`, `untouched`, or `dropped: natNoMapping egress`. */
  readonly verdict: string;
  readonly packet: ParsedPacket;
  readonly bytes: Uint8Array;
}

/** The side of a packet node that gives pods the node's address. */
export interface MasqueradeNode {
  /** Sends a packet out of the uplink, as the stack does with what was `to outside`. */
  leave(frame: PacketBuilder | Uint8Array, options?: { readonly mark?: number; readonly ifindex?: number }): Departure;
  mappings(): readonly Mapping[];
  counters(): NatCounters;
  /** Lets time pass for all mappings. */
  pass(milliseconds: number): void;
  exclude(range: { readonly address: string; readonly length: number }): void;
  setUplink(addresses: { readonly ipv4: string; readonly ipv6: string }): void;
  /** Nothing remembered; the uplink has the addresses of the host. */
  reset(): void;
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function clear(map: BpfMap): void {
  const { keys, count } = map.entries();
  if (count > 0) map.deleteMany(keys.subarray(0, count * map.info.keySize));
}

/** Of a node that was made with ports to masquerade with. */
export function masqueradeOf(node: PacketNode): MasqueradeNode {
  const map = (subject: keyof typeof mapSpecs): BpfMap => node.object.map(mapSpecs[subject].name);
  const rows = (): { key: NatKey; entry: NatEntry }[] => {
    const { keys, values, count } = map('nat').entries();
    return Array.from({ length: count }, (_, index) => ({
      key: mapSpecs.nat.key.decode(viewOf(keys), index * mapSpecs.nat.keySize),
      entry: natEntry.decode(viewOf(values), index * natEntry.size),
    }));
  };
  const setUplink: MasqueradeNode['setUplink'] = ({ ipv4, ipv6 }) => {
    const addresses = { ipv4: parseIpAddress(ipv4), ipv6: parseIpAddress(ipv6) };
    map('uplinks').update(u32(uplinkIfindex), toBytes(uplink, addresses));
  };
  return {
    leave(frame, { mark = markMasquerade, ifindex = uplinkIfindex } = {}) {
      const sent = frame instanceof Uint8Array ? frame : frame.bytes();
      const before = node.metrics();
      const { retval, data, context } = node.object.program('weir_to_network').testRun({
        data: sent,
        context: encodeSkbContext({ ifindex, mark }),
        netns: node.netns,
      });
      const packet = parsePacket(data);
      const isSame = Buffer.compare(sent, data) === 0;
      const after = decodeSkbContext(context).mark;
      if (retval === 0) {
        assert(after === (isSame ? mark : 0), `a mark goes with the address it is about, found ${after.toString(16)}`);
        return { verdict: isSame ? 'untouched' : 'masqueraded', packet, bytes: data };
      }
      assert(isSame, 'a packet that is dropped does not change');
      const dropped = node
        .metrics()
        .find(({ reason, direction, packets }) =>
          before.every((each) => each.reason !== reason || each.direction !== direction || each.packets < packets),
        );
      const verdict = `dropped: ${dropReasonNames[dropped?.reason ?? 0]} ${directionNames[dropped?.direction ?? 0]}`;
      return { verdict, packet, bytes: data };
    },
    mappings: () =>
      rows().map(({ key, entry }) => ({
        pod: partyName(entry.address),
        podPort: entry.port,
        nodePort: key.localPort,
        remote: partyName(key.remote),
        remotePort: key.remotePort,
        protocol: key.protocol,
        leftSeconds: (((entry.expires - nowTicks()) | 0) * 2 ** 20) / 1e9,
      })),
    counters() {
      const perCpu = map('natCounters').lookup(u32(0)) ?? new Uint8Array();
      const sum = { mapped: 0n, retries: 0n, exhausted: 0n };
      for (let offset = 0; offset < perCpu.byteLength; offset += natCounters.size) {
        const { mapped, retries, exhausted } = natCounters.decode(viewOf(perCpu), offset);
        sum.mapped += mapped;
        sum.retries += retries;
        sum.exhausted += exhausted;
      }
      return sum;
    },
    pass(milliseconds) {
      const ticks = Math.round((milliseconds * 1e6) / 2 ** 20);
      for (const { key, entry } of rows()) {
        const expires = (entry.expires - ticks) >>> 0;
        map('nat').update(toBytes(mapSpecs.nat.key, key), toBytes(natEntry, { ...entry, expires }));
      }
    },
    exclude({ address, length }) {
      map('natExcluded').update(toBytes(ipPrefix, { prefixLength: length, address: parseIpAddress(address) }), u32(1));
    },
    setUplink,
    reset() {
      for (const subject of ['nat', 'natExcluded', 'uplinks'] as const) clear(map(subject));
      map('natCounters').update(u32(0), new Uint8Array(map('natCounters').info.valueStride));
      setUplink(host);
    },
  };
}
