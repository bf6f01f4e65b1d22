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
  readonly datapath?: () => Omit<DatapathChange, 'policies' | 'policyPatches'>;
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
  /** Runs a task while no commit is being made. */
  between<Result>(task: () => Result): Promise<Result>;
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

/** What an update comes to in the kernel. */
function createPlanner({
  engine,
  slots,
  translation,
}: PolicyControllerOptions): (changes: readonly SubjectChange[], behind: ReadonlyMap<number, string>) => Plan {
  const contentOf = (subject: number): PolicyContent => {
    const resolved = engine.resolve(subject);
    return {
      ingressEnforced: resolved?.ingressEnforced ?? false,
      egressEnforced: resolved?.egressEnforced ?? false,
      entries: resolved?.entries.map(translation.entry) ?? [],
    };
  };

  /** A subject is a whole or a patch, never both; what an earlier commit failed to write comes along as a whole. */
  return (changes, behind) => {
    const plan: Plan = { policies: new Map(), policyPatches: new Map(), removed: [] };
    const removed = new Set(changes.filter(({ kind }) => kind === 'removed').map(({ subject }) => subject));
    plan.removed.push(...removed);
    for (const { subject, kind, rulesChanged, upserted, deleted } of changes) {
      if (removed.has(subject)) continue;
      if (kind === 'added' || rulesChanged) plan.policies.set(slots.slotOf(subject), contentOf(subject));
      else if (!behind.has(subject)) {
        plan.policyPatches.set(slots.slotOf(subject), {
          added: upserted.map(translation.entry),
          removed: deleted.map(translation.key),
        });
      }
    }
    for (const subject of behind.keys()) {
      if (!removed.has(subject)) plan.policies.set(slots.slotOf(subject), contentOf(subject));
    }
    return plan;
  };
}

/** See {@link PolicyController}. */
export function createPolicyController(options: PolicyControllerOptions): PolicyController {
  const { engine, datapath, slots, publishRuleSets, logger } = options;
  const makePlan = createPlanner(options);
  const behind = new Map<number, string>();
  let last: Promise<unknown> = Promise.resolve();
  let retryTimer: NodeJS.Timeout | undefined;

  const scheduleRetry = (): void => {
    if (behind.size === 0) return;
    retryTimer ??= setTimeout(() => {
      retryTimer = undefined;
      commit({}).catch(() => undefined);
    }, retryDelayMs).unref();
  };

  const run = async ({ policy, datapath: placement }: Commit): Promise<void> => {
    const { subjects } = engine.apply(policy ?? {});
    try {
      const plan = makePlan(subjects, behind);
      await publishRuleSets();
      const places = placement?.();
      const freed = plan.removed.flatMap((subject) => slots.release(subject) ?? []);
      await datapath.apply({
        ...places,
        policies: plan.policies,
        policyPatches: plan.policyPatches,
        policiesRemoved: [...(places?.policiesRemoved ?? []), ...freed],
      });
      behind.clear();
    } catch (thrown) {
      const error = WeirError.from(thrown);
      for (const { subject, kind } of subjects) {
        if (kind === 'removed') behind.delete(subject);
        else behind.set(subject, error.message);
      }
      logger.error({ error, identities: [...behind.keys()] }, 'policy could not be written');
      scheduleRetry();
      throw error;
    }
  };

  const inTurn = <Result>(task: () => Result | Promise<Result>): Promise<Result> => {
    const done = last.then(task);
    last = done.catch(() => undefined);
    return done;
  };
  const commit = (change: Commit): Promise<void> => inTurn(() => run(change));
  return { commit, between: inTurn, behind };
}
