// SPDX-License-Identifier: Apache-2.0
import { type CancelTimer, type Clock, createBackoff } from '@weir/clock';
import { customResourceDefinitions } from '@weir/custom-resources';
import { WeirError } from '@weir/errors';
import { type KubernetesApi, type ResourceWatch, startResourceWatch, type WatchedResource } from '@weir/kubernetes';
import type { Logger } from '@weir/telemetry';
import type { LeaderElection } from '../leader/leader-election.ts';
import { createCiliumNodes, type RangesOf } from './cilium-nodes.ts';
import { ciliumNodesResource, type KubernetesNode, nodesResource } from './kubernetes-node.ts';
import { agentPodsResource, createNodeReadiness } from './node-readiness.ts';
import { createPolicyStatus, policiesResource, policyKinds } from './policy-status.ts';
import { registerDefinitions } from './register-definitions.ts';
import { createWorkQueue, type WorkQueue } from './work-queue.ts';

/** What the leader keeps in line in Kubernetes. */
export interface KubernetesDuties {
  /** The nodes that Kubernetes has, as far as they are known. */
  readonly nodes: ReadonlyMap<string, KubernetesNode>;
  /** Whether {@link nodes} are all of them. */
  readonly knowsNodes: boolean;
  /** Why something is not in line; undefined when all is. */
  readonly reason: string | undefined;
  /** Objects that wait to be looked at. */
  readonly pending: number;
  start(): void;
  stop(): Promise<void>;
}

export interface KubernetesDutiesOptions {
  readonly api: KubernetesApi;
  readonly election: Pick<LeaderElection, 'isLeader'>;
  /** Where Weir's own pods are. */
  readonly namespace: string;
  /** Labels of the agents' pods. */
  readonly agentSelector: string;
  readonly clusterName: string;
  readonly rangesOf: RangesOf;
  readonly clock: Clock;
  readonly logger: Logger;
}

const lookMs = 500;
// Kinds are not there until the first leader has registered them.
const watchRetryMs = { initialMs: 200, maxMs: 5_000, absentMs: 5_000 } as const;
const retryMs = { initialMs: 500, maxMs: 30_000 } as const;

/** Makes the worker. Every operator knows the objects; only the leader changes any. */
export function createKubernetesDuties(options: KubernetesDutiesOptions): KubernetesDuties {
  const { api, election, clock, logger } = options;
  const definitions = createRegistration(options);
  const watches: ResourceWatch<unknown>[] = [];
  const queues: WorkQueue[] = [];
  const watch = <Item>(resource: WatchedResource<Item>, onChange: (keys: readonly string[]) => void) => {
    const started = startResourceWatch({ api, resource, onChange, clock, logger, retryMs: watchRetryMs });
    watches.push(started);
    return started;
  };
  let nodes: ResourceWatch<KubernetesNode> | undefined;

  const begin = (): void => {
    // Before everything is known, what is not known is not gone.
    const mayWork = (): boolean => election.isLeader && watches.every(({ isSynced }) => isSynced);
    const queue = (name: string, process: (key: string) => Promise<boolean>): WorkQueue => {
      const made = createWorkQueue({ name, process, mayWork, clock, logger });
      queues.push(made);
      return made;
    };
    const known = watch(nodesResource, (keys) => [nodeQueue, readinessQueue].forEach(({ add }) => add(keys)));
    nodes = known;
    const written = watch(ciliumNodesResource, (keys) => nodeQueue.add(keys));
    const agents = watch(agentPodsResource(options.namespace, options.agentSelector), () =>
      readinessQueue.add(known.items.keys()),
    );
    const ciliumNodes = createCiliumNodes({ ...options, nodes: known.items, written: written.items });
    const readiness = createNodeReadiness({ api, clock, nodes: known.items, agents: agents.items });
    const nodeQueue = queue('ciliumnodes', ciliumNodes.reconcile);
    const readinessQueue = queue('nodes', readiness.reconcile);
    for (const kind of policyKinds) {
      const policies = watch(policiesResource(kind, options.clusterName), (keys) => policyQueue.add(keys));
      const policyQueue = queue(kind, createPolicyStatus({ api, kind, policies: policies.items, clock }).reconcile);
    }
    queues.forEach((each) => each.start());
  };
  return {
    get nodes() {
      return nodes?.items ?? new Map<string, KubernetesNode>();
    },
    get knowsNodes() {
      return nodes?.isSynced === true;
    },
    get reason() {
      const failures = queues.flatMap(({ failure }) => (failure === undefined ? [] : [failure.message]));
      return definitions.reason ?? failures[0];
    },
    get pending() {
      return queues.reduce((sum, { size }) => sum + size, 0);
    },
    start() {
      begin();
      definitions.start();
    },
    async stop() {
      await definitions.stop();
      await Promise.all([...queues, ...watches].map((each) => each.stop()));
    },
  };
}

/** Whoever becomes leader registers the definitions. */
function createRegistration({ api, election, clock, logger }: KubernetesDutiesOptions) {
  const backoff = createBackoff(retryMs);
  const abort = new AbortController();
  let reason: string | undefined;
  let isDone = false;
  let cancelTimer: CancelTimer = () => undefined;
  let running: Promise<void> = Promise.resolve();

  const register = async (): Promise<void> => {
    if (!election.isLeader || isDone) return;
    const definitions = customResourceDefinitions();
    await registerDefinitions({ api, definitions, logger, signal: abort.signal });
    isDone = true;
    reason = undefined;
  };
  const run = async (): Promise<void> => {
    let delayMs: number = lookMs;
    running = register().catch((thrown: unknown) => {
      if (abort.signal.aborted) return;
      const error = WeirError.from(thrown);
      if (error.message !== reason) logger.warn({ error }, 'Definitions cannot be registered');
      reason = error.message;
      delayMs = backoff.nextMs();
    });
    await running;
    // A leader that lost its place registers again: another version may have been at work meanwhile.
    if (!election.isLeader) isDone = false;
    if (!abort.signal.aborted) cancelTimer = clock.schedule(delayMs, () => void run());
  };
  return {
    get reason() {
      return reason;
    },
    start: () => void run(),
    async stop() {
      abort.abort();
      cancelTimer();
      await running;
    },
  };
}
