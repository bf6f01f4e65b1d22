// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { direction, mapSpecs, type PolicyEntry, type PolicyKey, type PolicyWord } from '@weir/datapath-layout';
import type { PolicyContent, PolicyMapEntry, PolicyPatch } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { createMapRows, type MapRows } from '../map-rows.ts';
import {
  createValueTable,
  kindOf,
  packKey,
  type PolicyRows,
  rowEntry,
  unpackKey,
  type ValueTable,
} from './policy-rows.ts';
import { createSlotMemory, noPolicy, type SlotMemory } from './slot-memory.ts';

/** Work that remains after a change is in force, once no program can be looking at what was there before. */
export interface PolicyCleanup {
  /** Entries of versions that no slot names any more. */
  readonly keys: readonly PolicyKey[];
  /** Slots that were given up, and the version that they held. */
  readonly emptied: readonly { readonly slot: number; readonly version: number }[];
}

/** A change of policies whose entries are in the kernel, and which programs do not follow yet. */
export interface StagedPolicies {
  readonly isEmpty: boolean;
  /** Puts all of it in force, each policy at one stroke. Cannot fail. */
  activate(): void;
  /** The last step: takes away what patches no longer want, and returns what is to be deleted later. */
  finish(): PolicyCleanup;
  /** Puts everything back as it was, whether it is in force by now or not. */
  revert(): void;
}

/** The policies in the kernel. Nothing here bumps the revision. */
export interface PolicyTables {
  /**
   * Writes what the change adds; what is as it should be already is not written. Throws RESOURCE_EXHAUSTED, with nothing
   * changed, when the map is full. Slots are in `policies` or in `patches`, not in both.
   */
  stage(change: {
    readonly policies: ReadonlyMap<number, PolicyContent>;
    readonly patches: ReadonlyMap<number, PolicyPatch>;
  }): StagedPolicies;
  /** Gives slots up: nobody refers to them any more. Undefined when they hold nothing. */
  remove(slots: readonly number[]): PolicyCleanup | undefined;
  clean(cleanup: PolicyCleanup): void;
  /** Slots that hold a policy. */
  slots(): readonly number[];
  list(slot: number): readonly PolicyMapEntry[];
  close(): void;
}

interface Slot {
  readonly word: PolicyWord;
  readonly rows: PolicyRows;
}

interface State {
  readonly memory: SlotMemory;
  readonly entries: MapRows<PolicyKey, PolicyEntry>;
  readonly values: ValueTable;
  readonly slots: Map<number, Slot>;
  /** The highest version that was ever given. */
  version: number;
}

/** The open maps; what an agent before left in them is taken over. */
export function createPolicyTables(maps: { readonly slots: BpfMap; readonly entries: BpfMap }): PolicyTables {
  const state: State = {
    memory: createSlotMemory(maps.slots),
    entries: createMapRows(maps.entries, mapSpecs.policy),
    values: createValueTable(),
    slots: new Map(),
    version: 0,
  };
  adopt(state);
  const { slots, values, entries, memory } = state;
  return {
    stage: ({ policies, patches }) =>
      stage(state, [
        ...[...policies].flatMap(([slot, content]) => replacement(state, slot, content) ?? []),
        ...[...patches].flatMap(([slot, patch]) => amendment(state, slot, patch) ?? []),
      ]),
    remove(numbers) {
      const given = numbers.flatMap((number) => {
        const slot = slots.get(number);
        return slot === undefined ? [] : [{ number, slot }];
      });
      for (const { number } of given) slots.delete(number);
      if (given.length === 0) return undefined;
      return {
        keys: given.flatMap(({ slot }) => keysOf(slot)),
        // A program that has just read the slot's number shall find the policy that it looks for, not none at all.
        emptied: given.map(({ number, slot }) => ({ slot: number, version: slot.word.version })),
      };
    },
    clean({ keys, emptied }) {
      for (const { slot, version } of emptied) {
        if (!slots.has(slot) && memory.read(slot)?.version === version) memory.write(slot, noPolicy);
      }
      entries.deleteAll(keys);
    },
    slots: () => [...slots.keys()],
    list: (slot) => [...(slots.get(slot)?.rows ?? [])].map(([row, value]) => rowEntry(row, values.valueOf(value))),
    close: () => memory.close(),
  };
}

/** Reads what is in the maps, and deletes entries that no slot names: those of an agent that died in between. */
function adopt(state: State): void {
  const { memory, entries, values, slots } = state;
  const byVersion = new Map<number, Slot>();
  for (let number = 0; number < memory.count; number++) {
    const word = memory.read(number);
    if (word === undefined) continue;
    const slot: Slot = { word, rows: new Map() };
    slots.set(number, slot);
    state.version = Math.max(state.version, word.version);
    if (word.version !== 0) byVersion.set(word.version, slot);
  }
  const orphans: PolicyKey[] = [];
  for (const [key, value] of entries.all()) {
    const slot = byVersion.get(key.version);
    if (slot === undefined) orphans.push(key);
    else slot.rows.set(packKey(key), values.numberOf(value));
  }
  entries.deleteAll(orphans);
}

const valueOf = ({ verdict, ruleSet, cookie }: PolicyMapEntry): PolicyEntry => ({ verdict, ruleSet, cookie });

const enforcedBits = (content: PolicyContent): number =>
  (content.ingressEnforced ? direction.ingress : 0) | (content.egressEnforced ? direction.egress : 0);

