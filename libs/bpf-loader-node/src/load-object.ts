// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { WeirError } from '@weir/errors';
import { bpfAddon, type LoadArguments, type MapPlan, type NativeLoadResult } from './bpf-binding.ts';
import { BpfMap, openPinnedMap } from './bpf-map.ts';
import { BpfObject } from './bpf-object.ts';
import { BpfProgram } from './bpf-program.ts';
import { mapDifferences } from './map-compatibility.ts';
import type { ObjectSpec } from './object-spec.ts';
import { pinAside, type PendingPin } from './pin.ts';
import { planVariables, type VariableValue } from './variable-value.ts';

/** How one map of an object comes to be. */
export interface MapLoadOptions {
  /** Instead of what the source says. */
  readonly maxEntries?: number;
  /** Use this map instead of making one; it stays the caller's. */
  readonly use?: BpfMap;
  /** Where the map is pinned after the load. */
  readonly pin?: {
    readonly path: string;
    /** "adopt" uses a map that is pinned there already, "replace" makes a new one that takes its place after the load. */
    readonly existing: 'adopt' | 'replace';
  };
}

/** How an object is loaded. Names that the object does not have are INVALID_ARGUMENT. */
export interface LoadOptions {
  /** Values of `const volatile` and plain global variables, by name. */
  readonly variables?: Readonly<Record<string, VariableValue>>;
  readonly maps?: Readonly<Record<string, MapLoadOptions>>;
  /** Whether to load a program, by name; the others as the object says. */
  readonly programs?: Readonly<Record<string, boolean>>;
}

/** A load that is about to happen: what goes to the addon, and which pinned maps take part. */
interface Plan {
  readonly args: LoadArguments;
  readonly adopted: ReadonlyMap<string, BpfMap>;
}

/**
 * Makes the maps and programs of an object in the kernel and pins what is to be pinned. On failure nothing new is left
 * behind. Pinned maps to be adopted that do not fit are CORRUPT_STATE, one error with every difference; a program that the
 * verifier refuses is a VerifierError.
 */
export function loadObject(spec: ObjectSpec, options: LoadOptions = {}): BpfObject {
  const plan = makePlan(spec, options);
  try {
    return finish(bpfAddon().objectLoad(...plan.args), options, plan);
  } finally {
    closeAll(plan.adopted);
  }
}

/** As `loadObject`, with the verifier's work on a pool thread. */
export async function loadObjectAsync(spec: ObjectSpec, options: LoadOptions = {}): Promise<BpfObject> {
  const plan = makePlan(spec, options);
  try {
    return finish(await bpfAddon().objectLoadAsync(...plan.args), options, plan);
  } finally {
    closeAll(plan.adopted);
  }
}

function makePlan(spec: ObjectSpec, { variables = {}, maps = {}, programs = {} }: LoadOptions): Plan {
  checkNames('maps', Object.keys(maps), spec.maps);
  checkNames('programs', Object.keys(programs), spec.programs);
  const variablePlan = planVariables(spec, variables);
  const adopted = openAdopted(spec, maps);
  const mapPlan = Object.entries(maps).map(([name, { maxEntries = 0, use }]): MapPlan => [
    name,
    maxEntries,
    (use ?? adopted.get(name))?.handle,
  ]);
  return { args: [spec.bytes, spec.name, spec.kconfig, variablePlan, mapPlan, Object.entries(programs)], adopted };
}

function checkNames(field: string, names: readonly string[], declared: readonly { readonly name: string }[]): void {
  for (const name of names) {
    if (declared.some((candidate) => candidate.name === name)) continue;
    const known = declared.map((candidate) => candidate.name).join(', ') || 'none';
    throw new WeirError('INVALID_ARGUMENT', `${field}: "${name}" is not in the object; it has ${known}`);
  }
}

function openAdopted(spec: ObjectSpec, maps: Readonly<Record<string, MapLoadOptions>>): Map<string, BpfMap> {
  const adopted = new Map<string, BpfMap>();
  const problems: string[] = [];
  const details: Record<string, unknown>[] = [];
  try {
    for (const declared of spec.maps) {
      const { use, pin, maxEntries = declared.maxEntries } = maps[declared.name] ?? {};
      const path = pin?.existing === 'adopt' && use === undefined && existsSync(pin.path) ? pin.path : undefined;
      const map = path === undefined ? use : openPinnedMap(path);
      if (map === undefined) continue;
      if (path !== undefined) adopted.set(declared.name, map);
      const where = path === undefined ? 'the given map' : `pinned at "${path}"`;
      const comparison = { declared: { ...declared, maxEntries }, found: map.info, pageBytes: bpfAddon().pageSize() };
      for (const difference of mapDifferences(comparison)) {
        const { field, expected, found } = difference;
        problems.push(`"${declared.name}" (${where}) ${field} is ${found}, expected ${expected}`);
        details.push({ map: declared.name, path, ...difference });
      }
    }
    if (problems.length === 0) return adopted;
    throw new WeirError('CORRUPT_STATE', `Cannot adopt maps of other layouts: ${problems.join('; ')}`, {
      details: { differences: details },
    });
  } catch (error) {
    closeAll(adopted);
    throw error;
  }
}

function finish(result: NativeLoadResult, { maps: options = {} }: LoadOptions, { adopted }: Plan): BpfObject {
  const maps = new Map(Object.entries(result.maps).map(([name, handle]) => [name, new BpfMap(handle)]));
  const programs = new Map(Object.entries(result.programs).map(([name, handle]) => [name, new BpfProgram(handle)]));
  const object = new BpfObject({ maps, programs, adopted: new Set(adopted.keys()), log: result.log });
  const pins: PendingPin[] = [];
  try {
    for (const [name, { pin, use }] of Object.entries(options)) {
      if (pin === undefined || use !== undefined || adopted.has(name)) continue;
      pins.push(pinAside((at) => object.map(name).pin(at), pin.path, { replace: pin.existing === 'replace' }));
    }
    // Nothing but a rename is left to do, so the old pins go only when all new ones are there.
    for (const pin of pins) pin.commit();
  } catch (error) {
    for (const pin of pins) pin.undo();
    object.close();
    throw error;
  }
  return object;
}

function closeAll(maps: ReadonlyMap<string, BpfMap>): void {
  for (const map of maps.values()) map.close();
}
