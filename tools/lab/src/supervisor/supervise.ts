// SPDX-License-Identifier: Apache-2.0
import { systemClock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { createAgentClient } from '../lab/agent-client.ts';
import { findInstallation } from '../lab/installation.ts';
import { labPaths } from '../lab/lab-paths.ts';
import { readLabSpec } from '../lab/lab-spec.ts';
import { createCgroup } from '../machine/cgroup.ts';
import { createNamespaceRegistry } from '../machine/network-namespace.ts';
import { planNetwork } from '../network/plan.ts';
import { createPodManager, type PodHost } from '../pods/pod-manager.ts';
import { createPodStore } from '../pods/pod-store.ts';
import type { ServiceStatus, SupervisorApi } from './api.ts';
import { serveApi } from './api-server.ts';
import { limitLogs } from './log-limit.ts';
import { labCgroup, planServices, type PlanServices } from './plan-services.ts';
import { createService, type Service } from './service.ts';

const logCheckPeriodMs = 10_000;
/** An agent that has just answered ADD may be restarting when it is asked for the endpoint. */
const endpointDeadlineMs = 10_000;

/**
 * Is the supervisor of a lab: keeps its processes running, owns its pods, and serves its API until it is killed. It was
 * started in a cgroup of the lab, so that `down` finds it; what it starts moves on into cgroups beside it.
 */
export async function supervise(lab: string): Promise<void> {
  const paths = labPaths(lab);
  const spec = await readLabSpec(paths);
  if (spec === undefined) throw new WeirError('NOT_FOUND', `There is no lab "${lab}": expected "${paths.specFile}"`);
  const network = planNetwork({ lab, nodeCount: spec.nodeCount });
  const plan: PlanServices = { paths, spec, network, installation: findInstallation(spec.distDirectory) };

  const planned = planServices(plan);
  await Promise.all(planned.map(({ name }) => createCgroup(labCgroup(spec, name))));
  const services = planned.map((one) => createService(one, systemClock));
  const pods = createPodManager({
    lab,
    cniPlugin: plan.installation.cniPlugin,
    logDirectory: paths.logDirectory,
    hosts: podHosts(plan),
    namespaces: createNamespaceRegistry(paths.namespaceDirectory),
    store: createPodStore(paths.podDirectory),
  });
  await serveApi(paths.supervisorSocket, {
    ...serviceOperations(services),
    addPod: (request) => pods.add(request),
    removePod: (request) => pods.remove(request),
    listPods: () => pods.list(),
  });
  for (const service of services) service.start();
  setInterval(() => void limitLogs(paths.logDirectory).catch(() => undefined), logCheckPeriodMs);
}

function podHosts({ paths, spec, network }: PlanServices): ReadonlyMap<string, PodHost> {
  return new Map(
    network.nodes.map(({ name }) => {
      const { agentSocket, cniSocket } = paths.node(name);
      const agent = createAgentClient(agentSocket);
      const endpoint = async (containerId: string): Promise<{ id: number; identity: number }> => {
        const request = { endpoint: { reference: containerId } };
        const { endpoint: found } = await agent.getEndpoint(request, {
          deadlineMs: endpointDeadlineMs,
          waitForReady: true,
        });
        return { id: found?.id ?? 0, identity: found?.identity ?? 0 };
      };
      return [name, { podCgroup: labCgroup(spec, `${name}/pods`), cniSocket, endpoint }];
    }),
  );
}

function serviceOperations(
  services: readonly Service[],
): Pick<SupervisorApi, 'status' | 'stopService' | 'startService'> {
  const startedMs = Date.now();
  const find = (name: string): Service => {
    const service = services.find((one) => one.name === name);
    if (service !== undefined) return service;
    const known = services.map((one) => one.name).join(', ');
    throw new WeirError('NOT_FOUND', `There is no service "${name}": expected one of ${known}`);
  };
  return {
    status: () => Promise.resolve({ pid: process.pid, startedMs, services: services.map(serviceStatus) }),
    async stopService({ name, signal }) {
      const service = find(name);
      await service.stop(signal);
      return serviceStatus(service);
    },
    startService({ name }) {
      const service = find(name);
      service.start();
      return Promise.resolve(serviceStatus(service));
    },
  };
}

function serviceStatus(service: Service): ServiceStatus {
  const lastExit = service.lastExit();
  return {
    name: service.name,
    state: service.state(),
    restarts: service.restarts(),
    ...(lastExit && { lastExit }),
    logFile: service.logFile,
  };
}
