// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { WeirError } from '@weir/errors';

/** What the machine has, as far as it matters. */
export interface Machine {
  /** As `uname -r` says it. */
  readonly kernel: string;
  /** Bits of the capabilities that are effective. */
  readonly capabilities: bigint;
  readonly hasBtf: boolean;
}

const kernelMin = { major: 5, minor: 10 } as const;

// Numbers of linux/capability.h. CAP_SYS_ADMIN mounts the BPF file system and stands for CAP_BPF on older kernels.
const capabilitiesNeeded = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n } as const;

/** Reads what this machine has. */
export function readMachine(): Machine {
  const [, capabilities = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return {
    kernel: release(),
    capabilities: BigInt(`0x${capabilities}`),
    hasBtf: existsSync('/sys/kernel/btf/vmlinux'),
  };
}

/** Throws PERMISSION_DENIED or NOT_SUPPORTED, with what to do about it, where the agent cannot work at all. */
export function checkPrerequisites({ kernel, capabilities, hasBtf }: Machine): void {
  const missing = Object.entries(capabilitiesNeeded).filter(([, bit]) => (capabilities & (1n << bit)) === 0n);
  if (missing.length > 0) {
    const names = missing.map(([name]) => name).join(' and ');
    throw new WeirError('PERMISSION_DENIED', `The agent lacks ${names}: run it as root, in a privileged container`);
  }
  const [major = 0, minor = 0] = kernel.split('.').map(Number);
  const wanted = `${kernelMin.major}.${kernelMin.minor}`;
  if (major < kernelMin.major || (major === kernelMin.major && minor < kernelMin.minor)) {
    throw new WeirError('NOT_SUPPORTED', `The kernel is ${kernel}; the agent needs ${wanted} or newer`);
  }
  if (!hasBtf) {
    const message = `The kernel ${kernel} has no type information; it must be built with CONFIG_DEBUG_INFO_BTF`;
    throw new WeirError('NOT_SUPPORTED', message);
  }
}
