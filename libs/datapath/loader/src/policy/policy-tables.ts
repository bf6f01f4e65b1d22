// SPDX-License-Identifier: Apache-2.0
import type { BpfMap } from '@weir/bpf-loader-node';
import { direction, policyFlag, policyKeyKind, policyPeerShift, type PolicyWord } from '@weir/datapath-layout';
import type { MapUse, PolicyContent, PolicyMapEntry, PolicyPatch, RuleTraffic } from '@weir/datapath-maps';
import { WeirError } from '@weir/errors';
import { createPolicyEntryTables, type PolicyEntryTables } from './policy-entry-tables.ts';
import {
  createValueTable,
  isRange,
  kindOf,
  packKey,
  type PolicyRows,
  rowEntry,
  unpackKey,
  type ValueTable,
} from './policy-rows.ts';
import { createRuleCounters, type RuleCounters } from './rule-counters.ts';
import { createSlotMemory, noPolicy, type SlotMemory } from './slot-memory.ts';

/** Work that remains after a change is in force, once no program can be looking at what was there before. */
export interface PolicyCleanup {
  /** Entries of versions that no slot names any more. */
  readonly entries: readonly { readonly version: number; readonly rows: readonly number[] }[];
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
  /** Whether a slot's policy says anything of any direction. */
  isEnforced(slot: number): boolean;
  list(slot: number): readonly PolicyMapEntry[];
  traffic(): readonly RuleTraffic[];
  use(): readonly MapUse[];
  close(): void;
}

interface Slot {
  readonly word: PolicyWord;
  readonly rows: PolicyRows;
}

interface State {
  readonly memory: SlotMemory;
  readonly entries: PolicyEntryTables;
  readonly values: ValueTable;
  readonly counters: RuleCounters;
  readonly slots: Map<number, Slot>;
  /** The highest version that was ever given. */
  version: number;
}

/** The maps that policies are in. */
export interface PolicyMaps {
  readonly slots: BpfMap;
  readonly exact: BpfMap;
  readonly ranges: BpfMap;
  readonly traffic: BpfMap;
}

/** The open maps; what an agent before left in them is taken over. */
export function createPolicyTables(maps: PolicyMaps): PolicyTables {
  const state: State = {
    memory: createSlotMemory(maps.slots),
    entries: createPolicyEntryTables(maps),
    values: createValueTable(),
    counters: createRuleCounters(maps.traffic, () => cookiesInUse(state)),
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
        entries: given.map(({ slot }) => rowsOf(slot)),
        // A program that has just read the slot's number shall find the policy that it looks for, not none at all.
        emptied: given.map(({ number, slot }) => ({ slot: number, version: slot.word.version })),
      };
    },
    clean({ entries: old, emptied }) {
      for (const { slot, version } of emptied) {
        if (!slots.has(slot) && memory.read(slot)?.version === version) memory.write(slot, noPolicy);
      }
      for (const { version, rows } of old) entries.delete(version, rows);
      state.counters.collect();
    },
    slots: () => [...slots.keys()],
    isEnforced(slot) {
      const { ingress, egress } = slots.get(slot)?.word ?? noPolicy;
      return ((ingress | egress) & policyFlag.enforced) !== 0;
    },
    list: (slot) => [...(slots.get(slot)?.rows ?? [])].map(([row, value]) => rowEntry(row, values.valueOf(value))),
    traffic: state.counters.list,
    use() {
      const ranges = [...slots.values()].filter(hasRanges).flatMap(({ rows }) => [...rows.keys()].filter(isRange));
      const all = [...slots.values()].reduce((sum, { rows }) => sum + rows.size, 0);
      return [
        { map: 'policy', entries: all - ranges.length, entriesMax: maps.exact.info.maxEntries },
        { map: 'policyRanges', entries: ranges.length, entriesMax: maps.ranges.info.maxEntries },
      ];
    },
    close: () => memory.close(),
  };
}

const rangeKinds = [0, policyPeerShift.pods, policyPeerShift.any].reduce(
  (bits, shift) => bits | (policyKeyKind.range << shift),
  0,
);
const hasRanges = ({ word }: Slot): boolean => ((word.ingress | word.egress) & rangeKinds) !== 0;

/** The cookies of all entries of all policies. */
function cookiesInUse({ slots, values }: State): Set<number> {
  const numbers = new Set([...slots.values()].flatMap(({ rows }) => [...new Set(rows.values())]));
  return new Set([...numbers].map((number) => values.valueOf(number).cookie));
}

/** Reads what is in the maps, and deletes entries that no slot names: those of an agent that died in between. */
function adopt(state: State): void {
  const { memory, entries, values, slots, counters } = state;
  const byVersion = new Map<number, Slot>();
  for (let number = 0; number < memory.count; number++) {
    const word = memory.read(number);
    if (word === undefined) continue;
    const slot: Slot = { word, rows: new Map() };
    slots.set(number, slot);
    state.version = Math.max(state.version, word.version);
    if (word.version !== 0) byVersion.set(word.version, slot);
  }
  const orphans = new Map<number, number[]>();
  for (const { version, row, value } of entries.all()) {
    const slot = byVersion.get(version);
    counters.adopt(value.cookie, value.counter);
    if (slot !== undefined) slot.rows.set(row, values.numberOf(value));
    else if (orphans.get(version)?.push(row) === undefined) orphans.set(version, [row]);
  }
  for (const [version, rows] of orphans) entries.delete(version, rows);
  counters.collect();
}

