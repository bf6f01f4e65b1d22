// SPDX-License-Identifier: Apache-2.0
import { setImmediate } from 'node:timers/promises';
import { compileRuleSet, sameRules, type RuleSet, type RuleSetSpec } from './rule-set.ts';

/** One step from a state of the rule sets to the next. */
export interface RuleSetUpdate {
  /** True: `upserted` is everything, whatever else there was is forgotten. */
  readonly snapshot: boolean;
  readonly upserted: readonly RuleSetSpec[];
  readonly deleted: readonly number[];
}

/** The rule sets in force. */
export interface RuleSets {
  get(id: number): RuleSet | undefined;
  /** Rises with every update: whatever was concluded from an older generation is void. */
  readonly generation: number;
  readonly size: number;
  /** Whether any of them looks at headers. */
  readonly lookAtHeaders: boolean;
  /**
   * Brings the whole update into force at once, and gives the sets that cannot be applied and refuse everything. Traffic
   * goes on while expressions are compiled. One at a time: the next update waits for the last.
   */
  apply(update: RuleSetUpdate): Promise<readonly RuleSet[]>;
  /** All of them as they were sent, in the order of their numbers. */
  specs(): readonly RuleSetSpec[];
}

// How long compiling may hold up traffic.
const sliceMs = 3;

const compileAll = async (specs: readonly RuleSetSpec[], known: ReadonlyMap<number, RuleSet>): Promise<RuleSet[]> => {
  const compiled: RuleSet[] = [];
  let sliceEndMs = performance.now() + sliceMs;
  for (const spec of specs) {
    // What a snapshot merely repeats is kept: compiling costs up to a millisecond a set.
    const same = known.get(spec.id);
    compiled.push(same !== undefined && sameRules(same.spec, spec) ? same : compileRuleSet(spec));
    if (performance.now() < sliceEndMs) continue;
    await setImmediate();
    sliceEndMs = performance.now() + sliceMs;
  }
  return compiled;
};

/** Begins without any rule set. */
export function createRuleSets(): RuleSets {
  let sets: ReadonlyMap<number, RuleSet> = new Map();
  let generation = 0;
  let lookAtHeaders = false;
  let last: Promise<unknown> = Promise.resolve();

  const applyNow = async (update: RuleSetUpdate): Promise<readonly RuleSet[]> => {
    const compiled = await compileAll(update.upserted, sets);
    const next = new Map(update.snapshot ? [] : sets);
    for (const set of compiled) next.set(set.spec.id, set);
    for (const id of update.deleted) next.delete(id);
    sets = next;
    lookAtHeaders = [...next.values()].some(({ headerNames }) => headerNames.size > 0);
    generation++;
    return compiled.filter((set) => set.problem !== undefined);
  };
  return {
    get: (id) => sets.get(id),
    get generation() {
      return generation;
    },
    get size() {
      return sets.size;
    },
    get lookAtHeaders() {
      return lookAtHeaders;
    },
    apply(update) {
      const applied = last.then(() => applyNow(update));
      last = applied;
      return applied;
    },
    specs: () => [...sets.values()].map((set) => set.spec).toSorted((a, b) => a.id - b.id),
  };
}
