// SPDX-License-Identifier: Apache-2.0
import type { Logger } from '@weir/telemetry';
import type { RuleSetFile } from './rule-set-file.ts';
import type { RuleSets } from './rule-sets.ts';

/** Writes rule sets down behind the back of those who change them. */
export interface RuleSetSaver {
  /** The rule sets have changed. Many changes during one write lead to one more. */
  save(): void;
  /** Resolves when everything is on disk, or could not be written. */
  settled(): Promise<void>;
}

/** A failure to write is logged and tried again at the next change: rules in force are more than rules on disk. */
export function createRuleSetSaver(options: { ruleSets: RuleSets; file: RuleSetFile; log: Logger }): RuleSetSaver {
  const { ruleSets, file, log } = options;
  let dirty = false;
  let running: Promise<void> | undefined;

  const run = async (): Promise<void> => {
    while (dirty) {
      dirty = false;
      try {
        await file.save(ruleSets.specs());
      } catch (error) {
        log.error({ error }, 'Rule sets cannot be saved: a restart without the agent would refuse');
      }
    }
    running = undefined;
  };
  return {
    save() {
      dirty = true;
      running ??= run();
    },
    settled: () => running ?? Promise.resolve(),
  };
}
