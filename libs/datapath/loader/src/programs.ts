// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import {
  type BpfMap,
  type BpfProgram,
  hasHelper,
  loadObjectAsync,
  openObject,
  openPinnedMap,
  openPinnedProgram,
  type ObjectSpec,
} from '@weir/bpf-loader-node';
import { configConstants, type DatapathConfig, mapSpecs } from '@weir/datapath-layout';
import type { Pins } from './pins.ts';

/** The programs, by the hook that they are for. */
export const programNames = {
  pod: 'weir_from_pod',
  host: 'weir_from_host',
  network: 'weir_from_network',
  outwards: 'weir_to_network',
  overlay: 'weir_from_overlay',
} as const;

export type Hook = keyof typeof programNames;

/** Sizes of the maps whose size is the operator's choice, in entries. */
export type MapLimits = Partial<Record<keyof typeof mapSpecs, number>>;

export interface LoadedDatapath {
  readonly maps: Readonly<Record<keyof typeof mapSpecs, BpfMap>>;
  readonly programs: Readonly<Record<Hook, BpfProgram>>;
  /** Names the object and its configuration. */
  readonly build: string;
  /** Programs and maps were there already; nothing went through the verifier. */
  readonly adopted: boolean;
  /** Maps that were kept although another size was asked for; their contents count more. */
  readonly keptSizes: readonly { readonly map: string; readonly entries: number; readonly wanted: number }[];
}

export interface LoadDatapathOptions {
  readonly objectPath: string;
  readonly config: Partial<DatapathConfig>;
  readonly limits: MapLimits;
  readonly pins: Pins;
}

const hooks = Object.keys(programNames) as Hook[];
const subjects = Object.keys(mapSpecs) as (keyof typeof mapSpecs)[];

const fromHooks = <T>(make: (hook: Hook) => T): Record<Hook, T> =>
  Object.fromEntries(hooks.map((hook) => [hook, make(hook)])) as Record<Hook, T>;
const fromMaps = <T>(make: (subject: keyof typeof mapSpecs) => T): Record<keyof typeof mapSpecs, T> =>
  Object.fromEntries(subjects.map((subject) => [subject, make(subject)])) as Record<keyof typeof mapSpecs, T>;

/** Settings that are the kernel's choice and not the operator's. */
function completeConfig(config: Partial<DatapathConfig>): Partial<DatapathConfig> {
  const coarse = hasHelper({ programType: 'sched_cls', helper: 'bpf_ktime_get_coarse_ns' });
  return { coarseClock: coarse ? 1 : 0, ...config };
}

function buildName(spec: ObjectSpec, variables: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash('sha256').update(spec.bytes);
  for (const [name, value] of variables) hash.update(name).update(value);
  return hash.digest('hex').slice(0, 16);
}

const tryOpen = <T>(open: () => T): T | undefined => {
  try {
    return open();
  } catch {
    // Whatever the reason: what cannot be adopted is loaded, and that says what is wrong.
    return undefined;
  }
};

type KeptSize = LoadedDatapath['keptSizes'][number];

const wantedSize = (limits: MapLimits, subject: keyof typeof mapSpecs): number =>
  limits[subject] ?? mapSpecs[subject].maxEntries;

/** What a pinned map means for its size: it stays as it is. */
function keptSize(map: BpfMap, wanted: number): KeptSize[] {
  const { name, maxEntries } = map.info;
  return maxEntries === wanted ? [] : [{ map: name, entries: maxEntries, wanted }];
}

/** What an agent of the same build and configuration left behind, if it is complete. */
function adopt({ pins, limits }: LoadDatapathOptions, build: string): LoadedDatapath | undefined {
  if (!pins.builds().includes(build)) return undefined;
  const maps = fromMaps((subject) => tryOpen(() => openPinnedMap(pins.map(mapSpecs[subject].name))));
  const programs = fromHooks((hook) => tryOpen(() => openPinnedProgram(pins.program(build, programNames[hook]))));
  const opened = [...Object.values(maps), ...Object.values(programs)];
  if (opened.includes(undefined)) {
    for (const each of opened) each?.close();
    return undefined;
  }
  const adopted = maps as LoadedDatapath['maps'];
  return {
    maps: adopted,
    programs: programs as LoadedDatapath['programs'],
    build,
    adopted: true,
    keptSizes: subjects.flatMap((subject) => keptSize(adopted[subject], wantedSize(limits, subject))),
  };
}

/**
 * Gives the maps and programs of an object: those that are pinned where they are of the same build and configuration, and
 * new programs on the same maps otherwise. A pinned map keeps its size. Rejects with CORRUPT_STATE when a pinned map has
 * another layout, with a VerifierError when the kernel refuses a program; what is pinned and attached stays as it is.
 */
export async function loadDatapath(options: LoadDatapathOptions): Promise<LoadedDatapath> {
  const { pins, limits } = options;
  const spec = openObject({ path: options.objectPath });
  const variables = configConstants(completeConfig(options.config));
  const build = buildName(spec, variables);
  const adopted = adopt(options, build);
  if (adopted !== undefined) return adopted;

  const keptSizes: KeptSize[] = [];
  const mapOptions = subjects.map((subject) => {
    const { name } = mapSpecs[subject];
    const wanted = wantedSize(limits, subject);
    const pinned = tryOpen(() => openPinnedMap(pins.map(name)));
    const entries = pinned?.info.maxEntries ?? wanted;
    if (pinned !== undefined) keptSizes.push(...keptSize(pinned, wanted));
    pinned?.close();
    return [name, { maxEntries: entries, pin: { path: pins.map(name), existing: 'adopt' } }] as const;
  });
  const object = await loadObjectAsync(spec, {
    variables: Object.fromEntries(variables),
    maps: Object.fromEntries(mapOptions),
  });
  const programs = fromHooks((hook) => object.program(programNames[hook]));
  for (const hook of hooks) programs[hook].pin(pins.program(build, programNames[hook]), { replace: true });
  return {
    maps: fromMaps((subject) => object.map(mapSpecs[subject].name)),
    programs,
    build,
    adopted: false,
    keptSizes,
  };
}
