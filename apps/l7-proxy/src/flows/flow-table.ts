// SPDX-License-Identifier: Apache-2.0

/** A connection as its client sees it. Addresses are text, IPv4 ones never in IPv6 form. */
export interface Flow {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

/** What the datapath decided about a connection. */
export interface FlowPolicy {
  /** Of the datapath's tables, when it decided this. */
  readonly revision: number;
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  /** 0: no HTTP rules in that direction. */
  readonly egressRuleSet: number;
  readonly ingressRuleSet: number;
}

/** The datapath's conntrack table, as far as the proxy needs it. */
export interface FlowTable {
  /** The revision of the datapath's tables now; called for every request, so it must cost no system call. */
  revision(): number;
  /** The newest decision about a connection that was handed to the proxy; undefined when it was not, or is forgotten. */
  lookup(flow: Flow): FlowPolicy | undefined;
}
