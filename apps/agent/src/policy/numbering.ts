// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Numbers for texts, the same ones in every process. */
export interface Numbering<Meaning> {
  /** The number of a key; the first call says what it means. */
  numberOf(key: string, meaning: Meaning): number;
  meaningOf(number: number): Meaning | undefined;
  /** Forgets every number but these. */
  retain(numbers: ReadonlySet<number>): readonly number[];
  entries(): IterableIterator<readonly [number, Meaning]>;
}

const fnvOffset = 0x811c9dc5;
const fnvPrime = 0x01000193;
const probesMax = 64;

/** FNV-1a, 32 bits, over UTF-16 code units. */
function hash(text: string): number {
  let value = fnvOffset;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), fnvPrime);
  }
  return value >>> 0;
}

/**
 * Gives texts a number of 32 bits, never 0, that comes from the text alone: what one agent wrote into the kernel means
 * the same to the next one, and a number is not given to another text while the first may still be in use somewhere. Two
 * texts with the same hash are told apart by probing. `onNew` is told of every number that stands for something new.
 */
export function createNumbering<Meaning>(onNew?: (number: number, meaning: Meaning) => void): Numbering<Meaning> {
  const byNumber = new Map<number, { readonly key: string; readonly meaning: Meaning }>();
  return {
    numberOf(key, meaning) {
      for (let probe = 0; probe < probesMax; probe++) {
        const number = (hash(key) + probe) >>> 0 || 1;
        const known = byNumber.get(number);
        if (known === undefined) {
          byNumber.set(number, { key, meaning });
          onNew?.(number, meaning);
        }
        if (known === undefined || known.key === key) return number;
      }
      throw new WeirError('RESOURCE_EXHAUSTED', `No number is free for ${JSON.stringify(key.slice(0, 80))}`);
    },
    meaningOf: (number) => byNumber.get(number)?.meaning,
    retain(numbers) {
      const gone = [...byNumber.keys()].filter((number) => !numbers.has(number));
      for (const number of gone) byNumber.delete(number);
      return gone;
    },
    *entries() {
      for (const [number, { meaning }] of byNumber) yield [number, meaning] as const;
    },
  };
}
