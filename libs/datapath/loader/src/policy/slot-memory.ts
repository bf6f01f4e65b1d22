// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { fromBytes, policyWord, type PolicyWord, toBytes } from '@weir/datapath-layout';

/** The policy slots as memory that the programs read. */
export interface SlotMemory {
  readonly count: number;
  read(slot: number): PolicyWord | undefined;
  /** One 64-bit store: a program sees the old policy or the new one. */
  write(slot: number, word: PolicyWord): void;
  close(): void;
}

/** A slot without a word: nothing is enforced. */
export const noPolicy: PolicyWord = { version: 0, ingress: 0, egress: 0 };

/** Maps the slots into memory. */
export function createSlotMemory(map: BpfMap): SlotMemory {
  const memory = map.mmap();
  const { buffer } = memory;
  const words = new BigUint64Array(buffer);
  return {
    count: words.length,
    read: (slot) =>
      words[slot] === 0n
        ? undefined
        : fromBytes(policyWord, new Uint8Array(buffer, slot * policyWord.size, policyWord.size)),
    write(slot, word) {
      Atomics.store(words, slot, new DataView(toBytes(policyWord, word).buffer).getBigUint64(0, true));
    },
    close: () => memory.close(),
  };
}
