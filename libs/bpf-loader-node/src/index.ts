// SPDX-License-Identifier: Apache-2.0
// BPF for Node.js: objects, programs, maps, links and ring buffers over libbpf, and sockets in any network namespace.
// Keys and values are bytes here; what they mean is known elsewhere. No product logic.
// For those who install this library alone: the class of every error that it throws.
export { WeirError, type ErrorCode } from '@weir/errors';
export { KernelError, VerifierError } from './kernel-error.ts';
export type { VerifierVerdict } from './verifier-log.ts';

export {
  openObject,
  type DeclaredMap,
  type DeclaredProgram,
  type DeclaredVariable,
  type ObjectSource,
  type ObjectSpec,
} from './object-spec.ts';
export { loadObject, loadObjectAsync, type LoadOptions, type MapLoadOptions } from './load-object.ts';
export type { VariableValue } from './variable-value.ts';
export type { MapDifference } from './map-compatibility.ts';
export type { BpfObject } from './bpf-object.ts';

export {
  createMap,
  mapFlags,
  openMapById,
  openPinnedMap,
  type BpfMap,
  type LookupBatch,
  type MapBatch,
  type MapInfo,
  type MapSpec,
  type UpdateMode,
} from './bpf-map.ts';
export type { MapEntries, ScanOptions } from './map-scan.ts';
export type { MappedMemory } from './mapped-memory.ts';

export {
  openPinnedProgram,
  openProgramById,
  type BpfProgram,
  type ProgramInfo,
  type TestRunOptions,
  type TestRunResult,
} from './bpf-program.ts';

export { decodeSkbContext, encodeSkbContext, type SkbContext } from './skb-context.ts';

export {
  attachCgroup,
  attachTc,
  attachTcxAsync,
  attachXdp,
  openPinnedLink,
  type CgroupOptions,
  type TcOptions,
  type XdpOptions,
} from './attach.ts';
export type { Link, LinkInfo } from './link.ts';

export {
  openRingReader,
  type RecordBatch,
  type RingReader,
  type RingReaderOptions,
  type RingReaderStats,
} from './ring-reader.ts';

export { mountBpffs, unmountBpffs, unpin, type PinOptions } from './pin.ts';
export {
  hasFeature,
  hasHelper,
  hasMapType,
  hasProgramType,
  kernelVersion,
  requireFeature,
  requireHelper,
  requireProgramType,
  type FeatureName,
  type HelperQuery,
  type KernelVersion,
} from './features.ts';
export type { AttachType, LinkType, MapType, ProgramType } from './kernel-enums.ts';

export type { NetnsReference } from './netns-path.ts';
export { NetworkNamespace, openNetworkNamespace, readFileInNetns, writeFileInNetns } from './network-namespace.ts';
export type { DeadlineOptions } from './deadline.ts';
export type { NetlinkAnswer, NetlinkMessage } from './netlink-answer.ts';
export { NetlinkSocket, openNetlinkSocket, type NetlinkSocketOptions } from './netlink-socket.ts';
export { subscribeNetlink, type NetlinkSubscription, type NetlinkSubscriptionOptions } from './netlink-subscription.ts';
export {
  connectTcp,
  listenTcp,
  type TcpConnectOptions,
  type TcpEndpoint,
  type TcpListenOptions,
} from './transparent-socket.ts';
export { localAddress, peerAddress, setTcpOptions, type SocketAddress, type TcpOptions } from './tcp-options.ts';
