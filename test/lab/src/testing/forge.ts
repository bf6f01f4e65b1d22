// SPDX-License-Identifier: Apache-2.0
import { expect } from '@jest/globals';
import type { Lab } from '@weir/lab';

/** A UDP datagram as a pod with CAP_NET_RAW can make it up. */
export interface ForgedDatagram {
  readonly source: string;
  readonly destination: string;
  readonly port: number;
  /** The sender's own by default. */
  readonly sourceMac?: string;
  /** That of a pod's gateway by default. */
  readonly destinationMac?: string;
  /** With a tag of a VLAN that has only a priority, and the number 0. */
  readonly priorityTag?: boolean;
  /** 0 by default. */
  readonly trafficClass?: number;
  /** Wrapped in VXLAN, to a node, with an identity in it. */
  readonly tunnel?: { readonly node: string; readonly identity: number; readonly trafficClass?: number };
}

// A whole frame is put on the wire, past routes and checks of the sender's own kernel.
const program = `
import ipaddress, socket, struct, sys
source, destination, port, source_mac, destination_mac, tag, vni, node, inner_class, outer_class = sys.argv[1:]
inner_class, outer_class = int(inner_class), int(outer_class)
source, destination = ipaddress.ip_address(source), ipaddress.ip_address(destination)

def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

text = b"forged"
udp = struct.pack("!HHHH", 5555, int(port), 8 + len(text), 0) + text
pseudo = source.packed + destination.packed + struct.pack("!LL", len(udp), 17)
udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp)) + udp[8:]
if source.version == 4:
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, inner_class, 20 + len(udp), 7, 0, 64, 17, 0, source.packed, destination.packed)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
else:
    ip = struct.pack("!LHBB16s16s", 6 << 28 | inner_class << 20, len(udp), 17, 64, source.packed, destination.packed)
frame = bytes.fromhex((destination_mac + source_mac).replace(":", "") + tag)
frame += struct.pack("!H", 0x0800 if source.version == 4 else 0x86dd) + ip + udp
if node:
    family = socket.AF_INET6 if ":" in node else socket.AF_INET
    tunnel = struct.pack("!LL", 1 << 27, int(vni) << 8)
    outer = socket.socket(family, socket.SOCK_DGRAM)
    option = (socket.IPPROTO_IP, socket.IP_TOS) if family == socket.AF_INET else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)
    outer.setsockopt(*option, outer_class)
    outer.sendto(tunnel + frame, (node, 8472))
else:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind(("eth0", 0))
    wire.send(frame)
`;

/** Puts a made-up datagram on the wire of a pod or host. */
export async function forge(lab: Lab, target: string, datagram: ForgedDatagram): Promise<void> {
  const link = await lab.exec(target, ['ip', '-brief', 'link', 'show', 'eth0']);
  const own = / ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) /.exec(link.stdout)?.[1] ?? '';
  const { source, destination, port, sourceMac = own, destinationMac = 'ee:ee:ee:ee:ee:ee' } = datagram;
  const { status, stderr } = await lab.exec(target, [
    ...(['/usr/bin/python3', '-c', program] as const),
    ...[source, destination, String(port), sourceMac, destinationMac, datagram.priorityTag ? '8100e000' : ''],
    ...[String(datagram.tunnel?.identity ?? 0), datagram.tunnel?.node ?? ''],
    ...[datagram.trafficClass ?? 0, datagram.tunnel?.trafficClass ?? 0].map(String),
  ]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
}
