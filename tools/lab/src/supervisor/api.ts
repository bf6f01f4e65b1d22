// SPDX-License-Identifier: Apache-2.0
import type { AddPodRequest, PodRecord, PodReference } from '../pods/pod-record.ts';
import type { Exit, ServiceState } from './service.ts';

/** A supervised process, for people and tests. */
export interface ServiceStatus {
  readonly name: string;
  readonly state: ServiceState;
  /** How often it was started again after it had ended by itself. */
  readonly restarts: number;
  readonly lastExit?: Exit;
  readonly logFile: string;
}

export interface SupervisorStatus {
  readonly pid: number;
  readonly startedMs: number;
  readonly services: readonly ServiceStatus[];
}

/** What the supervisor of a lab does for its commands. Each call is one HTTP request with a JSON body. */
export interface SupervisorApi {
  status(): Promise<SupervisorStatus>;
  /** Returns when the process has ended; it stays down until it is started. */
  stopService(request: { readonly name: string; readonly signal: NodeJS.Signals }): Promise<ServiceStatus>;
  startService(request: { readonly name: string }): Promise<ServiceStatus>;
  /** Makes a pod, or leaves nothing behind. Returns when it is on the network and its server, if it has one, runs. */
  addPod(request: AddPodRequest): Promise<PodRecord>;
  /** Ends a pod's processes, takes it off the network and removes it. */
  removePod(request: PodReference): Promise<PodRecord>;
  listPods(): Promise<readonly PodRecord[]>;
}

export type SupervisorOperation = keyof SupervisorApi;
