// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type ClusterPod, formatCidr, isSameClusterPod, type NamedPort, parseCidr } from '@weir/model';
import { type Announcement, isSameNode } from './cluster-directory.ts';

/** What is new of what a node says of itself: all of the node, and of its endpoints those that differ. */
export interface AnnouncementDelta extends Omit<Announcement, 'endpoints'> {
  /** By address. */
  readonly changed: ReadonlyMap<string, ClusterPod>;
  readonly gone: readonly string[];
}

/** A pod as JSON writes it: `[identity, namespace, pod]`, or its identity alone where it has no name. */
type WirePod = number | readonly [number, string, string];

/** As JSON writes it. */
export interface WireAnnouncement {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ranges: readonly string[];
  readonly changed: Readonly<Record<string, WirePod>>;
  readonly gone: readonly string[];
  /** Absent where a replica has written it that knows nothing of labels; so is the next one. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: readonly (readonly [identity: number, ports: readonly NamedPort[]])[];
}

const none: ReadonlyMap<string, ClusterPod> = new Map();

/** What has changed since `known`; undefined when nothing has. */
export function deltaOf(announcement: Announcement, known: Announcement | undefined): AnnouncementDelta | undefined {
  const { endpoints, ...node } = announcement;
  const before = known?.endpoints ?? none;
  const changed = new Map([...endpoints].filter(([address, pod]) => !isSameClusterPod(before.get(address), pod)));
  const gone = [...before.keys()].filter((address) => !endpoints.has(address));
  if (isSameNode(known, announcement) && changed.size === 0 && gone.length === 0) return undefined;
  return { ...node, changed, gone };
}

/** What the node says with the delta. */
export function applyDelta(delta: AnnouncementDelta, known: Announcement | undefined): Announcement {
  const { changed, gone, ...node } = delta;
  const endpoints = new Map(known?.endpoints ?? none);
  for (const address of gone) endpoints.delete(address);
  for (const [address, pod] of changed) endpoints.set(address, pod);
  return { ...node, endpoints };
}

const podToWire = ({ identity, namespace, pod }: ClusterPod): WirePod =>
  namespace === '' && pod === '' ? identity : [identity, namespace, pod];

const podFromWire = (wire: WirePod): ClusterPod => {
  const [identity, namespace, pod] = typeof wire === 'number' ? [wire, '', ''] : wire;
  return { identity, namespace, pod };
};

/** The form for JSON. */
export const announcementToWire = ({
  name,
  addresses,
  podRanges,
  labels,
  namedPorts,
  changed,
  gone,
}: AnnouncementDelta): WireAnnouncement => ({
  ...{ name, addresses, gone },
  ...(namedPorts.length > 0 && { ports: namedPorts }),
  ...(Object.keys(labels).length > 0 && { labels }),
  ranges: podRanges.map(formatCidr),
  changed: Object.fromEntries([...changed].map(([address, pod]) => [address, podToWire(pod)])),
});

/** Reads what {@link announcementToWire} made. CORRUPT_STATE names what is something else. */
export function announcementFromWire(wire: unknown): AnnouncementDelta {
  try {
    const { name, addresses, ranges, changed, gone, ports = [], labels = {} } = wire as WireAnnouncement;
    if (typeof name !== 'string') throw new WeirError('CORRUPT_STATE', 'It has no name');
    return {
      ...{ name, addresses, gone, namedPorts: ports, labels },
      podRanges: ranges.map((text) => parseCidr(text)),
      changed: new Map(Object.entries(changed).map(([address, pod]) => [address, podFromWire(pod)])),
    };
  } catch (error) {
    const text = JSON.stringify(wire)?.slice(0, 64);
    throw new WeirError('CORRUPT_STATE', `${text} is not an announcement: ${(error as Error).message}`);
  }
}
