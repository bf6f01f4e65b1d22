// SPDX-License-Identifier: Apache-2.0
import type { EntryOrigin } from '../policy-entry.ts';
import type { Policy } from '../rule.ts';
import type { ExplainedEnd, ExplainedEntry, Explanation, Miss, NearMiss, SideExplanation } from './explain-types.ts';
import { formatPorts } from './near-misses.ts';

/** An item of a rule, with the file that it was read from where that is known. */
export interface TraceOrigin extends EntryOrigin {
  /** Empty: not known. */
  readonly file: string;
}

/** An entry that the flow finds, for people. */
export interface TraceEntry {
  readonly peerIdentity: number;
  /** `TCP/8000-8191`, `any`. */
  readonly ports: string;
  readonly verdict: string;
  readonly origins: TraceOrigin[];
}

/** A rule that comes near, and what it wants. */
export interface TraceNearMiss {
  readonly origin: TraceOrigin;
  readonly misses: Miss[];
}

/** What one end's policy says. */
export interface TraceSide {
  /** allow, deny, redirect, no-match, not-enforced, not-managed. */
  readonly verdict: string;
  readonly decidedBy: TraceOrigin[];
  /** Empty: nothing was asked about a request, or nobody looks at it; else `passes` or `refused`. */
  readonly request: string;
  readonly defaultDenyBy: string[];
  readonly entries: TraceEntry[];
  readonly nearest: TraceNearMiss[];
}

/** One end, for people. */
export interface TraceEnd {
  readonly labels: string[];
  /** 0: nobody has these labels as yet. */
  readonly identity: number;
  readonly narrower: string[];
}

/** An explanation as it is sent and printed: plain values only. */
export interface TraceReport {
  readonly verdict: string;
  readonly source: TraceEnd;
  readonly destination: TraceEnd;
  readonly egress: TraceSide;
  readonly ingress: TraceSide;
}

const endOf = ({ labels, identity = 0, narrower = [] }: ExplainedEnd): TraceEnd => ({
  labels: [...labels],
  identity,
  narrower: [...narrower],
});

/** Makes a report of an explanation, with the files of `policies`. */
export function traceReport(explanation: Explanation, policies: readonly Policy[]): TraceReport {
  const files = new Map(policies.map(({ key, source }) => [key, source.file]));
  const originOf = (origin: EntryOrigin): TraceOrigin => ({ ...origin, file: files.get(origin.policy) ?? '' });
  const entryOf = ({ key, verdict, origins }: ExplainedEntry): TraceEntry => {
    const { protocol, port, portPrefixLength: prefixLength = port === 0 ? 0 : 16 } = key;
    const ports = formatPorts({ protocol, port, prefixLength });
    return { peerIdentity: key.peerIdentity, ports, verdict, origins: origins.map(originOf) };
  };
  const nearOf = ({ origin, misses }: NearMiss): TraceNearMiss => ({ origin: originOf(origin), misses: [...misses] });
  const sideOf = (side: SideExplanation): TraceSide => ({
    verdict: side.verdict,
    decidedBy: side.decidedBy.map(originOf),
    request: side.request ?? '',
    defaultDenyBy: [...side.defaultDenyBy],
    entries: side.entries.map(entryOf),
    nearest: side.nearest.map(nearOf),
  });
  return {
    verdict: explanation.verdict,
    source: endOf(explanation.source),
    destination: endOf(explanation.destination),
    egress: sideOf(explanation.egress),
    ingress: sideOf(explanation.ingress),
  };
}
