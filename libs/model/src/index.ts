// SPDX-License-Identifier: Apache-2.0
// The values that all parts of Weir speak of: labels, identities, addresses, ports, endpoint states. Values only: nothing
// here does I/O, keeps state or knows of a map, a service or a file.
export { directions, type Direction } from './direction.ts';
export { formatProtocol, parseProtocol, portProtocols, protocolNumber, type ProtocolName } from './protocol.ts';
export { parsePort, portMax } from './port.ts';
export { flowAggregations, isFlowAggregation, type FlowAggregation } from './flow-aggregation.ts';
export { canFollow, endpointStates, type EndpointState } from './endpoint-state.ts';
export {
  createLabel,
  formatLabel,
  isLabelSource,
  labelKeyProblem,
  labelLimits,
  labelSources,
  labelValueProblem,
  parseLabel,
  splitSource,
  type Label,
  type LabelSource,
} from './label.ts';
export { createLabelSet, formatLabelSet, labelsPerSetMax, parseLabelSet, type LabelSet } from './label-set.ts';
export {
  defaultClusterName,
  isProtectedLabel,
  podLabels,
  wellKnownLabelKey,
  type PodDescription,
} from './pod-labels.ts';
export { createIdentityLabelFilter, type IdentityLabelFilter } from './identity-label-filter.ts';
export {
  anyIdentity,
  clusterPeer,
  identityRange,
  identityScope,
  isClusterIdentity,
  type IdentityScope,
} from './numeric-identity.ts';
export { cidrIdentityLabels, cidrOfLabel } from './cidr-identity.ts';
export { icmpPort, icmpTypeOf, type IcmpFamily } from './icmp.ts';
export { canonicalNamedPorts, formatNamedPort, isPortName, type NamedPort, parseNamedPort } from './named-port.ts';
export { reservedIdentities, reservedIdentity, type ReservedIdentityName } from './reserved-identity.ts';
export { entities, entityReservedIdentities, type Entity } from './entity.ts';
export {
  formatIpAddress,
  ipAddressBytes,
  ipAddressFromBigInt,
  ipAddressFromBytes,
  ipAddressToBigInt,
  ipAddressWireBytes,
  isIpv4,
  parseIpAddress,
  tryParseIpAddress,
  type IpAddress,
} from './ip-address.ts';
export {
  cidrAddressAt,
  cidrContains,
  cidrContainsCidr,
  cidrOfAddress,
  cidrSize,
  createCidr,
  formatCidr,
  isIpv4Cidr,
  parseCidr,
  type Cidr,
  type ParseCidrOptions,
} from './cidr.ts';
export { isSameClusterPod, type ClusterPod } from './cluster-pod.ts';
export {
  backendStates,
  frontendScopes,
  type FrontendScope,
  serviceKey,
  serviceLimits,
  serviceOwners,
  serviceProtocols,
  serviceSelections,
  type BackendState,
  type Service,
  type ServiceBackend,
  type ServiceFrontend,
  type ServiceOwner,
  type ServiceProtocol,
  type ServiceSelection,
} from './service/service.ts';
export { serviceProblem } from './service/service-problem.ts';
export {
  formatServiceAddress,
  formatServiceFrontend,
  parseServiceBackend,
  parseServiceFrontend,
} from './service/service-text.ts';
