// SPDX-License-Identifier: Apache-2.0
import { createSelectorSpec, type Requirement, type SelectorSpec } from '../selector-spec.ts';
import type { ActiveGrant } from './decision.ts';
import type { Contribution } from './direction-policy.ts';

/** What all rules together require of the peers of a direction: the `fromRequires` and `toRequires` of the language. */
export interface RequiredPeers {
  /** Equal while the same is required. */
  readonly key: string;
  add(contribution: Contribution): void;
  remove(contribution: Contribution): void;
  /** The grant for those of its peers that are what is required; the same grant when nothing is. */
  narrow(grant: ActiveGrant): ActiveGrant;
}

/** Selectors in use, all of which must hold. */
interface Required {
  readonly key: string;
  readonly requirements: readonly Requirement[];
  change(spec: SelectorSpec | undefined, step: 1 | -1): void;
}

function createRequired(): Required {
  const uses = new Map<string, { readonly spec: SelectorSpec; count: number }>();
  return {
    get key() {
      return [...uses.keys()].sort().join(' && ');
    },
    get requirements() {
      return [...uses.values()].flatMap(({ spec }) => spec.requirements);
    },
    change(spec, step) {
      if (spec === undefined) return;
      const use = uses.get(spec.key) ?? { spec, count: 0 };
      use.count += step;
      if (use.count === 0) uses.delete(spec.key);
      else uses.set(spec.key, use);
    },
  };
}

/** Requires nothing, as yet. */
export function createRequiredPeers(): RequiredPeers {
  const allowed = createRequired();
  const denied = createRequired();
  const change = ({ required, requiredOfDenied }: Contribution, step: 1 | -1): void => {
    allowed.change(required, step);
    denied.change(requiredOfDenied, step);
  };
  return {
    get key() {
      return `${allowed.key}\n${denied.key}`;
    },
    add: (contribution) => change(contribution, 1),
    remove: (contribution) => change(contribution, -1),
    narrow(grant) {
      const { requirements } = grant.verdict === 'allow' ? allowed : denied;
      if (requirements.length === 0) return grant;
      const peers = grant.peers === 'any' ? [createSelectorSpec([])] : grant.peers;
      const narrowed = peers.map((peer) => createSelectorSpec([...peer.requirements, ...requirements]));
      return { ...grant, peers: narrowed };
    },
  };
}
