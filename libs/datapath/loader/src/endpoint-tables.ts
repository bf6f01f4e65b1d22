// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { type Endpoint, endpointFlag, mapSpecs, traceDetail, type TraceDetail } from '@weir/datapath-layout';
import type { DatapathEndpoint } from '@weir/datapath-maps';
import { createMapRows, replaceRows } from './map-rows.ts';
import { type Undo, undoAlso } from './undo.ts';

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

type Flagged = Pick<DatapathEndpoint, 'isAudited' | 'traceDetail'>;

const flagsOf = ({ isAudited = false, traceDetail: detail = traceDetail.default }: Flagged): number =>
  (isAudited ? endpointFlag.audited : 0) | (detail << endpointFlag.detailShift);
const detailOf = (flags: number): TraceDetail =>
  ((flags >> endpointFlag.detailShift) & endpointFlag.detailMask) as TraceDetail;

const isSame = (a: Endpoint, b: DatapathEndpoint): boolean =>
  a.id === b.id &&
  a.flags === flagsOf(b) &&
  a.ifindex === b.ifindex &&
  a.identity === b.identity &&
  a.policySlot === b.policySlot &&
  sameBytes(a.mac, b.mac) &&
  sameBytes(a.ipv4, b.ipv4) &&
  sameBytes(a.ipv6, b.ipv6);

const rowOf = ({ ifindex, id, identity, policySlot, mac, ipv4, ipv6, ...rest }: DatapathEndpoint): Endpoint => ({
  ...{ ifindex, id, identity, policySlot, mac, ipv4, ipv6 },
  flags: flagsOf(rest),
});

const fromRow = ({ flags, ...endpoint }: Endpoint): DatapathEndpoint => ({
  ...endpoint,
  ...((flags & endpointFlag.audited) !== 0 && { isAudited: true }),
  ...(detailOf(flags) !== traceDetail.default && { traceDetail: detailOf(flags) }),
});

/** The pods of the node in the kernel, found by interface and by address. */
export interface EndpointTables {
  /** Returns what puts it back, undefined when nothing changed. Throws RESOURCE_EXHAUSTED, and then nothing has. */
  upsert(endpoints: readonly DatapathEndpoint[]): Undo | undefined;
  /** Takes away what is still theirs: an address that has passed on to another endpoint stays. */
  remove(endpoints: readonly DatapathEndpoint[]): boolean;
  list(): readonly DatapathEndpoint[];
}

/** The open maps. */
export function createEndpointTables(maps: {
  readonly interfaces: BpfMap;
  readonly addresses: BpfMap;
}): EndpointTables {
  const interfaces = createMapRows(maps.interfaces, mapSpecs.interfaces);
  const addresses = createMapRows(maps.addresses, mapSpecs.endpoints);

  const removeOne = (endpoint: DatapathEndpoint): boolean => {
    let changed = interfaces.get(endpoint.ifindex)?.id === endpoint.id && interfaces.delete(endpoint.ifindex);
    for (const address of [endpoint.ipv4, endpoint.ipv6]) {
      if (addresses.get(address)?.id === endpoint.id) changed = addresses.delete(address) || changed;
    }
    return changed;
  };

  return {
    upsert(endpoints) {
      const changed = endpoints.filter((endpoint) => {
        const rows = [interfaces.get(endpoint.ifindex), addresses.get(endpoint.ipv4), addresses.get(endpoint.ipv6)];
        return rows.some((row) => row === undefined || !isSame(row, endpoint));
      });
      if (changed.length === 0) return undefined;
      const rows = changed.map(rowOf);
      const byAddress = rows.flatMap((each) => [[each.ipv4, each] as const, [each.ipv6, each] as const]);
      const undoAddresses = replaceRows(addresses, byAddress);
      return undoAlso(undoAddresses, () =>
        replaceRows(
          interfaces,
          rows.map((each) => [each.ifindex, each] as const),
        ),
      );
    },
    remove: (endpoints) => endpoints.map(removeOne).includes(true),
    list: () => interfaces.all().map(([, endpoint]) => fromRow(endpoint)),
  };
}
