// SPDX-License-Identifier: Apache-2.0

/** Whether this machine is little-endian: netlink speaks the machine's own byte order, DataView must be told it. */
export const littleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
