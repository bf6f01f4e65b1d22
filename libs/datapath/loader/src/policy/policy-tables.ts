// SPDX-License-Identifier: Apache-2.0
import type { BpfMap, MappedMemory } from '@weir/bpf-loader-node';
import {
  direction,
  fromBytes,
  mapSpecs,
  type PolicyEntry,
  type PolicyKey,
  policyWord,
  type PolicyWord,
  toBytes,
} from '@weir/datapath-layout';
import type { PolicyContent, PolicyMapEntry, PolicyPatch } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { createMapRows } from '../map-rows.ts';
import { createValueTable, kindOf, packKey, type PolicyRows, rowEntry, unpackKey } from './policy-rows.ts';

interface Slot {
  readonly word: PolicyWord;
  readonly rows: PolicyRows;
}

/** Work that remains after a change is in force. */
export interface PolicyCleanup {
  /** Entries of versions that no slot names any more. */
  readonly keys: readonly PolicyKey[];
}

/** The policies in the kernel. Nothing here bumps the revision. */
export interface PolicyTables {
  /**
   * Replaces policies, each at one stroke. Returns undefined when all are as they should be already; else what is to be
   * deleted once no program can be looking at it. Throws RESOURCE_EXHAUSTED, with nothing changed, when the map is full.
   */
  replace(policies: ReadonlyMap<number, PolicyContent>): PolicyCleanup | undefined;
  /** Adds to and takes from policies in place. Returns whether anything changed. */
  patch(patches: ReadonlyMap<number, PolicyPatch>): boolean;
  /** Empties slots. Returns as {@link PolicyTables.replace} does. */
  remove(slots: readonly number[]): PolicyCleanup | undefined;
  clean(cleanup: PolicyCleanup): void;
  list(slot: number): readonly PolicyMapEntry[];
  readonly slotCount: number;
}

const noPolicy: PolicyWord = { version: 0, ingressKinds: 0, egressKinds: 0, enforced: 0 };

