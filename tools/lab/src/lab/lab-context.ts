// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { planNetwork, type NetworkPlan } from '../network/plan.ts';
import type { SupervisorApi } from '../supervisor/api.ts';
import { createSupervisorClient } from '../supervisor/api-client.ts';
import { labPaths, type LabPaths } from './lab-paths.ts';
import { readLabSpec, type LabSpec } from './lab-spec.ts';

/** What every command on a lab starts from. */
export interface LabContext {
  readonly paths: LabPaths;
  readonly supervisor: SupervisorApi;
}

/** A lab that is up, or was. */
export interface OpenLab extends LabContext {
  readonly spec: LabSpec;
  readonly network: NetworkPlan;
}

/** Everything that the commands of one lab share; touches nothing yet. */
export function createLabContext(name: string): LabContext {
  const paths = labPaths(name);
  return { paths, supervisor: createSupervisorClient(paths.supervisorSocket) };
}

/** Adds what is on disk of a lab. FAILED_PRECONDITION when there is none. */
export async function openLab(context: LabContext): Promise<OpenLab> {
  const { paths } = context;
  const spec = await readLabSpec(paths);
  if (spec === undefined) {
    throw new WeirError('FAILED_PRECONDITION', `Lab "${paths.name}" is not up: run \`weir lab up\` first`);
  }
  return { ...context, spec, network: planNetwork({ lab: paths.name, nodeCount: spec.nodeCount }) };
}
