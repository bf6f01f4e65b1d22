// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { splitBody, type Attributes } from './attributes.ts';
import { littleEndian } from './byte-order.ts';
import { invalidField, linkName } from './field.ts';
import { macText } from './ip-bytes.ts';
import {
  linkHeaderBytes,
  linkIndex,
  linkTitle,
  writeLinkHeader,
  writeLinkSettings,
  writeLinkTarget,
  type LinkSettings,
  type LinkTarget,
} from './link-message.ts';
import { createMessageWriter } from './message-writer.ts';
import { nothing, tolerating, type Operation } from './operation.ts';
import { IFF, IFLA, IFLA_INFO, IFLA_VXLAN, NLM_F, RTEXT_FILTER_SKIP_STATS, RTM } from './rtnetlink-constants.ts';
import { withoutUndefined } from './without-undefined.ts';

/** A network interface as the kernel reports it. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, `vxlan` …; undefined for hardware and the loopback. */
  readonly kind?: string;
  /** Administratively up. */
  readonly up: boolean;
  /** Up, and the other side is too: packets can flow. */
  readonly running: boolean;
  readonly loopback: boolean;
  readonly noArp: boolean;
  readonly mtu: number;
  readonly macAddress?: string;
  readonly masterIndex?: number;
  readonly group: number;
  /** Index of the link this one is bound to: for a veth its peer, counted in the peer's own namespace. */
  readonly peerIndex?: number;
  readonly vxlan?: { readonly vni: number; readonly port: number; readonly external: boolean };
}

/** Which links to list; what is left out does not restrict. */
export interface LinkFilter {
  readonly kind?: string;
  readonly masterIndex?: number;
}

/** Changes to a link; a new name needs the target to be given by index, and the kernel wants the link down for it. */
export interface LinkChanges extends LinkSettings {
  readonly name?: string;
}

function decodeVxlan(data: Attributes): NonNullable<Link['vxlan']> {
  return {
    vni: data.uint32(IFLA_VXLAN.ID) ?? 0,
    port: data.uint16NetworkOrder(IFLA_VXLAN.PORT) ?? 0,
    external: data.uint8(IFLA_VXLAN.COLLECT_METADATA) === 1,
  };
}

/** Reads the body of an RTM_NEWLINK or RTM_DELLINK message. */
export function decodeLink(body: Uint8Array): Link {
  const { fixed, attributes } = splitBody(body, linkHeaderBytes);
  const flags = fixed.getUint32(8, littleEndian);
  const info = attributes.nested(IFLA.LINKINFO);
  const kind = info?.text(IFLA_INFO.KIND);
  const macAddress = attributes.bytes(IFLA.ADDRESS);
  const data = kind === 'vxlan' ? info?.nested(IFLA_INFO.DATA) : undefined;
  return {
    index: fixed.getInt32(4, littleEndian),
    name: attributes.text(IFLA.IFNAME) ?? '',
    up: (flags & IFF.UP) !== 0,
    running: (flags & IFF.UP) !== 0 && (flags & IFF.LOWER_UP) !== 0,
    loopback: (flags & IFF.LOOPBACK) !== 0,
    noArp: (flags & IFF.NOARP) !== 0,
    mtu: attributes.uint32(IFLA.MTU) ?? 0,
    group: attributes.uint32(IFLA.GROUP) ?? 0,
    ...withoutUndefined({
      kind,
      macAddress: macAddress === undefined ? undefined : macText(macAddress),
      masterIndex: attributes.uint32(IFLA.MASTER),
      peerIndex: attributes.uint32(IFLA.LINK),
      vxlan: data === undefined ? undefined : decodeVxlan(data),
    }),
  };
}

/** Reads one link; fails with `NOT_FOUND` if there is none of that name or index. */
export function getLink(target: LinkTarget): Operation<Link> {
  const writer = createMessageWriter({ type: RTM.GETLINK });
  writeLinkTarget(writer, target);
  writer.uint32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  const description = `Reading link ${linkTitle(target)}`;
  return {
    description,
    message: writer.finish(),
    isDump: false,
    decode: ([body]) => {
      if (body === undefined) throw new WeirError('INTERNAL', `${description} brought an acknowledgement but no link`);
      return decodeLink(body);
    },
  };
}

/** Lists the links of the namespace. */
export function listLinks(filter: LinkFilter = {}): Operation<Link[]> {
  const writer = createMessageWriter({ type: RTM.GETLINK, flags: NLM_F.DUMP });
  writeLinkHeader(writer, {});
  writer.uint32(IFLA.EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  const { kind, masterIndex } = filter;
  if (masterIndex !== undefined) writer.uint32(IFLA.MASTER, linkIndex('filter masterIndex', masterIndex));
  if (kind !== undefined) {
    writer.nested(IFLA.LINKINFO, () => {
      writer.text(IFLA_INFO.KIND, kind);
    });
  }
  // The kernel ignores the kind filter when no driver of that name is loaded, so the answer is filtered here as well.
  const wanted = (link: Link): boolean => kind === undefined || link.kind === kind;
  return {
    description: 'Listing links',
    message: writer.finish(),
    isDump: true,
    decode: (bodies) => bodies.map(decodeLink).filter(wanted),
  };
}

/** Changes a link: all of it or, when the kernel refuses one setting, possibly those before it. */
export function setLink(target: LinkTarget, changes: LinkChanges): Operation<void> {
  const { name: newName, ...settings } = changes;
  if (newName !== undefined && 'name' in target) {
    throw invalidField('link target', { value: target, expected: 'an index, because the name changes' });
  }
  const writer = createMessageWriter({ type: RTM.SETLINK });
  writeLinkTarget(writer, { ...target, ...settings });
  writeLinkSettings(writer, settings);
  if (newName !== undefined) writer.text(IFLA.IFNAME, linkName('new link name', newName));
  return {
    description: `Changing link ${linkTitle(target)}`,
    message: writer.finish(),
    isDump: false,
    decode: nothing,
  };
}

/** Deletes a link; of a veth the peer goes with it. Fails with `NOT_FOUND` if there is none of that name or index. */
export function deleteLink(target: LinkTarget): Operation<void> {
  const writer = createMessageWriter({ type: RTM.DELLINK });
  writeLinkTarget(writer, target);
  return {
    description: `Deleting link ${linkTitle(target)}`,
    message: writer.finish(),
    isDump: false,
    decode: nothing,
  };
}

/** The group in which {@link deleteLinks} puts its links. */
const doomedGroup = 0x77_65_69_72;

/**
 * Deletes many links, for one batch. The kernel waits for all processors once for all of them and not once for each, which
 * is milliseconds a link. Those that are not there are passed over; virtual links only, like veth, bridge and vxlan.
 */
export function deleteLinks(targets: readonly LinkTarget[]): Operation<void>[] {
  if (targets.length === 0) return [];
  const missing = { code: 'NOT_FOUND', result: undefined } as const;
  const doom = targets.map((target) => tolerating(setLink(target, { group: doomedGroup }), missing));
  const writer = createMessageWriter({ type: RTM.DELLINK });
  writeLinkHeader(writer, {});
  writer.uint32(IFLA.GROUP, doomedGroup);
  const description = `Deleting ${targets.length} links from ${linkTitle(targets[0] ?? { index: 0 })} on`;
  return [...doom, tolerating({ description, message: writer.finish(), isDump: false, decode: nothing }, missing)];
}
