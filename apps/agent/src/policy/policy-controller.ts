// SPDX-License-Identifier: Apache-2.0
import type { Datapath, DatapathChange, PolicyContent, PolicyPatch } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import type { PolicyEngine, PolicyUpdate, SubjectChange } from '@weir/policy';
import type { Logger } from '@weir/telemetry';
import type { PolicySlots } from './policy-slots.ts';
import type { PolicyTranslation } from './policy-translation.ts';

/** What is committed together. `datapath` may depend on slots, which are known once policies have been worked out. */
export interface Commit {
  readonly policy?: PolicyUpdate;
  readonly datapath?: () => Omit<DatapathChange, 'policies' | 'policyPatches' | 'policiesRemoved'>;
}

/** Brings the kernel, and before it the proxy, in line with what the policy engine says. */
export interface PolicyController {
  /**
   * Applies a change of policies, identities, subjects or placement and resolves when the kernel enforces all of it.
   * Commits are made one after the other. Rejects with INVALID_ARGUMENT (nothing has changed), or with what the datapath
   * says: then the engine is ahead of the kernel, which keeps the last good policy, and the difference is tried again with
   * every later commit.
   */
  commit(commit: Commit): Promise<void>;
  /** Identities whose policy in the kernel is older than it should be, and why. Empty in good times. */
  readonly behind: ReadonlyMap<number, string>;
}

export interface PolicyControllerOptions {
  readonly engine: PolicyEngine;
  readonly datapath: Datapath;
  readonly slots: PolicySlots;
  readonly translation: PolicyTranslation;
  /** Tells the proxy of all rule sets that are numbered by now; resolves when it can apply them, or cannot be reached. */
  readonly publishRuleSets: () => Promise<void>;
  readonly logger: Logger;
}

interface Plan {
  readonly policies: Map<number, PolicyContent>;
  readonly policyPatches: Map<number, PolicyPatch>;
  readonly removed: number[];
}

const retryDelayMs = 1_000;

/** See {@link PolicyController}. */
export function createPolicyController(options: PolicyControllerOptions): PolicyController {
  const { engine, datapath, slots, translation, publishRuleSets, logger } = options;
  const behind = new Map<number, string>();
  let last: Promise<unknown> = Promise.resolve();
  let retryTimer: NodeJS.Timeout | undefined;

  const contentOf = (subject: number): PolicyContent => {
    const resolved = engine.resolve(subject);
    return {
      ingressEnforced: resolved?.ingressEnforced ?? false,
      egressEnforced: resolved?.egressEnforced ?? false,
      entries: resolved?.entries.map(translation.entry) ?? [],
    };
  };

  const planSubject = (plan: Plan, change: SubjectChange): void => {
    const { subject } = change;
    if (change.kind === 'removed') {
      const slot = slots.find(subject);
      if (slot !== undefined) plan.removed.push(subject);
      behind.delete(subject);
    } else if (change.kind === 'added' || change.rulesChanged || behind.has(subject)) {
      plan.policies.set(slots.slotOf(subject), contentOf(subject));
    } else {
      plan.policyPatches.set(slots.slotOf(subject), {
        added: change.upserted.map(translation.entry),
        removed: change.deleted.map(translation.key),
      });
    }
  };

  /** A subject is a whole or a patch, never both, and what an earlier commit failed to write comes along. */
  const makePlan = (changes: readonly SubjectChange[]): Plan => {
    const plan: Plan = { policies: new Map(), policyPatches: new Map(), removed: [] };
    for (const change of changes) planSubject(plan, change);
    for (const subject of behind.keys()) plan.policies.set(slots.slotOf(subject), contentOf(subject));
    return plan;
  };

  const scheduleRetry = (): void => {
    if (behind.size === 0) return;
    retryTimer ??= setTimeout(() => {
      retryTimer = undefined;
      commit({}).catch(() => undefined);
    }, retryDelayMs);
    retryTimer.unref();
  };

  const run = async ({ policy, datapath: placement }: Commit): Promise<void> => {
    const { subjects } = engine.apply(policy ?? {});
    try {
      const plan = makePlan(subjects);
      await publishRuleSets();
      await datapath.apply({
        ...placement?.(),
        policies: plan.policies,
        policyPatches: plan.policyPatches,
        policiesRemoved: plan.removed.flatMap((subject) => slots.release(subject) ?? []),
      });
      behind.clear();
    } catch (thrown) {
      const error = WeirError.from(thrown);
      for (const { subject, kind } of subjects) if (kind !== 'removed') behind.set(subject, error.message);
      logger.error({ error, identities: [...behind.keys()] }, 'policy could not be written');
      scheduleRetry();
      throw error;
    }
  };

  const commit = (change: Commit): Promise<void> => {
    const done = last.then(() => run(change));
    last = done.catch(() => undefined);
    return done;
  };
  return { commit, behind };
}
