// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { hostPolicyBits, runtimeState } from '@weir/datapath-layout';
import type { DatapathHost } from '@weir/datapath-maps';

/** Where the programs find the policy of the host itself. */
export interface HostPolicyWord {
  /**
   * Points the programs to the host's policy while it enforces something, and to none otherwise: then the host's packets
   * cost nothing. `host` is absent when it is as before; until it is known, what an agent before wrote stays. True when
   * that changed anything.
   */
  settle(host: DatapathHost | undefined, isEnforced: (slot: number) => boolean): boolean;
  /** The slot that the programs look at. */
  slot(): number | undefined;
  close(): void;
}

/** Maps the state of the programs into memory. */
export function createHostPolicyWord(runtime: BpfMap): HostPolicyWord {
  const memory = runtime.mmap();
  const halves = new Uint16Array(memory.buffer);
  const place = runtimeState.offsets.hostPolicy / 2;
  let known: DatapathHost | undefined;
  return {
    settle(host, isEnforced) {
      known = host ?? known;
      if (known === undefined) return false;
      const { policySlot, isAudited } = known;
      const word = isEnforced(policySlot) ? policySlot | (isAudited ? hostPolicyBits.audited : 0) : 0;
      return Atomics.exchange(halves, place, word) !== word;
    },
    slot: () => Atomics.load(halves, place) & hostPolicyBits.slot || undefined,
    close: () => memory.close(),
  };
}
