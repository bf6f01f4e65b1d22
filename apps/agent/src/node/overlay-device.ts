// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { addVxlan, deleteLink, getLink, type Link, type Netlink, setLink, tolerating } from '@weir/netlink';
import { gatewayMac, setSysctl } from './node-network.ts';

/** The device that leads to the pods of other nodes; each packet says where to. */
export const overlayDevice = 'weir_vxlan';

/** UDP port of VXLAN between nodes (TUNNEL_PORT in bpf/lib). */
const tunnelPort = 8472;

/** Creates or repairs the VXLAN device, down. FAILED_PRECONDITION: something else has the name, or the port. */
export async function ensureOverlayDevice(netlink: Netlink): Promise<{ readonly ifindex: number }> {
  const name = overlayDevice;
  const missing = { code: 'NOT_FOUND', result: undefined } as const;
  const isOurs = ({ kind, vxlan }: Link): boolean =>
    kind === 'vxlan' && vxlan?.external === true && vxlan.port === tunnelPort;
  const found = await netlink.run(tolerating(getLink({ name }), missing));
  if (found !== undefined && !isOurs(found)) {
    const what = `a device "${name}" that is not an external VXLAN device with port ${tunnelPort}`;
    throw new WeirError('FAILED_PRECONDITION', `The overlay cannot be made: this host has ${what}`);
  }
  if (found === undefined) {
    await netlink.run(addVxlan({ name, external: true, port: tunnelPort, macAddress: gatewayMac, noArp: true }));
  }
  // What comes out of it for this host belongs to a route through another device.
  setSysctl(`ipv4/conf/${name}/rp_filter`, '0');
  setSysctl(`ipv6/conf/${name}/addr_gen_mode`, '1');
  const link = await netlink.run(getLink({ name }));
  return { ifindex: link.index };
}

/** Lets packets flow, once the program is attached. */
export async function openOverlayDevice(netlink: Netlink, { mtu }: { readonly mtu: number }): Promise<void> {
  try {
    await netlink.run(setLink({ name: overlayDevice }, { mtu, up: true }));
  } catch (cause) {
    throw new WeirError('FAILED_PRECONDITION', `UDP port ${tunnelPort} cannot be used for the overlay`, { cause });
  }
}

/** Takes the device away: packets are routed from now on. */
export async function removeOverlayDevice(netlink: Netlink): Promise<void> {
  await netlink.run(tolerating(deleteLink({ name: overlayDevice }), { code: 'NOT_FOUND', result: undefined }));
}
