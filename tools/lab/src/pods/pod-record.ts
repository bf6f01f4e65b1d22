// SPDX-License-Identifier: Apache-2.0
import type { NamedPort } from '@weir/model';
import type { Exit } from '../supervisor/service.ts';

/** What a pod runs besides what is executed in it by hand. */
export interface PodServer {
  readonly command: readonly string[];
  readonly pid: number;
  readonly logFile: string;
  /** Set once it has ended; a pod's server is not started again. */
  readonly exit?: Exit;
}

/** A pod that is on the network, as the lab keeps it on disk. */
export interface PodRecord {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly containerId: string;
  /** As `ip netns` names it. */
  readonly netns: string;
  readonly cgroup: string;
  readonly ipv4: string;
  readonly ipv6: string;
  readonly endpointId: number;
  /** At the time it was made; a change of labels changes it. */
  readonly identity: number;
  readonly server?: PodServer;
  /** What the CNI plugin said; DEL and CHECK want it back. */
  readonly cniResult: unknown;
}

export interface PodReference {
  readonly namespace: string;
  readonly name: string;
}

export interface AddPodRequest extends PodReference {
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly namedPorts: readonly NamedPort[];
  readonly server?: {
    readonly command: readonly [string, ...string[]];
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    /** Wait until something in the pod listens on this TCP port. */
    readonly waitPort?: number;
  };
}

/** `namespace/name`. */
export const podKey = ({ namespace, name }: PodReference): string => `${namespace}/${name}`;
