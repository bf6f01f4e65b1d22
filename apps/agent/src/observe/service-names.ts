// SPDX-License-Identifier: Apache-2.0
import type { flow } from '@weir/proto';
import type { NamedService } from './thread-messages.ts';

/** One end of a connection. */
export interface ServiceEnd {
  readonly address: string;
  readonly port: number;
  /** The number of the IP protocol. */
  readonly protocol: number;
}

/** Which service an address and port are of, as it was at the time of each flow. */
export interface ServiceNames {
  put(service: NamedService, atMs: number): void;
  remove(key: string, atMs: number): void;
  /**
   * The service that clients call by this address and port; else the one that it is a backend of, where that is one alone.
   * One and the same object for all flows.
   */
  find(end: ServiceEnd, timeMs: number): flow.Service.$Properties | null;
  prune(beforeMs: number): void;
}

interface Version {
  readonly sinceMs: number;
  readonly service: flow.Service.$Properties | null;
}

/** Who claims an end: services by their frontends, and by their backends. */
interface Claims {
  readonly frontends: Map<string, flow.Service.$Properties>;
  readonly backends: Map<string, flow.Service.$Properties>;
}

const keyOf = ({ address, port, protocol }: ServiceEnd): string => `${protocol} ${port} ${address}`;

function claimedBy({ frontends, backends }: Claims): flow.Service.$Properties | null {
  const [frontend] = frontends.values();
  if (frontend !== undefined) return frontend;
  const [backend] = backends.values();
  return backends.size === 1 ? (backend ?? null) : null;
}

type Side = keyof Claims;

/** A service, and the keys of its ends. */
interface Known {
  readonly named: flow.Service.$Properties;
  readonly ends: Readonly<Record<Side, ReadonlySet<string>>>;
}

/** Knows none at first. */
export function createServiceNames(): ServiceNames {
  const services = new Map<string, Known>();
  const claims = new Map<string, Claims>();
  const histories = new Map<string, Version[]>();

  const note = (key: string, its: Claims, atMs: number): void => {
    const history = histories.get(key) ?? [];
    const service = claimedBy(its);
    if ((history.at(-1)?.service ?? null) !== service) history.push({ sinceMs: atMs, service });
    if (history.length > 0) histories.set(key, history);
    if (its.frontends.size + its.backends.size === 0) claims.delete(key);
    else claims.set(key, its);
  };
  const change = (service: string, to: Known | undefined, atMs: number): void => {
    const from = services.get(service);
    for (const side of ['frontends', 'backends'] as const) {
      const [before, after] = [from?.ends[side] ?? new Set<string>(), to?.ends[side] ?? new Set<string>()];
      const changed = [...before].filter((key) => !after.has(key));
      for (const key of [...changed, ...[...after].filter((each) => !before.has(each))]) {
        const its = claims.get(key) ?? { frontends: new Map(), backends: new Map() };
        if (to !== undefined && after.has(key)) its[side].set(service, to.named);
        else its[side].delete(service);
        note(key, its, atMs);
      }
    }
    if (to === undefined) services.delete(service);
    else services.set(service, to);
  };

  return {
    put({ namespace, name, frontends, backends }, atMs) {
      const service = `${namespace}/${name}`;
      const named = services.get(service)?.named ?? { name, namespace };
      const ends = { frontends: new Set(frontends.map(keyOf)), backends: new Set(backends.map(keyOf)) };
      change(service, { named, ends }, atMs);
    },
    remove: (service, atMs) => change(service, undefined, atMs),
    find(end, timeMs) {
      if (histories.size === 0) return null;
      return histories.get(keyOf(end))?.findLast(({ sinceMs }) => sinceMs <= timeMs)?.service ?? null;
    },
    prune(beforeMs) {
      for (const [key, history] of histories) {
        const kept = history.filter((_, index) => (history[index + 1]?.sinceMs ?? Infinity) > beforeMs);
        if (kept.length === 1 && kept[0]?.service === null) histories.delete(key);
        else histories.set(key, kept);
      }
    },
  };
}
