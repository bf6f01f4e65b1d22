// SPDX-License-Identifier: Apache-2.0
import { canonicalNamedPorts, formatNamedPort, type LabelSet, type NamedPort } from '@weir/model';
import type { LabelledIdentity } from '@weir/policy';

/** Named ports of identities. */
export type PortsByIdentity = ReadonlyMap<number, readonly NamedPort[]>;

/**
 * What all pods of an identity call their ports, on this node and on the others: what names of ports in egress rules mean.
 * Whoever knows of pods (an endpoint, another node) says so under a name of its own.
 */
export interface IdentityPorts {
  /** Replaces what a holder said before. Returns the identities whose ports are others now. */
  set(holder: string, ports: PortsByIdentity): readonly number[];
  /** Takes back what a holder said, likewise. */
  delete(holder: string): readonly number[];
  /** Identities with their ports, as the engine wants them. Those that are not known are left out: they come with theirs. */
  known(identities: Iterable<number>): readonly LabelledIdentity[];
  /** An identity with its ports. */
  describe(identity: Pick<LabelledIdentity, 'id' | 'labels'>): LabelledIdentity;
}

type Counted = Map<string, { readonly port: NamedPort; count: number }>;

const nothing: PortsByIdentity = new Map();

/** Knows no ports yet. `labelsOf` says who is known. */
export function createIdentityPorts(labelsOf: (identity: number) => LabelSet | undefined): IdentityPorts {
  const byHolder = new Map<string, PortsByIdentity>();
  const byIdentity = new Map<number, Counted>();

  /** Returns the identities to whose ports that makes a difference. */
  function count(ports: PortsByIdentity, step: 1 | -1): number[] {
    return [...ports].flatMap(([identity, list]) => {
      const counted: Counted = byIdentity.get(identity) ?? new Map();
      let hasChanged = false;
      for (const port of canonicalNamedPorts(list)) {
        const key = formatNamedPort(port);
        const known = counted.get(key) ?? { port, count: 0 };
        known.count += step;
        counted.set(key, known);
        if (known.count === 0) counted.delete(key);
        hasChanged ||= known.count === 0 || (step === 1 && known.count === 1);
      }
      if (counted.size === 0) byIdentity.delete(identity);
      else byIdentity.set(identity, counted);
      return hasChanged ? [identity] : [];
    });
  }

  function describe({ id, labels }: Pick<LabelledIdentity, 'id' | 'labels'>): LabelledIdentity {
    const ports = byIdentity.get(id);
    return { id, labels, ...(ports && { namedPorts: [...ports.values()].map(({ port }) => port) }) };
  }

  function set(holder: string, ports: PortsByIdentity): readonly number[] {
    const before = byHolder.get(holder) ?? nothing;
    // First what comes, so that a port that stays does not change anything.
    const changed = new Set([...count(ports, 1), ...count(before, -1)]);
    if (ports.size === 0) byHolder.delete(holder);
    else byHolder.set(holder, ports);
    return [...changed];
  }

  return {
    set,
    delete: (holder) => set(holder, nothing),
    describe,
    known: (identities) =>
      [...identities].flatMap((id) => {
        const labels = labelsOf(id);
        return labels === undefined ? [] : [describe({ id, labels })];
      }),
  };
}
