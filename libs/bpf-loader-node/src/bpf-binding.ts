// SPDX-License-Identifier: Apache-2.0
import { nativeAddon, type CoreBinding, type NativeHandle } from './native.ts';

export type MapHandle = NativeHandle & { readonly __object: 'map' };
export type ProgramHandle = NativeHandle & { readonly __object: 'program' };
export type LinkHandle = NativeHandle & { readonly __object: 'link' };
export type ScanHandle = NativeHandle & { readonly __object: 'scan' };

export type RingHandle = NativeHandle & { readonly __object: 'ring' };

export interface NativeMapInfo {
  readonly fd: number;
  readonly id: number;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly valueStride: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly name: string;
}

export interface NativeMapSpec {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly internal: boolean;
  readonly pinByName: boolean;
  readonly inner?: NativeMapSpec;
}

export interface NativeProgramSpec {
  readonly name: string;
  readonly section: string;
  readonly type: number;
  readonly expectedAttachType: number;
  readonly autoload: boolean;
  readonly instructionCount: number;
}

export interface NativeVariableSpec {
  readonly name: string;
  readonly section: string;
  readonly offset: number;
  readonly size: number;
  readonly encoding: 'boolean' | 'signed' | 'unsigned' | 'bytes';
}

export interface NativeObjectSpec {
  readonly maps: NativeMapSpec[];
  readonly programs: NativeProgramSpec[];
  readonly variables: NativeVariableSpec[];
}

export interface NativeLoadResult {
  readonly maps: Readonly<Record<string, MapHandle>>;
  readonly programs: Readonly<Record<string, ProgramHandle>>;
  readonly log: string;
}

export type VariablePlan = readonly [section: string, offset: number, bytes: Uint8Array];
export type MapPlan = readonly [name: string, maxEntries: number, reuse: MapHandle | undefined];
export type ProgramPlan = readonly [name: string, autoload: boolean];
export type LoadArguments = readonly [
  bytes: Uint8Array,
  name: string,
  kconfig: string,
  variables: readonly VariablePlan[],
  maps: readonly MapPlan[],
  programs: readonly ProgramPlan[],
];

export interface NativeProgramInfo {
  readonly fd: number;
  readonly id: number;
  readonly type: number;
  readonly name: string;
  readonly tag: string;
  readonly jitedBytes: number;
  readonly translatedBytes: number;
  readonly verifiedInstructions: number;
  readonly runCount: number;
  readonly runTimeNs: number;
}

export type TestRunArguments = readonly [
  dataIn: Uint8Array | undefined,
  dataOut: Uint8Array | undefined,
  contextIn: Uint8Array | undefined,
  contextOut: Uint8Array | undefined,
  repeat: number,
  flags: number,
  netns: string,
];

export interface NativeTestRunResult {
  readonly retval: number;
  readonly durationNs: number;
  readonly dataSize: number;
  readonly contextSize: number;
}

export interface NativeLinkInfo {
  readonly id: number;
  readonly type: number;
  readonly programId: number;
  readonly words: readonly [number, number, number, number];
}

/** What a program is attached to a device by. */
export type DeviceHook = readonly [
  program: ProgramHandle,
  ifindex: number,
  attachType: number,
  flags: number,
  netns: string,
];
type FilterPlace = readonly [ifindex: number, ingress: boolean, priority: number, handle: number, netns: string];
type BatchArguments = readonly [map: MapHandle, keys: Uint8Array, count: number, flags: number];

/** The BPF half of the addon. What each function does stands beside it in `native/`. */
export interface BpfBinding {
  mountBpffs(path: string): void;
  unmountBpffs(path: string): void;

