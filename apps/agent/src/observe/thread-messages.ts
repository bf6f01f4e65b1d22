// SPDX-License-Identifier: Apache-2.0
import type { FlowLogOptions, FlowMetricsOptions, PeerNode } from '@weir/observer';
import type { flow, weir } from '@weir/proto';
import type { TlsFiles } from '@weir/rpc';
import type { ServiceEnd } from './service-names.ts';

/** An endpoint of this node as flows name it. */
export interface NamedEndpoint {
  readonly id: number;
  readonly namespace: string;
  readonly pod: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly hostInterface: string;
  readonly hostIfindex: number;
}

/** A pod of another node as flows name it. */
export interface RemotePod {
  readonly address: string;
  readonly namespace: string;
  readonly pod: string;
}

/** The policies, by their keys, that keep an identity from talking to whom nothing allows. */
export interface DefaultDeny {
  readonly identity: number;
  readonly ingress: readonly string[];
  readonly egress: readonly string[];
}

/** A service as flows name it: what clients call it by, and what is behind that. */
export interface NamedService {
  readonly namespace: string;
  readonly name: string;
  readonly frontends: readonly ServiceEnd[];
  readonly backends: readonly ServiceEnd[];
}

/** What names mean from a moment on, in milliseconds since 1970. */
export type NameChange =
  | { readonly kind: 'endpoint'; readonly atMs: number; readonly endpoint: NamedEndpoint }
  | { readonly kind: 'endpoint-gone'; readonly atMs: number; readonly id: number }
  | { readonly kind: 'remote-pods'; readonly atMs: number; readonly pods: readonly RemotePod[] }
  | { readonly kind: 'remote-pods-gone'; readonly atMs: number; readonly addresses: readonly string[] }
  | { readonly kind: 'identity'; readonly atMs: number; readonly identity: number; readonly labels: readonly string[] }
  | { readonly kind: 'default-deny'; readonly atMs: number; readonly subject: DefaultDeny }
  | { readonly kind: 'service'; readonly atMs: number; readonly service: NamedService }
  | { readonly kind: 'service-gone'; readonly atMs: number; readonly key: string }
  /** Numbers that stand for the rules behind a policy entry; they always mean the same. */
  | { readonly kind: 'cookie'; readonly number: number; readonly policies: readonly string[] }
  | { readonly kind: 'rule-set'; readonly number: number; readonly policies: readonly string[] };

/** What the agent tells the thread that keeps and serves flows. */
export type ToObserver =
  | { readonly kind: 'names'; readonly changes: readonly NameChange[] }
  | { readonly kind: 'calls'; readonly log: weir.proxy.v1.IAccessLog }
  | { readonly kind: 'agent-event'; readonly atMs: number; readonly event: flow.AgentEvent.$Properties }
  | { readonly kind: 'peers'; readonly nodes: readonly PeerNode[] }
  | {
      readonly kind: 'watch';
      readonly watch: number;
      readonly types: readonly string[];
      readonly endpoints: readonly number[];
    }
  | { readonly kind: 'unwatch'; readonly watch: number }
  | { readonly kind: 'read-metrics'; readonly request: number }
  | { readonly kind: 'stop' };

/** What the thread tells the agent. */
export type FromObserver =
  | { readonly kind: 'serving'; readonly addresses: readonly string[] }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'metrics'; readonly request: number; readonly text: string }
  | { readonly kind: 'watched'; readonly watch: number; readonly events: readonly weir.agent.v1.IMonitorEvent[] };

/** What the thread is started with. */
export interface ObserverThreadOptions {
  readonly node: string;
  /** `key=value`. */
  readonly nodeLabels: readonly string[];
  readonly version: string;
  readonly bpfRoot: string;
  readonly listen: readonly string[];
  readonly plaintext: 'loopback' | 'anywhere';
  /** For everything over TCP; undefined: in clear text. */
  readonly tls: TlsFiles | undefined;
  readonly flowsMax: number;
  /** Metrics that are made out of flows. */
  readonly flowMetrics: Pick<FlowMetricsOptions, 'groups' | 'contexts'>;
  /** Where flows are written to; undefined: nowhere. */
  readonly flowLog: Omit<FlowLogOptions, 'node' | 'onFailed'> | undefined;
  readonly logLevel: string;
}
