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

/** Work that remains after a change is in force: entries of versions that no slot names any more. */
export interface PolicyCleanup {
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
  /** Slots that hold a policy. */
  slots(): readonly number[];
  list(slot: number): readonly PolicyMapEntry[];
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
  const { slots, values, entries } = state;
  return {
    replace: (policies) => replace(state, policies),
    patch: (patches) => [...patches].map((patch) => patchSlot(state, ...patch)).includes(true),
    remove(numbers) {
      const gone = numbers.filter((slot) => slots.has(slot));
      const keys = gone.flatMap((slot) => keysOf(slots.get(slot)));
      for (const slot of gone) {
        state.memory.write(slot, noPolicy);
        slots.delete(slot);
      }
      return gone.length === 0 ? undefined : { keys };
    },
    clean: ({ keys }) => entries.deleteAll(keys),
    slots: () => [...slots.keys()],
    list: (slot) => [...(slots.get(slot)?.rows ?? [])].map(([row, value]) => rowEntry(row, values.valueOf(value))),
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

/** Writes entries that no program looks at yet; on failure takes them away again. */
function writeAside(state: State, rows: readonly { readonly version: number; readonly rows: PolicyRows }[]): void {
  const { entries, values } = state;
  const all = rows.flatMap((each) =>
    [...each.rows].map(([packed, value]) => [{ ...unpackKey(packed), version: each.version }, value] as const),
  );
  try {
    entries.setAll(all.map(([key, value]) => [key, values.valueOf(value)]));
  } catch (cause) {
    entries.deleteAll(all.map(([key]) => key));
    const { name } = mapSpecs.policy;
    const { maxEntries } = entries.map.info;
    throw new WeirError(
      'RESOURCE_EXHAUSTED',
      `The policy map "${name}" has no room for ${all.length} more entries (it holds at most ${maxEntries}); ` +
        'the policies before stay in force',
      { cause, details: { map: name, entriesMax: maxEntries } },
    );
  }
}

function replace(state: State, policies: ReadonlyMap<number, PolicyContent>): PolicyCleanup | undefined {
  const { slots, values, memory } = state;
  const changed = [...policies].flatMap(([slot, content]) => {
    if (slot < 1 || slot >= memory.count) {
      throw new WeirError('RESOURCE_EXHAUSTED', `Policy slot ${slot} does not exist; there are 1–${memory.count - 1}`);
    }
    const rows: PolicyRows = new Map(content.entries.map((entry) => [packKey(entry), values.numberOf(valueOf(entry))]));
    const next = { slot, rows, enforced: enforcedBits(content) };
    return isSame(slots.get(slot), next) ? [] : [{ ...next, version: ++state.version }];
  });
  if (changed.length === 0) return undefined;
  writeAside(state, changed);
  const keys = changed.flatMap(({ slot }) => keysOf(slots.get(slot)));
  for (const { slot, rows, ...base } of changed) {
    const word = wordOf(rows, base);
    slots.set(slot, { word, rows });
    memory.write(slot, word);
  }
  return { keys };
}

function patchSlot(state: State, number: number, { added, removed }: PolicyPatch): boolean {
  const { slots, values, memory, entries } = state;
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
  const base = { version: slot.word.version || ++state.version, enforced: slot.word.enforced };
  const grown = wordOf(fresh, base);
  const word: PolicyWord = {
    ...base,
    ingressKinds: slot.word.ingressKinds | grown.ingressKinds,
    egressKinds: slot.word.egressKinds | grown.egressKinds,
  };
  writeAside(state, [{ version: word.version, rows: fresh }]);
  memory.write(number, word);
  entries.deleteAll(gone.map((entry) => ({ ...entry, version: word.version })));
  for (const entry of gone) slot.rows.delete(packKey(entry));
  for (const [key, value] of fresh) slot.rows.set(key, value);
  slots.set(number, { word, rows: slot.rows });
  return true;
}
