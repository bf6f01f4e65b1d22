// SPDX-License-Identifier: Apache-2.0
import type { Datapath, DatapathChange, PolicyContent, PolicyPatch } from '@weir/datapath-maps';
import type { CancelTimer, Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { PolicyEngine, PolicyUpdate, SubjectChange } from '@weir/policy';
import type { Logger } from '@weir/telemetry';
import type { PolicySlots } from './policy-slots.ts';
import { identityOfSubject } from './policy-subjects.ts';
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
   * says: then the engine is ahead of the kernel, which keeps the last good policy, and the policies concerned are tried
   * again every second until the kernel has them. Other commits do not suffer from that.
   */
  commit(commit: Commit): Promise<void>;
  /** Runs a task while no commit is being made. */
  between<Result>(task: () => Result): Promise<Result>;
  /** Subjects whose policy in the kernel is older than it should be. Empty in good times. */
  readonly behind: ReadonlyMap<number, BehindPolicy>;
}

/** How far the kernel has got with a policy, and why not further. */
export interface BehindPolicy {
  readonly revision: number;
  readonly reason: string;
}

export interface PolicyControllerOptions {
  readonly engine: PolicyEngine;
  readonly datapath: Datapath;
  readonly slots: PolicySlots;
  readonly translation: PolicyTranslation;
  /** Tells the proxy of all rule sets that are numbered by now; resolves when it can apply them, or cannot be reached. */
  readonly publishRuleSets: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Plan {
  readonly policies: Map<number, PolicyContent>;
  readonly policyPatches: Map<number, PolicyPatch>;
  /** Subjects that nobody is any more. */
  readonly removed: ReadonlySet<number>;
}

interface Planner {
  plan(changes: readonly SubjectChange[], behind: ReadonlyMap<number, BehindPolicy>): Plan;
  /** What the kernel has of identities that are gone, in policies that are older than the engine's. */
  leftOvers(gone: ReadonlySet<number>, behind: ReadonlyMap<number, BehindPolicy>): Map<number, PolicyPatch>;
  contentOf(subject: number): PolicyContent;
}

const retryDelayMs = 1_000;

/** What an update comes to in the kernel. */
function createPlanner({ engine, datapath, slots, translation }: PolicyControllerOptions): Planner {
  const contentOf = (subject: number): PolicyContent => translation.content(engine.resolve(subject));
  return {
    contentOf,
    plan(changes, behind) {
      const removed = new Set(changes.filter(({ kind }) => kind === 'removed').map(({ subject }) => subject));
      const plan: Plan = { policies: new Map(), policyPatches: new Map(), removed };
      for (const { subject, kind, rulesChanged, upserted, deleted } of changes) {
        if (removed.has(subject)) continue;
        if (kind === 'added' || rulesChanged) plan.policies.set(slots.slotOf(subject), contentOf(subject));
        // What is behind gets its whole policy later.
        else if (!behind.has(subject)) {
          const patch = { added: upserted.map(translation.entry), removed: deleted.map(translation.key) };
          plan.policyPatches.set(slots.slotOf(subject), patch);
        }
      }
      return plan;
    },
    leftOvers(gone, behind) {
      const patches = new Map<number, PolicyPatch>();
      for (const subject of gone.size === 0 ? [] : behind.keys()) {
        const slot = slots.find(subject) ?? 0;
        const removed = datapath.listPolicy(slot).filter(({ peerIdentity }) => gone.has(peerIdentity));
        if (removed.length > 0) patches.set(slot, { added: [], removed });
      }
      return patches;
    },
  };
}

/** Runs tasks one after the other; a failed one does not stop the next. */
function createTurns(): <Result>(task: () => Result | Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const done = last.then(task);
    last = done.catch(() => undefined);
    return done;
  };
}

/** See {@link PolicyController}. */
export function createPolicyController(options: PolicyControllerOptions): PolicyController {
  const { engine, datapath, slots, publishRuleSets, clock, logger } = options;
  const planner = createPlanner(options);
  const behind = new Map<number, BehindPolicy>();
  // Subjects that are gone, whose slots the kernel could not be told of yet.
  const abandoned = new Set<number>();
  const inTurn = createTurns();
  let cancelRetry: CancelTimer | undefined;

  const scheduleRetry = (): void => {
    if (behind.size + abandoned.size === 0) return;
    cancelRetry ??= clock.schedule(retryDelayMs, () => {
      cancelRetry = undefined;
      inTurn(catchUp).catch((error: unknown) => logger.error({ error }, 'Policy could not be written again'));
    });
  };

  /** One at a time: where there is no room for all, there is for some. */
  const catchUp = async (): Promise<void> => {
    for (const [subject, { revision }] of [...behind]) {
      try {
        const policies = new Map([[slots.slotOf(subject), planner.contentOf(subject)]]);
        await publishRuleSets();
        await datapath.apply({ policies });
        behind.delete(subject);
        logger.info({ identity: identityOfSubject(subject) }, 'Policy is in force after all');
      } catch (error) {
        behind.set(subject, { revision, reason: WeirError.from(error).message });
      }
    }
    if (abandoned.size > 0) await write({ policies: new Map(), policyPatches: new Map(), removed: new Set() });
    scheduleRetry();
  };

  const write = async (plan: Plan, placement?: Commit['datapath']): Promise<void> => {
    for (const subject of plan.removed) abandoned.add(subject);
    await publishRuleSets();
    const places = placement?.();
    const freed = [...abandoned].flatMap((subject) => slots.find(subject) ?? []);
    const { policies, policyPatches } = plan;
    const policiesRemoved = [...(places?.policiesRemoved ?? []), ...freed];
    await datapath.apply({ ...places, policies, policyPatches, policiesRemoved });
    abandoned.forEach(slots.release);
    abandoned.clear();
  };

  const run = async ({ policy, datapath: placement }: Commit): Promise<void> => {
    const { revision } = engine;
    const { subjects } = engine.apply(policy ?? {});
    for (const { subject, kind } of subjects) {
      if (kind === 'removed') behind.delete(subject);
      else abandoned.delete(subject);
    }
    try {
      const plan = planner.plan(subjects, behind);
      // An identity that is gone must go at once everywhere: its number may come again, for somebody else.
      for (const [slot, patch] of planner.leftOvers(new Set(policy?.deleteIdentities), behind)) {
        if (!plan.policies.has(slot)) plan.policyPatches.set(slot, patch);
      }
      await write(plan, placement);
    } catch (thrown) {
      const error = WeirError.from(thrown);
      for (const { subject, kind } of subjects) {
        if (kind !== 'removed' && !behind.has(subject)) behind.set(subject, { revision, reason: error.message });
      }
      const identities = subjects.map(({ subject }) => identityOfSubject(subject));
      logger.error({ error, identities }, 'Policy could not be written');
      scheduleRetry();
      throw error;
    }
    for (const { subject, kind, rulesChanged } of subjects) {
      if (kind === 'added' || rulesChanged) behind.delete(subject);
    }
    // What was taken away may have made room.
    if (behind.size > 0 && subjects.some(({ rulesChanged }) => rulesChanged)) await catchUp();
  };

  return { commit: (change) => inTurn(() => run(change)), between: inTurn, behind };
}