const numberOf = ({ values, counters }: State, { verdict, ruleSet, cookie }: PolicyMapEntry): number =>
  values.numberOf({ verdict, ruleSet, cookie, counter: counters.counterOf(cookie) });

const rowsFor = (state: State, entries: readonly PolicyMapEntry[]): PolicyRows =>
  new Map(entries.map((entry) => [packKey(entry), numberOf(state, entry)]));

type Flags = Pick<PolicyWord, 'ingress' | 'egress'>;

const flagBits = policyFlag.enforced | policyFlag.defaultAllow;
const flagsOf = (word: Flags | undefined): Flags => ({
  ingress: (word?.ingress ?? 0) & flagBits,
  egress: (word?.egress ?? 0) & flagBits,
});

const directionFlags = (isEnforced: boolean, isDefaultAllow = false): number =>
  (isEnforced ? policyFlag.enforced : 0) | (isDefaultAllow ? policyFlag.defaultAllow : 0);

const wantedFlags = (content: PolicyContent): Flags => ({
  ingress: directionFlags(content.ingressEnforced, content.ingressDefaultAllow),
  egress: directionFlags(content.egressEnforced, content.egressDefaultAllow),
});

const rowsOf = ({ word, rows }: Slot): PolicyCleanup['entries'][number] => ({
  version: word.version,
  rows: [...rows.keys()],
});

function isSame(slot: Slot | undefined, next: { readonly rows: PolicyRows; readonly flags: Flags }): boolean {
  const { ingress, egress } = flagsOf(slot?.word);
  return (
    ingress === next.flags.ingress &&
    egress === next.flags.egress &&
    (slot?.rows.size ?? 0) === next.rows.size &&
    [...next.rows].every(([key, value]) => slot?.rows.get(key) === value)
  );
}

/** A word with the kinds of the rows besides what it has. */
function wordOf(rows: PolicyRows, base: PolicyWord): PolicyWord {
  let { ingress, egress } = base;
  for (const packed of rows.keys()) {
    const key = unpackKey(packed);
    if (key.direction === direction.ingress) ingress |= kindOf(key);
    else egress |= kindOf(key);
  }
  return { version: base.version, ingress, egress };
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

function checkSlot({ memory }: State, slot: number): void {
  if (slot >= 1 && slot < memory.count) return;
  throw new WeirError('RESOURCE_EXHAUSTED', `Policy slot ${slot} does not exist; there are 1–${memory.count - 1}`);
}

function replacement(state: State, number: number, content: PolicyContent): Step | undefined {
  checkSlot(state, number);
  const { slots, memory } = state;
  const before = slots.get(number);
  const fresh = rowsFor(state, content.entries);
  const flags = wantedFlags(content);
  // A slot that was given up a moment ago holds its old policy until it is cleaned.
  const isLeftOver = before === undefined && memory.read(number) !== undefined;
  if (!isLeftOver && isSame(before, { rows: fresh, flags })) return undefined;
  const word = wordOf(fresh, { version: ++state.version, ...flags });
  return { number, before, word, fresh, gone: [...(before?.rows.keys() ?? [])], isWhole: true };
}

function amendment(state: State, number: number, { added, removed }: PolicyPatch): Step | undefined {
  checkSlot(state, number);
  const before = state.slots.get(number);
  const wanted = rowsFor(state, added);
  const fresh: PolicyRows = new Map([...wanted].filter(([row, value]) => before?.rows.get(row) !== value));
  const gone = removed.map(packKey).filter((row) => before?.rows.has(row) === true && !wanted.has(row));
  if (fresh.size === 0 && gone.length === 0) return undefined;

  // Kinds only grow here: looking for what is not there costs time, not looking for what is there costs a verdict.
  const word = wordOf(fresh, before?.word ?? { version: ++state.version, ingress: 0, egress: 0 });
  return { number, before, word, fresh, gone, isWhole: before === undefined };
}

/** Takes back what was written for a step. */
function eraseFresh({ entries, values }: State, { before, word, fresh, isWhole }: Step): void {
  const rows = [...fresh.keys()];
  const former = (row: number): number | undefined => (isWhole ? undefined : before?.rows.get(row));
  entries.delete(
    word.version,
    rows.filter((row) => former(row) === undefined),
  );
  entries.write(
    word.version,
    rows.flatMap((row) => {
      const value = former(row);
      return value === undefined ? [] : [[row, values.valueOf(value)] as const];
    }),
  );
}

function writeAside(state: State, steps: readonly Step[]): void {
  const { entries, values } = state;
  try {
    for (const { fresh, word } of steps) {
      entries.write(
        word.version,
        [...fresh].map(([row, value]) => [row, values.valueOf(value)] as const),
      );
    }
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
        entries.delete(word.version, gone);
        for (const row of gone) before.rows.delete(row);
        for (const [row, value] of fresh) before.rows.set(row, value);
      }
      return {
        entries: steps.flatMap(({ isWhole, before }) => (isWhole && before !== undefined ? [rowsOf(before)] : [])),
        emptied: [],
      };
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
