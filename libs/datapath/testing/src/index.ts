// SPDX-License-Identifier: Apache-2.0
// Packet tests of the datapath. A packet is built from the outside in and may be wrong in any way that a test wants; a
// packet node runs it through the real programs in the kernel and tells in words what became of it. For tests and
// benchmarks only: nothing that is shipped imports this.
export { packet, type PacketBuilder } from './packet/packet-builder.ts';
export { fragmentPacket } from './packet/fragment-packet.ts';
export { parsePacket, type ChecksumState, type ParsedIp, type ParsedPacket } from './packet/parse-packet.ts';
export { etherType, icmpType, icmpv6Type, ipProtocol } from './packet/protocols.ts';

export {
  createPacketNode,
  marks,
  type PacketNode,
  type PacketNodeOptions,
  type SendOptions,
} from './node/packet-node.ts';
export type { Outcome } from './node/outcome.ts';
export type { Count } from './node/metrics.ts';
export type { FlowState } from './node/flow-state.ts';
export type { LoggedEvent } from './node/event-log.ts';
export type { PolicyRules, Rule } from './node/policy-writer.ts';
export {
  conversation,
  echo,
  ipPacket,
  protocol,
  sctp,
  tcp,
  udp,
  type Conversation,
  type HeaderFields,
  type Transport,
} from './node/conversation.ts';
export {
  client,
  families,
  host,
  office,
  other,
  pods,
  remotePod,
  server,
  uplinkIfindex,
  world,
  type Family,
  type Party,
  type Pod,
} from './node/scene.ts';

// For tests of what stands above the datapath: one in memory, and what makes its calls fail.
export { createMemoryDatapath, type MemoryDatapath, type MemoryLimits } from './memory/memory-datapath.ts';
export { createMemoryMasquerade, type MemoryMasquerade } from './memory/memory-masquerade.ts';
export { createMemoryServices, type MemoryServices } from './memory/memory-services.ts';
export { createFaults, type Faults, type FaultyMethods } from './memory/faults.ts';