/** The open maps; what an agent before left in them is taken over. */
export function createPolicyTables(maps: { readonly slots: BpfMap; readonly entries: BpfMap }): PolicyTables {
  const memory: MappedMemory = maps.slots.mmap();
  const words = new BigUint64Array(memory.buffer);
  const entries = createMapRows(maps.entries, mapSpecs.policy);
  const values = createValueTable();
  const slots = adoptSlots();
  let version = Math.max(0, ...[...slots.values()].map((slot) => slot.word.version));

  function readWord(slot: number): PolicyWord {
    return fromBytes(policyWord, new Uint8Array(memory.buffer, slot * policyWord.size, policyWord.size));
  }

  /** One 64-bit store: a program sees the old policy or the new one. */
  function writeWord(slot: number, word: PolicyWord): void {
    Atomics.store(words, slot, new DataView(toBytes(policyWord, word).buffer).getBigUint64(0, true));
  }

  function adoptSlots(): Map<number, Slot> {
    const byVersion = new Map<number, Slot>();
    const adopted = new Map<number, Slot>();
    for (let slot = 0; slot < words.length; slot++) {
      if (words[slot] === 0n) continue;
      const word = readWord(slot);
      const state: Slot = { word, rows: new Map() };
      adopted.set(slot, state);
      if (word.version !== 0) byVersion.set(word.version, state);
    }
    const orphans: PolicyKey[] = [];
    for (const [key, value] of entries.all()) {
      const state = byVersion.get(key.version);
      if (state === undefined) orphans.push(key);
      else state.rows.set(packKey(key), values.numberOf(value));
    }
    entries.deleteAll(orphans);
    return adopted;
  }

  const valueOf = ({ verdict, ruleSet, cookie }: PolicyMapEntry): PolicyEntry => ({ verdict, ruleSet, cookie });

  const rowsOf = (content: PolicyContent): PolicyRows =>
    new Map(content.entries.map((entry) => [packKey(entry), values.numberOf(valueOf(entry))]));

  const enforcedBits = (content: PolicyContent): number =>
    (content.ingressEnforced ? direction.ingress : 0) | (content.egressEnforced ? direction.egress : 0);

  const keysOf = (slot: Slot | undefined): PolicyKey[] =>
    slot === undefined ? [] : [...slot.rows.keys()].map((row) => ({ ...unpackKey(row), version: slot.word.version }));

  const isSame = (slot: Slot | undefined, next: { readonly rows: PolicyRows; readonly enforced: number }): boolean =>
    (slot?.word.enforced ?? 0) === next.enforced &&
    (slot?.rows.size ?? 0) === next.rows.size &&
    [...next.rows].every(([key, value]) => slot?.rows.get(key) === value);

  /** Writes entries under versions that no slot names yet; on failure takes them away again. */
  function writeAside(rows: readonly { readonly version: number; readonly rows: PolicyRows }[]): void {
    const all = rows.flatMap((each) =>
      [...each.rows].map(([packed, value]) => [{ ...unpackKey(packed), version: each.version }, value] as const),
    );
    try {
      entries.setAll(all.map(([key, value]) => [key, values.valueOf(value)]));
    } catch (cause) {
      entries.deleteAll(all.map(([key]) => key));
      throw new WeirError(
        'RESOURCE_EXHAUSTED',
        `The policy map "${mapSpecs.policy.name}" has no room for ${all.length} more entries (it holds at most ` +
          `${entries.map.info.maxEntries}); the policies before stay in force`,
        { cause, details: { map: mapSpecs.policy.name, entriesMax: entries.map.info.maxEntries } },
      );
    }
  }

  function wordOf(rows: PolicyRows, base: Pick<PolicyWord, 'version' | 'enforced'>): PolicyWord {
    let ingressKinds = 0;
    let egressKinds = 0;
    for (const packed of rows.keys()) {
      const key = unpackKey(packed);
      if (key.direction === direction.ingress) ingressKinds |= kindOf(key);
      else egressKinds |= kindOf(key);
    }
    return { version: base.version, enforced: base.enforced, ingressKinds, egressKinds };
  }

  function checkSlot(slot: number): void {
    if (slot > 0 && slot < words.length) return;
    throw new WeirError('RESOURCE_EXHAUSTED', `Policy slot ${slot} does not exist; there are 1 to ${words.length - 1}`);
  }

  function replace(policies: ReadonlyMap<number, PolicyContent>): PolicyCleanup | undefined {
    const changed = [...policies].flatMap(([slot, content]) => {
      checkSlot(slot);
      const next = { slot, rows: rowsOf(content), enforced: enforcedBits(content) };
      return isSame(slots.get(slot), next) ? [] : [{ ...next, version: ++version }];
    });
    if (changed.length === 0) return undefined;
    writeAside(changed);
    const keys: PolicyKey[] = [];
    for (const { slot, rows, ...base } of changed) {
      keys.push(...keysOf(slots.get(slot)));
      const word = wordOf(rows, base);
      slots.set(slot, { word, rows });
      writeWord(slot, word);
    }
    return { keys };
  }

  function patchSlot(number: number, { added, removed }: PolicyPatch): boolean {
    const slot = slots.get(number);
    if (slot === undefined) throw new WeirError('FAILED_PRECONDITION', `Policy slot ${number} holds no policy to patch`);
    const kept = new Set(added.map(packKey));
    const fresh: PolicyRows = new Map();
    for (const entry of added) {
      const value = values.numberOf(valueOf(entry));
      if (slot.rows.get(packKey(entry)) !== value) fresh.set(packKey(entry), value);
    }
    const gone = removed.filter((entry) => slot.rows.has(packKey(entry)) && !kept.has(packKey(entry)));
    if (fresh.size === 0 && gone.length === 0) return false;

    // Kinds only grow here: looking for what is not there costs time, not looking for what is there costs a verdict.
    const base = { version: slot.word.version || ++version, enforced: slot.word.enforced };
    const grown = wordOf(fresh, base);
    const word: PolicyWord = {
      ...base,
      ingressKinds: slot.word.ingressKinds | grown.ingressKinds,
      egressKinds: slot.word.egressKinds | grown.egressKinds,
    };
    writeAside([{ version: word.version, rows: fresh }]);
    writeWord(number, word);
    entries.deleteAll(gone.map((entry) => ({ ...entry, version: word.version })));
    for (const entry of gone) slot.rows.delete(packKey(entry));
    for (const [key, value] of fresh) slot.rows.set(key, value);
    slots.set(number, { word, rows: slot.rows });
    return true;
  }

  return {
    replace,
    patch: (patches) => [...patches].map(([slot, patch]) => patchSlot(slot, patch)).includes(true),
    remove(numbers) {
      const gone = numbers.filter((slot) => slots.has(slot));
      const keys = gone.flatMap((slot) => keysOf(slots.get(slot)));
      for (const slot of gone) {
        writeWord(slot, noPolicy);
        slots.delete(slot);
      }
      return gone.length === 0 ? undefined : { keys };
    },
    clean: ({ keys }) => entries.deleteAll(keys),
    list: (slot) => [...(slots.get(slot)?.rows ?? [])].map(([row, value]) => rowEntry(row, values.valueOf(value))),
    slotCount: words.length,
  };
}
