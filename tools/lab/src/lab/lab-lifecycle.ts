// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { createPodStore } from '../pods/pod-store.ts';
import { bringUp, isAlive, startSupervisor, type LabOptions } from './bring-up.ts';
import { openLab, type LabContext, type OpenLab } from './lab-context.ts';
import { withLabLock } from './lab-lock.ts';
import { waitForNode } from './readiness.ts';
import { routePodRanges } from './route-pod-ranges.ts';
import { hasRemains, teardown } from './teardown.ts';

export interface UpOptions extends LabOptions {
  /** How long all nodes together may take to become ready; 60,000 by default. */
  readonly timeoutMs?: number;
  /** Told what is being done, in a few words, and every two seconds what is being waited for. */
  readonly onProgress?: (text: string) => void;
}

/** Whether `up` made the lab, or found it. */
export interface UpOutcome {
  readonly alreadyUp: boolean;
  readonly nodeCount: number;
  readonly podCount: number;
}

/**
 * Brings a lab up and waits until its nodes are ready. A living one is left as it is; FAILED_PRECONDITION when it has
 * another number of nodes than asked for. The remains of a dead one are removed first.
 */
export function upLab(context: LabContext, options: UpOptions): Promise<UpOutcome> {
  const { paths, supervisor } = context;
  const onProgress = options.onProgress ?? (() => undefined);
  return withLabLock(paths.name, async () => {
    const alreadyUp = await isAlive(supervisor);
    if (!alreadyUp) {
      if (await hasRemains(paths)) {
        onProgress('Removing what an earlier lab has left');
        await teardown(paths);
      }
      await makeLab(context, options, onProgress);
    }
    const lab = await openLab(context);
    const pods = await createPodStore(paths.podDirectory).list();
    const { nodeCount } = lab.spec;
    if (options.nodeCount !== undefined && options.nodeCount !== nodeCount) {
      throw new WeirError(
        'FAILED_PRECONDITION',
        `Lab "${paths.name}" is up with ${nodeCount} nodes, asked for ${options.nodeCount}: run \`weir lab down\` first`,
      );
    }
    if (options.routing !== undefined && options.routing !== lab.spec.routing) {
      throw new WeirError(
        'FAILED_PRECONDITION',
        `Lab "${paths.name}" is up with ${lab.spec.routing} routing, asked for ${options.routing}: run \`weir lab down\` first`,
      );
    }
    refuseOtherStore(lab, options);
    await waitForNodes(lab, options.timeoutMs ?? 60_000, onProgress);
    if (lab.spec.ipam === 'cluster') await routePodRanges(lab);
    return { alreadyUp, nodeCount, podCount: pods.length };
  });
}

function refuseOtherStore({ paths, spec }: OpenLab, { store, allocatorCount, ipam }: UpOptions): void {
  const other =
    (ipam !== undefined && ipam !== spec.ipam && `pod ranges of the ${spec.ipam}, asked for those of the ${ipam}`) ||
    (store !== undefined && store !== spec.store && `the store ${spec.store}, asked for ${store}`) ||
    (allocatorCount !== undefined &&
      allocatorCount !== spec.allocatorCount &&
      `${spec.allocatorCount} allocators, asked for ${allocatorCount}`);
  if (!other) return;
  throw new WeirError('FAILED_PRECONDITION', `Lab "${paths.name}" is up with ${other}: run \`weir lab down\` first`);
}

async function makeLab(context: LabContext, options: UpOptions, onProgress: (text: string) => void): Promise<void> {
  const { paths } = context;
  try {
    const spec = await bringUp(paths, options, onProgress);
    onProgress('Starting identity-allocator, agent and l7-proxy');
    await startSupervisor(context, spec);
  } catch (error) {
    await teardown(paths);
    throw error;
  }
}

async function waitForNodes(lab: OpenLab, timeoutMs: number, onProgress: (text: string) => void): Promise<void> {
  await Promise.all(
    lab.network.nodes.map(({ name }) =>
      waitForNode({
        node: name,
        agentSocket: lab.paths.node(name).agentSocket,
        supervisor: lab.supervisor,
        timeoutMs,
        nodeCount: lab.spec.nodeCount,
        onWaiting: (missing) => onProgress(`Waiting for ${name}: ${missing}`),
      }),
    ),
  );
}

/** Removes a lab whole; false when there was none. */
export function downLab({ paths }: LabContext): Promise<boolean> {
  return withLabLock(paths.name, async () => {
    const existed = await hasRemains(paths);
    await teardown(paths);
    return existed;
  });
}
