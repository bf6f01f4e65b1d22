// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { PodReference } from './pod-record.ts';

/** Namespace of a pod that is named without one. */
export const defaultNamespace = 'default';

// As Kubernetes has it: a DNS label for a namespace, several joined by dots for a pod; short enough for file names.
const labelPattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const podNameLengthMax = 100;

/** Checks the two parts of a pod's name; INVALID_ARGUMENT names the wrong one. */
export function checkPodName(pod: PodReference): void {
  if (!labelPattern.test(pod.namespace)) {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `Invalid namespace "${pod.namespace}": expected at most 63 lower-case letters, digits and inner hyphens`,
    );
  }
  if (pod.name.length > podNameLengthMax || !pod.name.split('.').every((part) => labelPattern.test(part))) {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `Invalid pod name "${pod.name}": expected at most ${podNameLengthMax} lower-case letters, digits, inner hyphens and dots`,
    );
  }
}

/** The name of a pod's network namespace. Neither a lab's name has a hyphen nor a namespace a dot, so it is unique. */
export const podNetns = (lab: string, { namespace, name }: PodReference): string => `${lab}-${namespace}.${name}`;

/** The name of what belongs to a pod, as a file or a directory. */
export const podFileName = ({ namespace, name }: PodReference): string => `${namespace}_${name}`;

/**
 * Finds the pod that a user means by `name` or `namespace/name`. NOT_FOUND when there is none, INVALID_ARGUMENT when a
 * bare name stands for several.
 */
export function findPod<Pod extends PodReference>(pods: readonly Pod[], reference: string): Pod {
  const [first = '', second] = reference.split('/', 2);
  const matches = pods.filter((pod) =>
    second === undefined ? pod.name === first : pod.namespace === first && pod.name === second,
  );
  const [match, ...others] = matches;
  if (match === undefined) {
    throw new WeirError('NOT_FOUND', `There is no pod "${reference}"`, { details: { pod: reference } });
  }
  if (others.length > 0) {
    const names = matches.map((pod) => `"${pod.namespace}/${pod.name}"`).join(', ');
    throw new WeirError('INVALID_ARGUMENT', `Pod "${reference}" is not unique: expected one of ${names}`);
  }
  return match;
}
