// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { WeirError } from '@weir/errors';
import type { Place } from '../machine/enter.ts';
import type { NetworkPlan } from '../network/plan.ts';
import { findPod } from '../pods/pod-name.ts';
import type { PodRecord } from '../pods/pod-record.ts';
import { createPodStore } from '../pods/pod-store.ts';
import { openLab, type LabContext } from './lab-context.ts';

export interface FindPlace {
  /** `name` or `namespace/name` of a pod, `@node1`, or `@world`. */
  readonly target: string;
  readonly network: NetworkPlan;
  readonly pods: readonly PodRecord[];
  /** The root of the lab's cgroups. */
  readonly cgroup: string;
}

/** Finds where a command for a target is to run. NOT_FOUND names the targets that there are. */
export function findPlace({ target, network, pods, cgroup }: FindPlace): Place {
  if (!target.startsWith('@')) {
    const pod = findPod(pods, target);
    return { netns: pod.netns, cgroup: pod.cgroup };
  }
  const hosts = hostPlaces(network, cgroup);
  const place = hosts.get(target);
  if (place === undefined) {
    throw new WeirError('NOT_FOUND', `There is no host "${target}": expected one of ${[...hosts.keys()].join(', ')}`);
  }
  return place;
}

/** Finds a target in a lab that is up, by what is on disk. */
export async function placeOf(context: LabContext, target: string): Promise<Place> {
  const { network, spec, paths } = await openLab(context);
  return findPlace({ target, network, cgroup: spec.cgroup, pods: await createPodStore(paths.podDirectory).list() });
}

/** Where commands run that are executed on the hosts of a lab, by target. */
export function hostPlaces(network: NetworkPlan, cgroup: string): ReadonlyMap<string, Place> {
  return new Map([
    ['@world', { netns: network.world.netns, cgroup: join(cgroup, 'world') }],
    ...network.nodes.map(({ name, netns }) => [`@${name}`, { netns, cgroup: join(cgroup, name, 'exec') }] as const),
  ]);
}
