// SPDX-License-Identifier: Apache-2.0
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
  /** Brings the whole update into force at once, and returns the sets that cannot be applied and refuse everything. */
  apply(update: RuleSetUpdate): readonly RuleSet[];
  /** All of them as they were sent, in the order of their numbers. */
  specs(): readonly RuleSetSpec[];
}

/** Begins without any rule set. */
export function createRuleSets(): RuleSets {
  let sets: ReadonlyMap<number, RuleSet> = new Map();
  let generation = 0;
  return {
    get: (id) => sets.get(id),
    get generation() {
      return generation;
    },
    get size() {
      return sets.size;
    },
    apply(update) {
      // Compiling costs a millisecond a set, so what a snapshot merely repeats is kept.
      const next = new Map(update.snapshot ? [] : sets);
      const compiled = update.upserted.map((spec) => {
        const known = sets.get(spec.id);
        return known !== undefined && sameRules(known.spec, spec) ? known : compileRuleSet(spec);
      });
      for (const set of compiled) next.set(set.spec.id, set);
      for (const id of update.deleted) next.delete(id);
      sets = next;
      generation++;
      return compiled.filter((set) => set.problem !== undefined);
    },
    specs: () => [...sets.values()].map((set) => set.spec).toSorted((a, b) => a.id - b.id),
  };
}
