// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';

/** A kind of test, told from the others by the name of its files; in the order in which they run. */
export const kinds = ['unit', 'kernel', 'lab'] as const;
export type Kind = (typeof kinds)[number];

/** What each kind is, for the heading. */
export const titles: Readonly<Record<Kind, string>> = {
  unit: 'Unit tests: pure, no root',
  kernel: 'Kernel tests: the real programs and the native addon on this kernel',
  lab: 'Lab tests: nodes and pods made of network namespaces',
};

/** What is asked of the machine; injected, so that the answers can be tested. */
export interface Machine {
  /** `uname -r`. */
  readonly kernel: string;
  readonly hasBtf: boolean;
  /** Effective capabilities, as /proc/self/status has them. */
  readonly capabilities: bigint;
  readonly isBuilt: boolean;
}

const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

/** Looks at the machine this process runs on. `root` is the top of the source tree. */
export function thisMachine(root: string): Machine {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  return {
    kernel: release(),
    hasBtf: existsSync('/sys/kernel/btf/vmlinux'),
    capabilities: BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`),
    isBuilt: existsSync(`${root}dist/weir.mjs`),
  };
}

/** Why tests of this kind cannot run here, or undefined when they can. */
export function whyNot(kind: Kind, machine: Machine): string | undefined {
  if (kind === 'unit') return undefined;
  const has = (capability: bigint): boolean => ((machine.capabilities >> capability) & 1n) === 1n;
  const [major = 0, minor = 0] = machine.kernel.split('.').map(Number.parseFloat);
  if (!has(CAP_SYS_ADMIN) || !has(CAP_NET_ADMIN)) return 'needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN)';
  if (major < 5 || (major === 5 && minor < 10)) return `needs Linux 5.10 or newer, found ${machine.kernel}`;
  if (!machine.hasBtf) return 'needs a kernel with BTF (/sys/kernel/btf/vmlinux is missing)';
  if (kind === 'lab' && !machine.isBuilt) return 'needs dist/weir.mjs: run "make build"';
  return undefined;
}
