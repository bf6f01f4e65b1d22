// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { WeirError } from '@weir/errors';
import { bpfAddon } from './bpf-binding.ts';
import { mapType, programType, type MapType, type ProgramType } from './kernel-enums.ts';

/** A kernel version without what distributions append: [6, 18]. */
export type KernelVersion = readonly [major: number, minor: number];

interface Feature {
  /** The first kernel that has it. */
  readonly since: KernelVersion;
  readonly probe: () => boolean;
}

const features = {
  /** Links at the traffic hooks of an interface. */
  tcx: { since: [6, 6], probe: () => bpfAddon().probeTcx() },
  /** Batch operations on hash tables and LRU hash tables. */
  batch_hash: { since: [5, 6], probe: () => bpfAddon().probeBatch(mapType.numberOf('hash')) },
  /** Batch operations on LPM tries. */
  batch_lpm_trie: { since: [5, 13], probe: () => bpfAddon().probeBatch(mapType.numberOf('lpm_trie')) },
  ringbuf: { since: [5, 8], probe: () => hasMapType('ringbuf') },
  /** The kernel's own types, which relocations of structure offsets need. */
  btf: { since: [5, 4], probe: () => existsSync('/sys/kernel/btf/vmlinux') },
} as const satisfies Readonly<Record<string, Feature>>;

/** Something that kernels have or lack. */
export type FeatureName = keyof typeof features;

/** Which helper a program calls. */
export interface HelperQuery {
  readonly programType: ProgramType;
  /** e.g. "bpf_redirect_peer". */
  readonly helper: string;
}

// The number of the last helper of each release: helpers are numbered in the order in which they came.
const lastHelpers: readonly (readonly [last: number, since: KernelVersion])[] = [
  [155, [5, 10]],
  [162, [5, 11]],
  [163, [5, 12]],
  [165, [5, 13]],
  [168, [5, 14]],
  [175, [5, 15]],
  [179, [5, 16]],
  [185, [5, 17]],
  [193, [5, 18]],
  [203, [5, 19]],
  [207, [6, 0]],
  [209, [6, 1]],
  [211, [6, 2]],
];

// A kernel does not change while this process runs.
const answers = new Map<string, boolean>();

/** Whether this kernel has a feature, found out by trying, once. */
export function hasFeature(name: FeatureName): boolean {
  return remembered(name, () => features[name].probe());
}

/** Throws NOT_SUPPORTED, with the first kernel that has the feature, if this one lacks it. */
export function requireFeature(name: FeatureName): void {
  if (!hasFeature(name)) throw notSupported(`The feature "${name}"`, features[name].since);
}

/** Whether programs of a type can be loaded. */
export function hasProgramType(type: ProgramType): boolean {
  return remembered(`program ${type}`, () => bpfAddon().probeProgramType(programType.numberOf(type)));
}

/** Throws NOT_SUPPORTED if programs of a type cannot be loaded. */
export function requireProgramType(type: ProgramType): void {
  if (!hasProgramType(type)) throw notSupported(`The program type "${type}"`);
}

/** Whether maps of a type can be made. */
export function hasMapType(type: MapType): boolean {
  return remembered(`map ${type}`, () => bpfAddon().probeMapType(mapType.numberOf(type)));
}

/** Whether programs of a type can call a helper; an unknown helper is INVALID_ARGUMENT. */
export function hasHelper(query: HelperQuery): boolean {
  const id = helperId(query.helper);
  const type = programType.numberOf(query.programType);
  return remembered(
    `helper ${type} ${id}`,
    () => hasProgramType(query.programType) && bpfAddon().probeHelper(type, id),
  );
}

/** Throws NOT_SUPPORTED, with the first kernel that has the helper, if this one lacks it for that type of program. */
export function requireHelper(query: HelperQuery): void {
  if (hasHelper(query)) return;
  const id = helperId(query.helper);
  const [, since] = lastHelpers.find(([last]) => id <= last) ?? [0, undefined];
  throw notSupported(`The helper "${query.helper}" in programs of type "${query.programType}"`, since);
}

/** The running kernel's version. */
export function kernelVersion(): KernelVersion {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return [major, minor];
}

/** The error for something that this kernel lacks; `since` is the first kernel that has it. */
export function notSupported(what: string, since?: KernelVersion): WeirError {
  const wanted = since === undefined ? 'a newer kernel' : `Linux ${since.join('.')} or newer`;
  return new WeirError('NOT_SUPPORTED', `${what} needs ${wanted}, found ${release()}`, {
    details: { ...(since === undefined ? {} : { minimumKernel: since.join('.') }), kernel: release() },
  });
}

function helperId(name: string): number {
  const id = bpfAddon().helperIds()[name];
  if (id !== undefined && id > 0) return id;
  throw new WeirError(
    'INVALID_ARGUMENT',
    `helper: "${name}" is not a helper that this build knows, e.g. "bpf_redirect"`,
  );
}

function remembered(question: string, probe: () => boolean): boolean {
  const known = answers.get(question);
  if (known !== undefined) return known;
  const answer = probe();
  answers.set(question, answer);
  return answer;
}
