// SPDX-License-Identifier: Apache-2.0
import { invalidField, linkName, wholeNumber } from './field.ts';
import { writeLinkHeader, writeLinkSettings, type LinkSettings } from './link-message.ts';
import { createMessageWriter, type MessageWriter } from './message-writer.ts';
import { nothing, type Operation } from './operation.ts';
import { IFLA, IFLA_BR, IFLA_INFO, IFLA_VXLAN, NLM_F, RTM, VETH_INFO_PEER } from './rtnetlink-constants.ts';

/** A link to be made. It is born with all its settings, in `netns` if given, so nobody ever sees it half done. */
export interface LinkSpec extends LinkSettings {
  readonly name: string;
}

/** A veth pair to be made; each end may be born in a namespace of its own. */
export interface VethSpec extends LinkSpec {
  /** Always born down: the kernel ties it to its other end too late to bring it up in the same step. */
  readonly peer: Omit<LinkSpec, 'up'>;
}

/** A bridge to be made. */
export interface BridgeSpec extends LinkSpec {
  /** Whether the bridge looks into IGMP and MLD to decide where multicast goes; the kernel's default is yes. */
  readonly multicastSnooping?: boolean;
}

/** A VXLAN device to be made: with one network identifier, or `external`, where each packet's metadata names it. */
export type VxlanSpec = LinkSpec & { readonly port: number } & (
    { readonly external: true } | { readonly vni: number; readonly underlayIndex?: number }
  );

const vniMax = 0xff_ffff;

/** Appends a link's header and everything about it that does not depend on its kind. */
function writeSpec(writer: MessageWriter, { field, spec }: { field: string; spec: LinkSpec }): void {
  writeLinkHeader(writer, spec);
  writer.text(IFLA.IFNAME, linkName(`${field} name`, spec.name));
  writeLinkSettings(writer, spec);
}

function addLink(spec: LinkSpec, kind: { name: string; writeData: (writer: MessageWriter) => void }): Operation<void> {
  const writer = createMessageWriter({ type: RTM.NEWLINK, flags: NLM_F.CREATE | NLM_F.EXCL });
  writeSpec(writer, { field: kind.name, spec });
  writer.nested(IFLA.LINKINFO, () => {
    writer.text(IFLA_INFO.KIND, kind.name);
    writer.nested(IFLA_INFO.DATA, () => {
      kind.writeData(writer);
    });
  });
  return {
    description: `Adding ${kind.name} "${spec.name}"`,
    message: writer.finish(),
    isDump: false,
    decode: nothing,
  };
}

/** Makes a veth pair; fails with `ALREADY_EXISTS` if either name is taken where it is to live. */
export function addVeth({ peer, ...spec }: VethSpec): Operation<void> {
  if ('up' in peer) throw invalidField('veth peer up', { value: peer.up, expected: 'nothing: set it up afterwards' });
  const operation = addLink(spec, {
    name: 'veth',
    writeData: (writer) => {
      writer.nested(VETH_INFO_PEER, () => {
        writeSpec(writer, { field: 'veth peer', spec: peer });
      });
    },
  });
  return { ...operation, description: `Adding veth "${spec.name}" with peer "${peer.name}"` };
}

/** Makes a bridge without spanning tree; fails with `ALREADY_EXISTS` if the name is taken. */
export function addBridge({ multicastSnooping, ...spec }: BridgeSpec): Operation<void> {
  return addLink(spec, {
    name: 'bridge',
    writeData: (writer) => {
      if (multicastSnooping !== undefined) writer.uint8(IFLA_BR.MCAST_SNOOPING, multicastSnooping ? 1 : 0);
    },
  });
}

/** Makes a VXLAN device that learns no addresses; fails with `ALREADY_EXISTS` if name, port or identifier is taken. */
export function addVxlan(spec: VxlanSpec): Operation<void> {
  if (!('external' in spec) && !('vni' in spec)) {
    throw invalidField('vxlan', { value: spec, expected: '"external" or a "vni"' });
  }
  return addLink(spec, {
    name: 'vxlan',
    writeData: (writer) => {
      if ('external' in spec) {
        writer.uint8(IFLA_VXLAN.COLLECT_METADATA, 1);
      } else {
        writer.uint32(IFLA_VXLAN.ID, wholeNumber('vxlan vni', spec.vni, { max: vniMax }));
        if (spec.underlayIndex !== undefined) {
          writer.uint32(IFLA_VXLAN.LINK, wholeNumber('vxlan underlayIndex', spec.underlayIndex, { min: 1 }));
        }
      }
      writer.uint8(IFLA_VXLAN.LEARNING, 0);
      writer.uint16NetworkOrder(IFLA_VXLAN.PORT, wholeNumber('vxlan port', spec.port, { min: 1, max: 0xffff }));
    },
  });
}
