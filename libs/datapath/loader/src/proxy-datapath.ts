// SPDX-License-Identifier: Apache-2.0
import { openPinnedMap } from '@weir/bpf-loader-node';
import { type CtEntry, type CtKey, ctFlag, mapSpecs, runtimeState } from '@weir/datapath-layout';
import { createMapRows } from './map-rows.ts';
import { createPins } from './pins.ts';

/** A TCP connection as its client sees it; addresses of 16 bytes. */
export interface ClientFlow {
  readonly source: Uint8Array;
  readonly sourcePort: number;
  readonly destination: Uint8Array;
  readonly destinationPort: number;
}

/** The proxy's view of the datapath: whom a connection belongs to, and which rules it is under. */
export interface ProxyDatapath {
  /** Changes whenever a verdict may have; one memory read. */
  revision(): number;
  /** The entry of a connection that was redirected to the proxy; undefined for any other. */
  lookup(flow: ClientFlow): CtEntry | undefined;
  /** Tells the programs where the proxy listens; 0: nowhere, and what needs it is dropped. */
  setPort(port: number): void;
  close(): void;
}

const protocolTcp = 6;

/** The same order as source_is_high() in bpf/lib/conntrack.h: by little-endian halves, then by the port as it lies. */
function isSourceHigh({ source, sourcePort, destination, destinationPort }: ClientFlow): boolean {
  const a = new DataView(source.buffer, source.byteOffset, 16);
  const b = new DataView(destination.buffer, destination.byteOffset, 16);
  for (const [high, low] of [
    [4, 0],
    [12, 8],
  ] as const) {
    for (const offset of [high, low]) {
      const difference = a.getUint32(offset, true) - b.getUint32(offset, true);
      if (difference !== 0) return difference > 0;
    }
  }
  const swap = (port: number): number => ((port & 0xff) << 8) | (port >> 8);
  return swap(sourcePort) > swap(destinationPort);
}

function keyOf(flow: ClientFlow, isHigh: boolean): CtKey {
  const source = { address: flow.source, port: flow.sourcePort };
  const destination = { address: flow.destination, port: flow.destinationPort };
  const [low, high] = isHigh ? [destination, source] : [source, destination];
  return {
    lowAddress: low.address,
    highAddress: high.address,
    lowPort: low.port,
    highPort: high.port,
    protocol: protocolTcp,
    flags: 0,
  };
}

/**
 * Opens the pinned maps of a node's datapath. Throws NOT_FOUND while there are none, which is until an agent has run on
 * the node.
 */
export function openProxyDatapath(bpfRoot: string): ProxyDatapath {
  const pins = createPins(bpfRoot);
  const runtime = openPinnedMap(pins.map(mapSpecs.runtime.name));
  const ct = openPinnedMap(pins.map(mapSpecs.ct.name));
  const memory = runtime.mmap();
  const words = new Uint32Array(memory.buffer);
  const view = new DataView(memory.buffer);
  const connections = createMapRows(ct, mapSpecs.ct);
  return {
    revision: () => Atomics.load(words, runtimeState.offsets.revision / 4),
    lookup(flow) {
      const isHigh = isSourceHigh(flow);
      const entry = connections.get(keyOf(flow, isHigh));
      if (entry === undefined || (entry.flags & ctFlag.redirected) === 0) return undefined;
      return ((entry.flags & ctFlag.openedByHigh) !== 0) === isHigh ? entry : undefined;
    },
    setPort: (port) => runtimeState.writeProxyPort(view, 0, port),
    close() {
      memory.close();
      runtime.close();
      ct.close();
    },
  };
}
