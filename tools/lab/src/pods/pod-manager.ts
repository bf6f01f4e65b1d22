// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { WeirError } from '@weir/errors';
import { createCgroup, removeCgroup } from '../machine/cgroup.ts';
import { createLimiter } from '../machine/limiter.ts';
import { netnsPath, type NamespaceRegistry } from '../machine/network-namespace.ts';
import { cniAdd, cniDelete, type CniCall, type CniResult } from './cni-plugin.ts';
import { checkPodName, podFileName, podNetns } from './pod-name.ts';
import type { Exit } from '../supervisor/service.ts';
import { podKey, type AddPodRequest, type PodRecord, type PodReference } from './pod-record.ts';
import { startPodServer } from './pod-server.ts';
import type { PodStore } from './pod-store.ts';

/** What a pod manager needs to know of a node. */
export interface PodHost {
  /** Cgroups of pods are made below it. */
  readonly podCgroup: string;
  readonly cniSocket: string;
  /** Number and identity of a container's endpoint, from the node's agent. */
  endpoint(containerId: string): Promise<{ readonly id: number; readonly identity: number }>;
}

export interface PodManagerOptions {
  readonly lab: string;
  readonly cniPlugin: string;
  readonly logDirectory: string;
  readonly hosts: ReadonlyMap<string, PodHost>;
  readonly namespaces: NamespaceRegistry;
  readonly store: PodStore;
}

/** Makes and removes the pods of a lab: the part of a container runtime that a network needs. */
export interface PodManager {
  /** Makes a pod, or leaves nothing behind. ALREADY_EXISTS when the name is taken, NOT_FOUND for an unknown node. */
  add(request: AddPodRequest): Promise<PodRecord>;
  /** NOT_FOUND when there is no such pod. A removal that failed can be repeated. */
  remove(reference: PodReference): Promise<PodRecord>;
  list(): Promise<readonly PodRecord[]>;
}

/** Pods of one lab. */
export const podsMax = 1_000;
/** Each pod in the making takes a few short-lived processes. */
const concurrentMax = 16;

type Entry = { readonly kind: 'adding' } | { kind: 'ready' | 'removing'; pod: PodRecord };

/** Makes a manager with no pods. */
export function createPodManager(options: PodManagerOptions): PodManager {
  const entries = new Map<string, Entry>();
  const limited = createLimiter(concurrentMax);

  const noteExit = (key: string, containerId: string, exit: Exit): void => {
    const entry = entries.get(key);
    if (entry?.kind !== 'ready' || entry.pod.containerId !== containerId || entry.pod.server === undefined) return;
    entry.pod = { ...entry.pod, server: { ...entry.pod.server, exit } };
    options.store.save(entry.pod).catch(() => undefined);
  };

  return {
    async add(request) {
      checkPodName(request);
      const key = podKey(request);
      const host = options.hosts.get(request.node);
      if (host === undefined) throw unknownNode(request.node, [...options.hosts.keys()]);
      if (entries.has(key)) throw new WeirError('ALREADY_EXISTS', `Pod "${key}" exists already`);
      if (entries.size >= podsMax) {
        throw new WeirError('RESOURCE_EXHAUSTED', `A lab has at most ${podsMax} pods`);
      }
      entries.set(key, { kind: 'adding' });
      try {
        const { pod, exited } = await limited(() => addPod(options, host, request));
        entries.set(key, { kind: 'ready', pod });
        void exited?.then((exit) => noteExit(key, pod.containerId, exit));
        return pod;
      } catch (error) {
        entries.delete(key);
        throw error;
      }
    },
    async remove(reference) {
      const key = podKey(reference);
      const entry = entries.get(key);
      if (entry === undefined) throw new WeirError('NOT_FOUND', `There is no pod "${key}"`);
      if (entry.kind !== 'ready') {
        throw new WeirError(
          'FAILED_PRECONDITION',
          `Pod "${key}" is ${entry.kind === 'adding' ? 'being added' : 'being removed'}`,
        );
      }
      entry.kind = 'removing';
      try {
        await limited(() => removePod(options, entry.pod));
      } catch (error) {
        entry.kind = 'ready';
        throw error;
      }
      entries.delete(key);
      return entry.pod;
    },
    list: () => options.store.list(),
  };
}

function unknownNode(node: string, known: readonly string[]): WeirError {
  return new WeirError('NOT_FOUND', `There is no node "${node}": expected one of ${known.join(', ')}`);
}

interface AddedPod {
  readonly pod: PodRecord;
  /** When its server ends, if it has one. */
  readonly exited?: Promise<Exit>;
}

async function addPod(options: PodManagerOptions, host: PodHost, request: AddPodRequest): Promise<AddedPod> {
  const { namespaces, store } = options;
  const { namespace, name, node, server } = request;
  const containerId = randomBytes(16).toString('hex');
  const netns = podNetns(options.lab, request);
  const cgroup = join(host.podCgroup, podFileName(request));
  const logFile = podLog(options, request);
  const call = cniCall({ options, host, pod: { ...request, containerId, netns } });
  const undo: (() => Promise<unknown>)[] = [() => store.remove(request)];
  try {
    undo.unshift(() => namespaces.remove(netns));
    await namespaces.create(netns);
    undo.unshift(() => removeCgroup(cgroup));
    await createCgroup(cgroup);
    undo.unshift(() => cniDelete(call));
    const result: CniResult = await cniAdd({ ...call, labels: request.labels, namedPorts: request.namedPorts });
    const { id: endpointId, identity } = await host.endpoint(containerId);
    const started =
      server && (await startPodServer({ pod: podKey(request), place: { netns, cgroup }, server, logFile }));
    const { ipv4, ipv6, raw: cniResult } = result;
    const at = { namespace, name, node, containerId, netns, cgroup, ipv4, ipv6, endpointId, identity };
    const pod: PodRecord = { ...at, ...(started && { server: started.server }), cniResult };
    await store.save(pod);
    return { pod, ...(started && { exited: started.exited }) };
  } catch (error) {
    for (const step of undo) await step().catch(() => undefined);
    await rm(logFile, { force: true });
    throw error;
  }
}

async function removePod(options: PodManagerOptions, pod: PodRecord): Promise<void> {
  const host = options.hosts.get(pod.node);
  if (host === undefined) throw unknownNode(pod.node, [...options.hosts.keys()]);
  await removeCgroup(pod.cgroup);
  await cniDelete({ ...cniCall({ options, host, pod }), prevResult: pod.cniResult });
  await options.namespaces.remove(pod.netns);
  await options.store.remove(pod);
  await rm(podLog(options, pod), { force: true });
}

const podLog = ({ logDirectory }: PodManagerOptions, pod: PodReference): string =>
  join(logDirectory, `pod-${podFileName(pod)}.log`);

function cniCall(spec: {
  readonly options: PodManagerOptions;
  readonly host: PodHost;
  readonly pod: PodReference & { readonly containerId: string; readonly netns: string };
}): Omit<CniCall, 'command'> {
  const { options, host, pod } = spec;
  return {
    plugin: options.cniPlugin,
    containerId: pod.containerId,
    netnsPath: netnsPath(pod.netns),
    namespace: pod.namespace,
    pod: pod.name,
    socket: host.cniSocket,
  };
}