  mapCreate(
    ...spec: readonly [
      type: number,
      keySize: number,
      valueSize: number,
      maxEntries: number,
      flags: number,
      name: string,
      inner: MapHandle | undefined,
    ]
  ): MapHandle;
  mapOpenPinned(path: string): MapHandle;
  mapOpenById(id: number): MapHandle;
  mapInfo(map: MapHandle): NativeMapInfo;
  mapPin(map: MapHandle, path: string): void;
  mapFreeze(map: MapHandle): void;
  mapDisableBatch(map: MapHandle): void;
  mapMmap(map: MapHandle): ArrayBuffer;
  detachBuffer(buffer: ArrayBuffer): void;

  mapLookup(...args: readonly [map: MapHandle, key: Uint8Array, value: Uint8Array, flags: number]): boolean;
  mapTake(...args: readonly [map: MapHandle, key: Uint8Array, value: Uint8Array, flags: number]): boolean;
  mapUpdate(...args: readonly [map: MapHandle, key: Uint8Array, value: Uint8Array, flags: number]): boolean;
  mapDelete(map: MapHandle, key: Uint8Array): boolean;
  mapUpdateMany(...args: readonly [...BatchArguments, values: Uint8Array]): number;
  mapUpdateManyAsync(...args: readonly [...BatchArguments, values: Uint8Array]): Promise<number>;
  mapDeleteMany(...args: BatchArguments): number;
  mapDeleteManyAsync(...args: BatchArguments): Promise<number>;
  mapLookupMany(...args: readonly [...BatchArguments, values: Uint8Array, found: Uint8Array]): number;

  scanOpen(map: MapHandle, sliceEntries: number, remove: boolean): ScanHandle;
  scanFill(scan: ScanHandle): number;
  scanFillAsync(scan: ScanHandle): Promise<number>;
  scanTake(scan: ScanHandle, keys: Uint8Array, values: Uint8Array): number;

  objectDescribe(bytes: Uint8Array, name: string, kconfig: string): NativeObjectSpec;
  objectLoad(...args: LoadArguments): NativeLoadResult;
  objectLoadAsync(...args: LoadArguments): Promise<NativeLoadResult>;

  programOpenPinned(path: string): ProgramHandle;
  programOpenById(id: number): ProgramHandle;
  programInfo(program: ProgramHandle): NativeProgramInfo;
  programPin(program: ProgramHandle, path: string): void;
  programTestRun(program: ProgramHandle, ...args: TestRunArguments): NativeTestRunResult;

  linkCreateDevice(...args: DeviceHook): LinkHandle;
  linkCreateDeviceAsync(...args: DeviceHook): Promise<LinkHandle>;
  linkCreateCgroup(program: ProgramHandle, cgroupPath: string, attachType: number): LinkHandle;
  linkOpenPinned(path: string): LinkHandle;
  linkUpdate(link: LinkHandle, program: ProgramHandle): void;
  linkDetach(link: LinkHandle): void;
  linkPin(link: LinkHandle, path: string): void;
  linkInfo(link: LinkHandle): NativeLinkInfo;

  tcAttach(...args: readonly [...FilterPlace, program: ProgramHandle, replace: boolean]): void;
  tcDetach(...args: FilterPlace): boolean;
  tcQuery(...args: FilterPlace): number;

  ringOpen(
    map: MapHandle,
    callback: (index: number, count: number, lost: number) => void,
    ...options: readonly [
      batches: number,
      batchRecords: number,
      batchBytes: number,
      intervalMs: number,
      pollMs: number,
      drop: boolean,
      keepAlive: boolean,
    ]
  ): { readonly handle: RingHandle; readonly buffers: readonly ArrayBuffer[] };
  ringStats(reader: RingHandle): { readonly records: number; readonly lost: number; readonly pendingBytes: number };
  ringClose(reader: RingHandle): number;

  probeProgramType(type: number): boolean;
  probeMapType(type: number): boolean;
  probeHelper(programType: number, helperId: number): boolean;
  probeTcx(): boolean;
  probeBatch(mapType: number): boolean;
  pageSize(): number;
  helperIds(): Readonly<Record<string, number>>;
}

/** The addon, loaded at the first call. */
export function bpfAddon(): BpfBinding & CoreBinding {
  return nativeAddon<BpfBinding>();
}
