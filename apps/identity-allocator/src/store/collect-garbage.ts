// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import type { IdentityState } from './identity-state.ts';
import type { Collection } from './identity-store.ts';

export interface CollectGarbageOptions {
  /** The state of the moment. */
  readonly state: () => IdentityState;
  /** Runs one operation as part of a batch. */
  readonly run: <Result>(operation: () => Result) => Promise<Result>;
  readonly clock: Clock;
}

// One step, as part of a batch.
const retiredPerStepMax = 256;

/** Gives up nodes whose lease has run out. */
export async function expireNodes({ state, run, clock }: CollectGarbageOptions): Promise<string[]> {
  const expired: string[] = [];
  for (const node of state().references.expiredNodes(clock.monotonicMs())) {
    if (await run(() => state().expireNode(node))) expired.push(node);
  }
  return expired;
}

/** Expires nodes, then retires identities, in small steps with other operations in between. */
export async function collectGarbage({ state, run, clock }: CollectGarbageOptions): Promise<Collection> {
  const expiredNodes = await expireNodes({ state, run, clock });
  const deleted: number[] = [];
  for (;;) {
    const step = await run(() => state().retireUnreferenced(retiredPerStepMax));
    deleted.push(...step);
    if (step.length < retiredPerStepMax) return { expiredNodes, deleted };
  }
}
