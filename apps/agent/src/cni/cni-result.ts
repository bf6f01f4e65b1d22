// SPDX-License-Identifier: Apache-2.0
import { formatIpAddress, type IpAddress } from '@weir/model';

/** What an attached pod has got. */
export interface AttachedPod {
  readonly ifName: string;
  readonly netns: string;
  readonly mac: string;
  readonly mtu: number;
  readonly hostInterface: string;
  readonly hostMac: string;
  readonly ipv4: IpAddress;
  readonly ipv6: IpAddress;
  readonly ipv4Gateway: IpAddress;
  readonly ipv6Gateway: IpAddress;
}

const older = (version: string): boolean => version.startsWith('0.');

/** The success object of ADD, in the shape that the version asks for. */
export function cniResult(pod: AttachedPod, cniVersion: string): Readonly<Record<string, unknown>> {
  const mtu = cniVersion === '1.1.0' ? { mtu: pod.mtu } : {};
  const address = (family: '4' | '6', ip: IpAddress, gateway: IpAddress): Readonly<Record<string, unknown>> => ({
    ...(older(cniVersion) ? { version: family } : {}),
    address: `${formatIpAddress(ip)}/${family === '4' ? 32 : 128}`,
    gateway: formatIpAddress(gateway),
    interface: 1,
  });
  return {
    cniVersion,
    interfaces: [
      { name: pod.hostInterface, mac: pod.hostMac, ...mtu },
      { name: pod.ifName, mac: pod.mac, sandbox: pod.netns, ...mtu },
    ],
    ips: [address('4', pod.ipv4, pod.ipv4Gateway), address('6', pod.ipv6, pod.ipv6Gateway)],
    routes: [
      { dst: '0.0.0.0/0', gw: formatIpAddress(pod.ipv4Gateway) },
      { dst: '::/0', gw: formatIpAddress(pod.ipv6Gateway) },
    ],
    dns: {},
  };
}
