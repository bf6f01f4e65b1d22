// SPDX-License-Identifier: Apache-2.0
import type { Clock } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { KeyValueStore } from '@weir/shared-log';

/** What is written down of who leads. `beat` differs in every message of a leader. */
export interface Claim {
  readonly name: string;
  readonly id: string;
  readonly beat: number;
  readonly hasResigned?: boolean;
}

/** A claim as it was read or written last. */
export interface SeenClaim {
  /** Differs after every write. */
  readonly version: string;
  readonly claim: Claim;
  /** When this version was seen first, on the clock that never goes back. */
  readonly atMs: number;
}

/** The one place where leadership is written down. Calls fail with UNAVAILABLE while it cannot be reached. */
export interface LeaderClaims {
  readonly seen: SeenClaim | undefined;
  look(): Promise<void>;
  /** False when somebody else was faster than what was seen. */
  write(claim: Claim): Promise<boolean>;
}

/** Claims are the value of a key. */
export function createStoreClaims(options: {
  readonly store: KeyValueStore;
  readonly key: string;
  readonly clock: Clock;
}): LeaderClaims {
  const { store, key, clock } = options;
  let seen: SeenClaim | undefined;
  return {
    get seen() {
      return seen;
    },
    async look() {
      const found = await store.get(key);
      if (found === undefined) seen = undefined;
      else if (found.version !== seen?.version) {
        seen = { version: found.version, claim: parseClaim(key, found.value), atMs: clock.monotonicMs() };
      }
    },
    async write(claim) {
      const swap = { key, version: seen?.version, value: JSON.stringify(claim), others: [] };
      const version = await store.swap(swap);
      if (version !== undefined) seen = { version, claim, atMs: clock.monotonicMs() };
      return version !== undefined;
    },
  };
}

function parseClaim(key: string, text: string): Claim {
  try {
    const claim = JSON.parse(text) as Claim;
    if (typeof claim.id === 'string' && typeof claim.name === 'string' && Number.isSafeInteger(claim.beat))
      return claim;
  } catch {
    // Said below.
  }
  throw new WeirError(
    'CORRUPT_STATE',
    `Key "${key}" holds "${text.slice(0, 64)}", expected what an operator wrote there`,
  );
}
