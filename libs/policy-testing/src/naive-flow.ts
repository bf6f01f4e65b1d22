// SPDX-License-Identifier: Apache-2.0
// What the naive evaluator is asked. It and all that it is made of share no code with the engine, so that a mistake of one
// is not a mistake of both.

/** A name that a pod gives to one of its ports. */
export interface NaivePort {
  readonly name: string;
  readonly protocol: number;
  readonly port: number;
}

/** One end of a flow. */
export interface NaiveEnd {
  /** `source:key=value`. */
  readonly labels: readonly string[];
  readonly namedPorts?: readonly NaivePort[];
  /** Of whoever is outside the cluster, and of nobody else. */
  readonly address?: string;
}

/** A flow, seen from the endpoint whose policy is asked. */
export interface NaiveFlow {
  readonly subject: NaiveEnd;
  readonly peer: NaiveEnd;
  readonly direction: 'ingress' | 'egress';
  readonly protocol: number;
  /** The destination's; of ICMP the type of the message. */
  readonly port: number;
}

/** The parts of a request that rules look at. */
export interface NaiveRequest {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  /** By name in lower case. */
  /** By name in lower case; several fields of one are joined by commas. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What becomes of a flow; `http`: it depends on the request. */
export type NaiveOutcome =
  | { readonly verdict: 'allowed' | 'dropped' }
  | {
      readonly verdict: 'http';
      readonly passes: (request: NaiveRequest) => boolean;
      /** What is done to headers of a request that passes, as `ACTION name: value`, sorted. */
      readonly repairs: (request: NaiveRequest) => readonly string[];
    };

/** A service as the cluster has it. */
export interface NaiveService {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector?: Readonly<Record<string, string>>;
  readonly addresses?: readonly string[];
}

/** What flows are judged under. */
export interface NaiveSetting {
  readonly services: readonly NaiveService[];
  readonly mode: 'default' | 'always' | 'never';
  readonly allowLocalHost: boolean;
}
