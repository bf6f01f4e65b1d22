// SPDX-License-Identifier: Apache-2.0
// The datapath on the real kernel: loads or adopts the programs, owns pins and attachments, and keeps the maps in line
// with what it is told. Only composition roots and tests import this; features see the interfaces of datapath-maps.
export {
  openKernelDatapath,
  policySlotsMax,
  type KernelDatapath,
  type KernelDatapathOptions,
} from './kernel-datapath.ts';
export type { MapLimits } from './programs.ts';
export { nowTicks, ticksBetween } from './expiring-entries.ts';
export { openEventSource, type EventSource } from './event-source.ts';
export { openProxyDatapath, type ClientFlow, type ProxyDatapath } from './proxy-datapath.ts';
