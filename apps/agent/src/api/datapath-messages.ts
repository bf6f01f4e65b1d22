// SPDX-License-Identifier: Apache-2.0
import { nowTicks, ticksBetween } from '@weir/datapath-loader';
import { ctFlag, ctKeyFlag, direction, dropReason, dropReasonTexts, policyVerdict } from '@weir/datapath-layout';
import type {
  Connection,
  IpcacheMapEntry,
  MasqueradedFlow,
  PolicyMapEntry,
  RuleTraffic,
  TrafficCount,
} from '@weir/datapath-maps';
import { formatCidr, formatIpAddress, formatLabel } from '@weir/model';
import type { weir } from '@weir/proto';
import type { IdentitySource } from '../identity/identity-source.ts';
import { originNames } from '../policy/policy-names.ts';
import type { PolicyTranslation } from '../policy/policy-translation.ts';

type Labels = Pick<IdentitySource, 'labelsOf'>;

const ticksPerSecond = 1e9 / 2 ** 20;

const directionName = (value: number): string =>
  value === direction.ingress ? 'ingress' : value === direction.egress ? 'egress' : '';

const verdictNames: Readonly<Record<number, string>> = {
  [policyVerdict.allow]: 'allow',
  [policyVerdict.redirect]: 'redirect',
  [policyVerdict.refuse]: 'deny',
};

/** The labels of an identity as text. */
export const labelTexts = (identities: Labels, identity: number): string[] =>
  identities.labelsOf(identity)?.labels.map(formatLabel) ?? [];

/** An entry of a policy map as the API shows it. */
export function policyEntryMessage(
  entry: PolicyMapEntry,
  context: {
    readonly subject: number;
    readonly identities: Labels;
    readonly cookies: PolicyTranslation['cookies'];
    readonly traffic: ReadonlyMap<number, RuleTraffic>;
  },
): weir.agent.v1.IPolicyEntry {
  const { packets = 0, bytes = 0 } = context.traffic.get(entry.cookie) ?? {};
  return {
    subjectIdentity: context.subject,
    direction: directionName(entry.direction),
    peerIdentity: entry.peerIdentity,
    peerLabels: labelTexts(context.identities, entry.peerIdentity),
    protocol: entry.protocol,
    port: entry.port,
    portPrefixLength: entry.portPrefixLength ?? (entry.port === 0 ? 0 : 16),
    packets,
    bytes,
    verdict: verdictNames[entry.verdict] ?? String(entry.verdict),
    ruleSet: entry.ruleSet,
    policies: originNames(context.cookies.meaningOf(entry.cookie) ?? []),
  };
}

/** By protocol and `enum ct_flag`. */
function flowState(protocol: number, flags: number): string {
  const has = (flag: number): boolean => (flags & flag) !== 0;
  if (has(ctFlag.closing)) return 'closing';
  if (protocol !== 6) return has(ctFlag.replySeen) ? 'replied' : 'unreplied';
  if (has(ctFlag.established)) return 'established';
  return has(ctFlag.replySeen) ? 'syn-received' : 'syn-sent';
}

const leftSeconds = (expires: number): number =>
  Math.max(0, Math.round(ticksBetween({ from: nowTicks(), to: expires }) / ticksPerSecond));

const connectionState = ({ key, entry }: Connection): string =>
  entry.dropReason === 0 ? flowState(key.protocol, entry.flags) : 'denied';

function connectionFlags({ key, entry }: Connection): string[] {
  return [
    ...((entry.flags & ctFlag.redirected) !== 0 ? ['redirected'] : []),
    ...((key.flags & ctKeyFlag.proxyLeg) !== 0 ? ['proxy-leg'] : []),
    ...(entry.dropReason === 0 ? [] : [dropReasonTexts[entry.dropReason] ?? String(entry.dropReason)]),
  ];
}

/** A conntrack entry as people read it: from the end that opened it to the other. */
export function connectionMessage(connection: Connection): weir.agent.v1.IConnection {
  const { key, entry } = connection;
  const isHigh = (entry.flags & ctFlag.openedByHigh) !== 0;
  const low = { address: key.lowAddress, port: key.lowPort };
  const high = { address: key.highAddress, port: key.highPort };
  const [source, destination] = isHigh ? [high, low] : [low, high];
  return {
    protocol: key.protocol,
    source: formatIpAddress(source.address),
    sourcePort: source.port,
    destination: formatIpAddress(destination.address),
    destinationPort: destination.port,
    sourceIdentity: entry.sourceIdentity,
    destinationIdentity: entry.destinationIdentity,
    state: connectionState(connection),
    flags: connectionFlags(connection),
    expiresS: leftSeconds(entry.expires),
    forwardPackets: Number(entry.forwardPackets),
    forwardBytes: Number(entry.forwardBytes),
    replyPackets: Number(entry.replyPackets),
    replyBytes: Number(entry.replyBytes),
  };
}

/** A flow out of the cluster, with all three of its ends. */
export function masqueradedFlowMessage({ key, entry }: MasqueradedFlow): weir.agent.v1.IMasqueradedFlow {
  return {
    protocol: key.protocol,
    ...{ pod: formatIpAddress(entry.address), podPort: entry.port },
    ...{ node: formatIpAddress(key.local), nodePort: key.localPort },
    ...{ remote: formatIpAddress(key.remote), remotePort: key.remotePort },
    state: flowState(key.protocol, entry.flags),
    expiresS: leftSeconds(entry.expires),
  };
}

/** An entry of the ipcache, with the labels of its identity where they are known. */
export function ipcacheMessage(entry: IpcacheMapEntry, identities: Labels): weir.agent.v1.IIpcacheEntry {
  const { address, length, identity } = entry;
  return { prefix: formatCidr({ address, prefixLength: length }), identity, labels: labelTexts(identities, identity) };
}

const passedNames: Readonly<Record<number, string>> = {
  [dropReason.forwarded]: 'forwarded',
  [dropReason.audited]: 'audited',
};

/** Packets and bytes of one reason and direction. */
export function metricMessage(count: TrafficCount): weir.agent.v1.IDatapathMetric {
  const reason = passedNames[count.reason] ?? dropReasonTexts[count.reason] ?? `reason ${count.reason}`;
  return { reason, direction: directionName(count.direction), packets: count.packets, bytes: count.bytes };
}