const keysOf = (slot: Slot | undefined): PolicyKey[] =>
  slot === undefined ? [] : [...slot.rows.keys()].map((row) => ({ ...unpackKey(row), version: slot.word.version }));

const isSame = (slot: Slot | undefined, next: { readonly rows: PolicyRows; readonly enforced: number }): boolean =>
  (slot?.word.enforced ?? 0) === next.enforced &&
  (slot?.rows.size ?? 0) === next.rows.size &&
  [...next.rows].every(([key, value]) => slot?.rows.get(key) === value);

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

/** What is to become of one slot. */
interface Step {
  readonly number: number;
  readonly before: Slot | undefined;
  readonly word: PolicyWord;
  /** Rows to write under the version of `word`. */
  readonly fresh: PolicyRows;
  /** Rows of the policy before that are not to be there any more. */
  readonly gone: readonly number[];
  /** Whether `fresh` is all of the policy, under a version of its own, or is added to what is there. */
  readonly isWhole: boolean;
}

const keyOf = (row: number, { version }: PolicyWord): PolicyKey => ({ ...unpackKey(row), version });

function checkSlot({ memory }: State, slot: number): void {
  if (slot >= 1 && slot < memory.count) return;
  throw new WeirError('RESOURCE_EXHAUSTED', `Policy slot ${slot} does not exist; there are 1–${memory.count - 1}`);
}

function replacement(state: State, number: number, content: PolicyContent): Step | undefined {
  checkSlot(state, number);
  const { slots, values, memory } = state;
  const before = slots.get(number);
  const fresh: PolicyRows = new Map(content.entries.map((entry) => [packKey(entry), values.numberOf(valueOf(entry))]));
  const enforced = enforcedBits(content);
  // A slot that was given up a moment ago holds its old policy until it is cleaned.
  const isLeftOver = before === undefined && memory.read(number) !== undefined;
  if (!isLeftOver && isSame(before, { rows: fresh, enforced })) return undefined;
  const word = wordOf(fresh, { version: ++state.version, enforced });
  return { number, before, word, fresh, gone: [...(before?.rows.keys() ?? [])], isWhole: true };
}

function amendment(state: State, number: number, { added, removed }: PolicyPatch): Step | undefined {
  checkSlot(state, number);
  const { slots, values } = state;
  const before = slots.get(number);
  const wanted: PolicyRows = new Map(added.map((entry) => [packKey(entry), values.numberOf(valueOf(entry))]));
  const fresh: PolicyRows = new Map([...wanted].filter(([row, value]) => before?.rows.get(row) !== value));
  const gone = removed.map(packKey).filter((row) => before?.rows.has(row) === true && !wanted.has(row));
  if (fresh.size === 0 && gone.length === 0) return undefined;

  // Kinds only grow here: looking for what is not there costs time, not looking for what is there costs a verdict.
  const { version = ++state.version, enforced = 0, ingressKinds = 0, egressKinds = 0 } = before?.word ?? {};
  const grown = wordOf(fresh, { version, enforced });
  const word: PolicyWord = {
    version,
    enforced,
    ingressKinds: ingressKinds | grown.ingressKinds,
    egressKinds: egressKinds | grown.egressKinds,
  };
  return { number, before, word, fresh, gone, isWhole: before === undefined };
}

/** Takes back what was written for a step. */
function eraseFresh({ entries, values }: State, { before, word, fresh, isWhole }: Step): void {
  const rows = [...fresh.keys()];
  const former = (row: number): number | undefined => (isWhole ? undefined : before?.rows.get(row));
  entries.deleteAll(rows.filter((row) => former(row) === undefined).map((row) => keyOf(row, word)));
  entries.setAll(
    rows.flatMap((row) => {
      const value = former(row);
      return value === undefined ? [] : [[keyOf(row, word), values.valueOf(value)] as const];
    }),
  );
}

function writeAside(state: State, steps: readonly Step[]): void {
  const { entries, values } = state;
  const rows = steps.flatMap(({ fresh, word }) =>
    [...fresh].map(([row, value]) => [keyOf(row, word), values.valueOf(value)] as const),
  );
  try {
    entries.setAll(rows);
  } catch (error) {
    for (const step of steps) eraseFresh(state, step);
    throw error;
  }
}

function stage(state: State, steps: readonly Step[]): StagedPolicies {
  const { slots, memory, entries } = state;
  writeAside(state, steps);
  let isActive = false;
  return {
    isEmpty: steps.length === 0,
    activate() {
      isActive = true;
      for (const { number, word, fresh, before, isWhole } of steps) {
        memory.write(number, word);
        slots.set(number, { word, rows: isWhole ? fresh : (before?.rows ?? fresh) });
      }
    },
    finish() {
      for (const { before, fresh, gone, isWhole, word } of steps) {
        if (isWhole || before === undefined) continue;
        entries.deleteAll(gone.map((row) => keyOf(row, word)));
        for (const row of gone) before.rows.delete(row);
        for (const [row, value] of fresh) before.rows.set(row, value);
      }
      return { keys: steps.flatMap(({ isWhole, before }) => (isWhole ? keysOf(before) : [])), emptied: [] };
    },
    revert() {
      for (const { number, before } of isActive ? steps : []) {
        memory.write(number, before?.word ?? noPolicy);
        if (before === undefined) slots.delete(number);
        else slots.set(number, before);
      }
      for (const step of steps) eraseFresh(state, step);
    },
  };
}
