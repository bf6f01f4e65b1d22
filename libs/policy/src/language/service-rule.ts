// SPDX-License-Identifier: Apache-2.0
import { fieldPath, fieldPlace, type Place, reportProblem } from '../document/place.ts';
import { listReader, objectReader, type ObjectSchema, type Reader, refineReader } from '../document/readers.ts';
import type { ServiceMatch } from '../rule.ts';
import type { SelectorSpec } from '../selector-spec.ts';
import { readName, readNamespace } from './names.ts';
import { readSelector } from './selector.ts';

interface NamedService {
  readonly serviceName: string;
  readonly namespace?: string;
}

interface SelectedServices {
  readonly selector: SelectorSpec;
  readonly namespace?: string;
}

interface ServiceFields {
  readonly k8sService?: NamedService;
  readonly k8sServiceSelector?: SelectedServices;
}

/** `k8sService`. */
export const namedServiceSchema: ObjectSchema<NamedService> = {
  fields: { serviceName: readName, namespace: readNamespace },
  required: ['serviceName'],
};

/** `k8sServiceSelector`. */
export const selectedServicesSchema: ObjectSchema<SelectedServices> = {
  fields: { selector: readSelector, namespace: readNamespace },
  required: ['selector'],
};

/** An item of `toServices`. */
export const serviceSchema: ObjectSchema<ServiceFields> = {
  fields: { k8sService: objectReader(namedServiceSchema), k8sServiceSelector: objectReader(selectedServicesSchema) },
  constraints: { anyOf: [{ required: ['k8sService'] }, { required: ['k8sServiceSelector'] }] },
  check(_fields, place) {
    const named = place.node.fields.filter(({ key }) => Object.hasOwn(serviceSchema.fields, key));
    if (named.length === 1) return;
    const path = fieldPath(place.path, 'k8sService');
    reportProblem(place, 'Exactly one of k8sService, k8sServiceSelector must be in one item', { path });
  },
};

/** Reads `toServices`. */
export const readServices: Reader<readonly ServiceMatch[]> = listReader(
  refineReader(objectReader(serviceSchema), ({ k8sService, k8sServiceSelector }): ServiceMatch | undefined => {
    const namespace = k8sService?.namespace ?? k8sServiceSelector?.namespace;
    const inNamespace = namespace === undefined ? {} : { namespace };
    if (k8sService !== undefined) return { ...inNamespace, name: k8sService.serviceName };
    return k8sServiceSelector && { ...inNamespace, selector: k8sServiceSelector.selector };
  }),
);

/** The ports of a service are those of what is behind it; an item cannot narrow them, here as in the reference. */
export function checkServicesWithoutPorts(place: Place): void {
  if (place.node.kind !== 'map') return;
  const { fields } = place.node;
  const toPorts = fields.find(({ key }) => key === 'toPorts');
  if (toPorts === undefined || !fields.some(({ key }) => key === 'toServices')) return;
  reportProblem(fieldPlace(place, toPorts), 'Ports cannot be narrowed beside toServices; write toEndpoints instead', {
    span: toPorts.keySpan,
    path: fieldPath(place.path, 'toPorts'),
  });
}
