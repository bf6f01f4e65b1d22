// SPDX-License-Identifier: Apache-2.0
import {
  subscribeNetlink,
  type NetlinkMessage,
  type NetlinkSubscription,
  type NetnsReference,
} from '@weir/bpf-loader-node';
import { decodeAddress, type AddressState } from './address.ts';
import { decodeLink, type Link } from './link.ts';
import { decodeNeighbour, type NeighbourState } from './neighbour.ts';
import { decodeRoute, type RouteState } from './route.ts';
import { AF, RTM, RTNLGRP } from './rtnetlink-constants.ts';
import { decodeRule, type RuleState } from './rule.ts';

/** A change in the namespace: what is now there (`set`, new or changed), or what was there (`deleted`). */
export type NetlinkEvent = { readonly change: 'set' | 'deleted' } & (
  | { readonly kind: 'link'; readonly value: Link }
  | { readonly kind: 'address'; readonly value: AddressState }
  | { readonly kind: 'route'; readonly value: RouteState }
  | { readonly kind: 'neighbour'; readonly value: NeighbourState }
  | { readonly kind: 'rule'; readonly value: RuleState }
);

/** What can be watched. */
export type NetlinkEventKind = NetlinkEvent['kind'];

/** What to watch and whom to tell. */
export interface WatchOptions {
  readonly kinds: readonly NetlinkEventKind[];
  /** Everything that has changed since the last call, in order; never empty. */
  readonly onEvents: (events: readonly NetlinkEvent[]) => void;
  /** Changes were lost: whatever is known must be listed anew. */
  readonly onLost: () => void;
  /** Default: the namespace of this process. */
  readonly netns?: NetnsReference;
}

const groupsOfKind: Readonly<Record<NetlinkEventKind, readonly number[]>> = {
  link: [RTNLGRP.LINK],
  address: [RTNLGRP.IPV4_IFADDR, RTNLGRP.IPV6_IFADDR],
  route: [RTNLGRP.IPV4_ROUTE, RTNLGRP.IPV6_ROUTE],
  neighbour: [RTNLGRP.NEIGH],
  rule: [RTNLGRP.IPV4_RULE, RTNLGRP.IPV6_RULE],
};

interface EventSource {
  readonly kind: NetlinkEventKind;
  readonly decode: (body: Uint8Array) => unknown;
}

/** A bridge announces its ports as links of its own family: a port that leaves is not a link that is gone. */
const decodeWholeLink = (body: Uint8Array): Link | undefined => (body[0] === AF.UNSPEC ? decodeLink(body) : undefined);

/** By message type; of each pair the first says that something is there, the second that it was. */
const sources: readonly (readonly [set: number, deleted: number, source: EventSource])[] = [
  [RTM.NEWLINK, RTM.DELLINK, { kind: 'link', decode: decodeWholeLink }],
  [RTM.NEWADDR, RTM.DELADDR, { kind: 'address', decode: decodeAddress }],
  [RTM.NEWROUTE, RTM.DELROUTE, { kind: 'route', decode: decodeRoute }],
  [RTM.NEWNEIGH, RTM.DELNEIGH, { kind: 'neighbour', decode: decodeNeighbour }],
  [RTM.NEWRULE, RTM.DELRULE, { kind: 'rule', decode: decodeRule }],
];

/** Reads an announcement; undefined for what none of the kinds covers, such as bridge ports and multicast routes. */
export function decodeEvent({ type, body }: Pick<NetlinkMessage, 'type' | 'body'>): NetlinkEvent | undefined {
  for (const [set, deleted, { kind, decode }] of sources) {
    if (type !== set && type !== deleted) continue;
    const value = decode(body);
    return value === undefined
      ? undefined
      : ({ kind, change: type === set ? 'set' : 'deleted', value } as NetlinkEvent);
  }
  return undefined;
}

/**
 * Tells of changes from this call on. To know a state and keep it: watch first, list then, and apply the events; they may
 * repeat what the list had.
 */
export function watchNetlink({ kinds, onEvents, onLost, netns }: WatchOptions): NetlinkSubscription {
  return subscribeNetlink({
    groups: kinds.flatMap((kind) => groupsOfKind[kind]),
    onMessages: (messages) => {
      const events = messages.map(decodeEvent).filter((event) => event !== undefined);
      if (events.length > 0) onEvents(events);
    },
    onLost,
    ...(netns === undefined ? {} : { netns }),
  });
}
