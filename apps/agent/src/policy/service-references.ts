// SPDX-License-Identifier: Apache-2.0
import { cidrOfAddress, parseIpAddress, type Service, serviceKey } from '@weir/model';
import {
  isServiceMeant,
  kubernetesLabels,
  policyServices,
  type PolicyUpdate,
  type ServiceDescription,
  type ServiceMatch,
} from '@weir/policy';
import type { ServiceEvent } from '../service/service-controller.ts';

/**
 * The services that policies name (`toServices`). The policy engine is told of these alone: a node may have ten thousand
 * services, and policies of none of them.
 */
export interface ServiceReferences {
  /** The update with the services that its policies name and the engine does not know yet, and without those of none. */
  complete(update: PolicyUpdate): PolicyUpdate;
  /** What changes of services mean to policies; undefined when nothing. */
  changed(events: readonly ServiceEvent[]): PolicyUpdate | undefined;
  /** Takes for unknown what the engine was told of some services: it could not be brought into force. */
  distrust(keys: readonly string[]): void;
}

/** A service as policies look at it: by name and labels, and the pods or the addresses behind it. */
export function describeService(service: Service): ServiceDescription {
  const { namespace, name, labels = {}, selector, backends } = service;
  if (selector !== undefined) return { namespace, name, labels, selector };
  const addresses = [...new Set(backends.map(({ address }) => address))].sort();
  return { namespace, name, labels, addresses: addresses.map((text) => cidrOfAddress(parseIpAddress(text))) };
}

const textOf = ({ labels = {}, selector, backends }: Service): string =>
  JSON.stringify([labels, selector ?? [...new Set(backends.map(({ address }) => address))].sort()]);

const nameOf = (key: string): { namespace: string; name: string } => {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
};

/** Knows the services of a node by a function, as they are at the time. */
export function createServiceReferences(services: () => Iterable<Service>): ServiceReferences {
  const matches = new Map<string, readonly ServiceMatch[]>();
  // What the engine knows, as text; empty where that is not to be trusted.
  const told = new Map<string, string>();

  const isNamed = ({ namespace, name, labels = {} }: Service): boolean => {
    const known = { namespace, name, labelSet: kubernetesLabels(labels) };
    return [...matches.values()].some((list) => list.some((match) => isServiceMeant(known, match)));
  };

  /** Notes what the engine will know of a service, and says what it must be told for that. */
  const tell = (key: string, service: Service | undefined): PolicyUpdate => {
    if (service === undefined || !isNamed(service)) {
      return told.delete(key) ? { deleteServices: [nameOf(key)] } : {};
    }
    const text = textOf(service);
    if (told.get(key) === text) return {};
    told.set(key, text);
    return { upsertServices: [describeService(service)] };
  };

  const joined = (
    updates: readonly PolicyUpdate[],
  ): Required<Pick<PolicyUpdate, 'upsertServices' | 'deleteServices'>> => ({
    upsertServices: updates.flatMap(({ upsertServices = [] }) => upsertServices),
    deleteServices: updates.flatMap(({ deleteServices = [] }) => deleteServices),
  });

  return {
    complete(update) {
      const { upsertPolicies = [], deletePolicies = [] } = update;
      if (upsertPolicies.length + deletePolicies.length === 0) return update;
      const hadMatches = matches.size > 0;
      for (const key of deletePolicies) matches.delete(key);
      for (const policy of upsertPolicies) {
        const named = policyServices(policy);
        if (named.length > 0) matches.set(policy.key, named);
        else matches.delete(policy.key);
      }
      if (!hadMatches && matches.size === 0) return update;
      const present = new Map([...services()].map((service) => [serviceKey(service), service]));
      const keys = new Set([...told.keys(), ...present.keys()]);
      return { ...update, ...joined([...keys].map((key) => tell(key, present.get(key)))) };
    },
    changed(events) {
      if (matches.size === 0) return undefined;
      const update = joined(
        events.map((event) =>
          event.kind === 'upserted' ? tell(serviceKey(event.service), event.service) : tell(event.key, undefined),
        ),
      );
      return update.upsertServices.length + update.deleteServices.length === 0 ? undefined : update;
    },
    distrust(keys) {
      for (const key of keys) told.set(key, '');
    },
  };
}
