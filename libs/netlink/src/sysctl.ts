// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from 'node:fs/promises';
import { readFileInNetns, writeFileInNetns, type NetnsReference } from '@weir/bpf-loader-node';
import { WeirError } from '@weir/errors';
import { invalidField } from './field.ts';

/** A sysctl of the network stack. */
export interface SysctlKey {
  /** Its path below /proc/sys, like `net/ipv4/conf/eth0/rp_filter`; with slashes, since a link's name may have dots. */
  readonly name: string;
  /** Default: the namespace of this process. */
  readonly netns?: NetnsReference;
}

function sysctlPath({ name }: SysctlKey): string {
  const parts = typeof name === 'string' ? name.split('/') : [];
  if (parts.length < 3 || parts[0] !== 'net' || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw invalidField('sysctl name', { value: name, expected: 'a path like "net/ipv4/ip_forward"' });
  }
  return `/proc/sys/${name}`;
}

/** The same errors whether the file is in this namespace, read by Node, or in another one, read by the addon. */
function sysctlError(action: string, cause: unknown): WeirError {
  const { code = '', errnoName = code } = cause as { code?: string; errnoName?: string };
  if (errnoName === 'ENOENT') return new WeirError('NOT_FOUND', `${action} failed: there is no such sysctl`, { cause });
  if (errnoName === 'EINVAL') return new WeirError('INVALID_ARGUMENT', `${action} failed: invalid value`, { cause });
  if (cause instanceof WeirError) return cause;
  return new WeirError('SYSTEM_CALL_FAILED', `${action} failed: ${String(cause)}`, { cause });
}

/** Writes a sysctl, off the main thread. Fails with NOT_FOUND if there is none of that name. */
export async function writeSysctl(key: SysctlKey, value: string | number): Promise<void> {
  const path = sysctlPath(key);
  try {
    if (key.netns === undefined) await writeFile(path, String(value), { flag: 'r+' });
    else await writeFileInNetns(key.netns, path, String(value));
  } catch (error) {
    throw sysctlError(`Writing ${JSON.stringify(value)} to sysctl "${key.name}"`, error);
  }
}

/** Reads a sysctl, off the main thread, without the final line break. Fails with NOT_FOUND if there is none of that name. */
export async function readSysctl(key: SysctlKey): Promise<string> {
  const path = sysctlPath(key);
  try {
    const text = key.netns === undefined ? await readFile(path, 'utf8') : await readFileInNetns(key.netns, path);
    return text.trimEnd();
  } catch (error) {
    throw sysctlError(`Reading sysctl "${key.name}"`, error);
  }
}
