// SPDX-License-Identifier: Apache-2.0
import { createLabelSet, directions, type Label, type LabelSet } from '@weir/model';
import type { ServiceDescription } from './engine/engine-types.ts';
import type { Policy, ServiceMatch } from './rule.ts';
import { selectorMatches } from './selector-spec.ts';

/** Labels that Kubernetes gives things, as selectors look at them. */
export const kubernetesLabels = (labels: Readonly<Record<string, string>>): LabelSet =>
  createLabelSet(Object.entries(labels).map(([key, value]): Label => ({ source: 'k8s', key, value })));

/** A service with its labels made ready for {@link isServiceMeant}. */
export interface KnownServiceName extends Pick<ServiceDescription, 'namespace' | 'name'> {
  readonly labelSet: LabelSet;
}

/** Whether a service is among those that a rule names. */
export function isServiceMeant(service: KnownServiceName, { namespace, name, selector }: ServiceMatch): boolean {
  if (namespace !== undefined && namespace !== service.namespace) return false;
  if (name !== undefined && name !== service.name) return false;
  return selector === undefined || selectorMatches(selector, service.labelSet);
}

/** Which services a policy names; an engine must know them for it. */
export function policyServices(policy: Policy): ServiceMatch[] {
  return policy.rules.flatMap((rule) =>
    directions.flatMap((direction) => rule[direction].grants.flatMap(({ services = [] }) => services)),
  );
}
