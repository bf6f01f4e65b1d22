// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { mountBpffs, unmountBpffs } from '@weir/bpf-loader-node';
import { direction, policyVerdict } from '@weir/datapath-layout';
import { openKernelDatapath } from '@weir/datapath-loader';
import type { PolicyContent, PolicyMapEntry, PolicyMapKey, PolicyPatch } from '@weir/datapath-maps';
import type { PolicyEngine, PolicyEntry, PolicyEntryKey, PolicyUpdate } from '@weir/policy';

/** An engine whose changes are written to a datapath in the kernel. */
export interface PolicyKernel {
  /** Resolves when the maps are as the engine says. */
  apply(update: PolicyUpdate): Promise<void>;
  /** Leaves nothing in the kernel. */
  close(): Promise<void>;
}

/** What {@link openPolicyKernel} works with. */
export interface PolicyKernelOptions {
  readonly engine: PolicyEngine;
  /** Identities of the local endpoints; each has a slot of its own. */
  readonly subjects: readonly number[];
  readonly objectPath: string;
  /** An empty one, for a BPF file system. */
  readonly directory: string;
}

const verdicts = { allow: policyVerdict.allow, deny: policyVerdict.refuse, redirect: policyVerdict.redirect } as const;
const keyOf = ({ direction: way, ...key }: PolicyEntryKey): PolicyMapKey => ({ ...key, direction: direction[way] });

/** As the agent translates them, except that numbers for rules stand for nothing here. */
const entryOf = ({ direction: way, peerIdentity, protocol, port, verdict, ruleSet }: PolicyEntry): PolicyMapEntry => ({
  ...{ direction: direction[way], peerIdentity, protocol, port, cookie: 1 },
  ...{ verdict: verdicts[verdict], ruleSet: ruleSet === undefined ? 0 : 1 },
});

/** Writes all that the engine has, and from then on what changes. */
export async function openPolicyKernel(options: PolicyKernelOptions): Promise<PolicyKernel> {
  const { engine, subjects, objectPath, directory } = options;
  const bpfRoot = join(directory, 'bpf');
  mountBpffs(directory);
  const datapath = await openKernelDatapath({ bpfRoot, objectPath, limits: { ct: 1024, policy: 1 << 19 } });
  const slots = new Map(subjects.map((id, index) => [id, index + 1]));
  const slotOf = (subject: number): number => slots.get(subject) ?? 0;
  const contentOf = (subject: number): PolicyContent => {
    const { ingressEnforced = false, egressEnforced = false, entries = [] } = engine.resolve(subject) ?? {};
    return { ingressEnforced, egressEnforced, entries: entries.map(entryOf) };
  };
  await datapath.apply({ policies: new Map(subjects.map((id) => [slotOf(id), contentOf(id)])) });
  return {
    async apply(update) {
      const policies = new Map<number, PolicyContent>();
      const policyPatches = new Map<number, PolicyPatch>();
      for (const { subject, rulesChanged, upserted, deleted } of engine.apply(update).subjects) {
        if (rulesChanged) policies.set(slotOf(subject), contentOf(subject));
        else policyPatches.set(slotOf(subject), { added: upserted.map(entryOf), removed: deleted.map(keyOf) });
      }
      await datapath.apply({ policies, policyPatches });
    },
    async close() {
      await datapath.close();
      unmountBpffs(directory);
    },
  };
}
