// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { WeirError } from '@weir/errors';
import { bpfAddon, type NativeMapSpec, type NativeProgramSpec, type NativeVariableSpec } from './bpf-binding.ts';
import { attachType, mapType, programType, type AttachType, type MapType, type ProgramType } from './kernel-enums.ts';

/** A map as an object file declares it. Sizes in bytes. */
export interface DeclaredMap {
  readonly name: string;
  readonly type: MapType | `unknown(${number})`;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** One of the compiler's data sections (".rodata", ".bss", …), not a map of the source. */
  readonly internal: boolean;
  /** Whether the source says `LIBBPF_PIN_BY_NAME`; where it is pinned is up to the loader. */
  readonly pinByName: boolean;
  /** What a map of maps holds, if the source says so. */
  readonly inner?: DeclaredMap;
}

/** A program as an object file declares it. */
export interface DeclaredProgram {
  readonly name: string;
  readonly section: string;
  readonly type: ProgramType | `unknown(${number})`;
  /** Only where the kernel wants it at the load: cgroup hooks, XDP, tracing. */
  readonly expectedAttachType?: AttachType | `unknown(${number})`;
  /** Whether it is loaded unless the load options say otherwise. */
  readonly autoload: boolean;
  readonly instructionCount: number;
}

/** A global variable that can be set before the load. */
export interface DeclaredVariable {
  readonly name: string;
  /** ".rodata" for `const volatile`, else ".data" or a named one. */
  readonly section: string;
  readonly offset: number;
  readonly size: number;
  /** How a number is written into it; "bytes" for arrays, structs and the like. */
  readonly encoding: 'boolean' | 'signed' | 'unsigned' | 'bytes';
}

/** What an object file contains: a plain value, read without asking the kernel, and good for any number of loads. */
export interface ObjectSpec {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Lines `CONFIG_X=y` that override the kernel's configuration for `extern … __kconfig` variables. */
  readonly kconfig: string;
  readonly maps: readonly DeclaredMap[];
  readonly programs: readonly DeclaredProgram[];
  readonly variables: readonly DeclaredVariable[];
}

/** Where an object file comes from. */
export type ObjectSource = ({ readonly path: string } | { readonly bytes: Uint8Array; readonly name: string }) & {
  readonly kconfig?: string;
};

/** Reads an object file; needs no rights. A file that libbpf cannot make sense of is a KernelError with its `log`. */
export function openObject(source: ObjectSource): ObjectSpec {
  const { kconfig = '' } = source;
  const bytes = 'path' in source ? readObjectFile(source.path) : source.bytes;
  // libbpf puts the name before those of data sections, so a dot in it would read as the start of the section.
  const name = ('path' in source ? basename(source.path) : source.name).replace(/\..*$/, '').slice(0, 63);
  const { maps, programs, variables } = bpfAddon().objectDescribe(bytes, name, kconfig);
  return {
    name,
    bytes,
    kconfig,
    maps: maps.map(declaredMap),
    programs: programs.map(declaredProgram),
    variables: variables.filter(canBeSet),
  };
}

function readObjectFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new WeirError('NOT_FOUND', `Cannot read the BPF object "${path}": ${(error as Error).message}`, {
      cause: error,
      details: { path },
    });
  }
}

function declaredMap({ type, inner, ...rest }: NativeMapSpec): DeclaredMap {
  return { ...rest, type: mapType.nameOf(type), ...(inner === undefined ? {} : { inner: declaredMap(inner) }) };
}

function declaredProgram({ type, expectedAttachType, ...rest }: NativeProgramSpec): DeclaredProgram {
  const declared = { ...rest, type: programType.nameOf(type) };
  // 0 is both "none" and the first hook of the one type that has it.
  if (expectedAttachType === 0 && declared.type !== 'cgroup_skb') return declared;
  return { ...declared, expectedAttachType: attachType.nameOf(expectedAttachType) };
}

// .bss starts as zeroes in every load, and string literals are constants of the compiler.
function canBeSet({ section }: NativeVariableSpec): boolean {
  return !section.startsWith('.bss') && !section.startsWith('.rodata.str');
}
