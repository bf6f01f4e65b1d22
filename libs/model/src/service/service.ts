// SPDX-License-Identifier: Apache-2.0

/** Protocols that services balance. */
export const serviceProtocols = ['TCP', 'UDP'] as const;
export type ServiceProtocol = (typeof serviceProtocols)[number];

/**
 * What may become of a backend: `active` takes all; `terminating` keeps what it has and takes new clients only when no other is
 * left; `quarantined` does not answer, and what can move away from it does; `maintenance` keeps what it has and takes
 * nothing new.
 */
export const backendStates = ['active', 'terminating', 'quarantined', 'maintenance'] as const;
export type BackendState = (typeof backendStates)[number];

/**
 * How a backend is chosen, always by weight: `random`; `round-robin`: one after the other; `maglev`: by the flow, so that every
 * node sends it to the same backend, and few move when backends come and go.
 */
export const serviceSelections = ['random', 'round-robin', 'maglev'] as const;
export type ServiceSelection = (typeof serviceSelections)[number];

/**
 * Who reaches a frontend: callers on this node alone (`cluster`), or also those whose packets come in by an uplink (`external`):
 * node ports, external addresses and those of load balancers.
 */
export const frontendScopes = ['cluster', 'external'] as const;
export type FrontendScope = (typeof frontendScopes)[number];

/** Who a service belongs to: one that somebody else owns is not changed. */
export const serviceOwners = ['api', 'kubernetes'] as const;
export type ServiceOwner = (typeof serviceOwners)[number];

/** An address that clients call. */
export interface ServiceFrontend {
  readonly address: string;
  readonly port: number;
  readonly protocol: ServiceProtocol;
  /** Which of the service's ports this is: its backends are those with the same name. Empty where there is one. */
  readonly portName: string;
  /** Absent: cluster. */
  readonly scope?: FrontendScope;
}

/** Where clients end up. It serves the frontends of its own port name and address family. */
export interface ServiceBackend {
  readonly address: string;
  readonly port: number;
  readonly portName: string;
  /** Its share of new clients beside those of the others. */
  readonly weight: number;
  readonly state: BackendState;
  /** The node that it runs on, if it is known. */
  readonly node: string;
  readonly zone: string;
  /** Zones whose clients it is meant for; absent: all. Look at `backendsFor`. */
  readonly zoneHints?: readonly string[];
}

/** Frontends and the backends behind them. One without frontends is headless: there is nothing to balance. */
export interface Service {
  readonly namespace: string;
  readonly name: string;
  readonly owner: ServiceOwner;
  readonly frontends: readonly ServiceFrontend[];
  readonly backends: readonly ServiceBackend[];
  /** A client stays with its backend until it has been away for so long; 0: it does not. */
  readonly affinityTimeoutS: number;
  /** Absent: random. */
  readonly selection?: ServiceSelection;
  /** What policies select it by; absent: none. */
  readonly labels?: ServiceLabels;
  /** Labels of the pods behind it, which are in its namespace; absent: policies know it by its backends' addresses. */
  readonly selector?: ServiceLabels;
}

/** Labels of Kubernetes: keys without a source. */
export type ServiceLabels = Readonly<Record<string, string>>;

/** What one service may have at most. */
export const serviceLimits = {
  frontendsMax: 1_024,
  backendsMax: 32_768,
  weightMax: 65_535,
  affinityTimeoutSMax: 86_400,
  labelsMax: 128,
  zoneHintsMax: 16,
} as const;

/** `namespace/name`: unlike that of any other service. */
export const serviceKey = ({ namespace, name }: Pick<Service, 'namespace' | 'name'>): string => `${namespace}/${name}`;
