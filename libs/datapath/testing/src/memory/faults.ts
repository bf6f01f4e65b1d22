// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Methods that may fail: those that give promises reject, the others throw. */
export interface FaultyMethods<T extends object> {
  readonly rejecting?: readonly (keyof T & string)[];
  readonly throwing?: readonly (keyof T & string)[];
}

/** Makes calls of wrapped objects fail: the N-th of all of them, or each with a probability. */
export interface Faults {
  /** An object like `target` of which the named methods may fail; a failing call does nothing. */
  wrap<T extends object>(target: T, methods: FaultyMethods<T>): T;
  /** Lets the `n`-th call from now on fail, counted from 1 over all wrapped objects. Others succeed. */
  failCall(n: number): void;
  /** Lets the `n`-th call and all that follow fail: who makes them has died. */
  failFrom(n: number): void;
  /** Lets each call fail with a probability, the same ones for the same seed. */
  failRandomly(options: { readonly probability: number; readonly seed: number }): void;
  /** No call fails any more. */
  heal(): void;
  /** Calls since the last `failCall`, `failRandomly` or `heal`, by name, in their order. */
  readonly calls: readonly string[];
}

/** Mulberry32: small, and good enough to choose calls by. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const never = (): boolean => false;

/** Makes one that lets every call succeed. */
export function createFaults(): Faults {
  let calls: string[] = [];
  let isDue: (count: number) => boolean = never;

  const decideBy = (decide: (count: number) => boolean): void => {
    calls = [];
    isDue = decide;
  };
  const call = (name: string, method: (...given: unknown[]) => unknown, isAsync: boolean) => {
    return (...given: unknown[]): unknown => {
      calls.push(name);
      if (!isDue(calls.length)) return method(...given);
      const error = new WeirError('SYSTEM_CALL_FAILED', `Injected fault in call ${calls.length}, "${name}"`);
      if (isAsync) return Promise.reject(error);
      throw error;
    };
  };

  return {
    wrap(target, { rejecting = [], throwing = [] }) {
      const faulty = (name: keyof typeof target & string, isAsync: boolean) =>
        [name, call(name, (target[name] as (...given: unknown[]) => unknown).bind(target), isAsync)] as const;
      const methods = [...rejecting.map((name) => faulty(name, true)), ...throwing.map((name) => faulty(name, false))];
      return Object.assign(Object.create(target) as typeof target, Object.fromEntries(methods));
    },
    failCall: (n) => decideBy((count) => count === n),
    failFrom: (n) => decideBy((count) => count >= n),
    failRandomly({ probability, seed }) {
      const random = seededRandom(seed);
      decideBy(() => random() < probability);
    },
    heal: () => decideBy(never),
    get calls() {
      return calls;
    },
  };
}
