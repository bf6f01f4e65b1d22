// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, describe } from '@jest/globals';
import { type LinkInfo, mountBpffs, openPinnedLink, openPinnedMap, unmountBpffs } from '@weir/bpf-loader-node';
import { direction, mapSpecs, policyVerdict } from '@weir/datapath-layout';
import type { DatapathEndpoint, PolicyContent, PolicyMapEntry } from '@weir/datapath-maps';
import { parseIpAddress } from '@weir/model';
import { type KernelDatapath, type KernelDatapathOptions, openKernelDatapath } from '../src/index.ts';

const isRoot = process.getuid?.() === 0;
if (!isRoot) process.stderr.write('Tests of the kernel datapath are skipped: they need root\n');

/** A `describe` for tests on the kernel; skipped, with the reason printed, where there is no root. */
export const describeAsRoot = isRoot ? describe : describe.skip;

/** The compiled programs. */
export const objectPath =
  process.env['WEIR_BPF_OBJECT'] ?? fileURLToPath(new URL('../../../../dist/bpf/weir.bpf.o', import.meta.url));

/** A BPF file system for each test, and datapaths in it. */
export interface TestDatapaths {
  readonly bpfRoot: string;
  /** Opens one; all are closed at the end of the test. */
  open(options?: Partial<KernelDatapathOptions>): Promise<KernelDatapath>;
  /** Ids of a pinned link and of the program that it runs. */
  link(name: string): LinkInfo;
  entryCount(map: keyof typeof mapSpecs): number;
}

/** For one `describe`. Maps are small: a test that fills one is quick. */
export function useTestDatapaths(): TestDatapaths {
  let bpfRoot = '';
  const opened: KernelDatapath[] = [];
  beforeEach(() => {
    bpfRoot = mkdtempSync(join(tmpdir(), 'weir-loader-'));
    mountBpffs(bpfRoot);
  });
  afterEach(async () => {
    for (const datapath of opened.splice(0)) await datapath.close();
    unmountBpffs(bpfRoot);
    rmdirSync(bpfRoot);
  });
  return {
    get bpfRoot() {
      return bpfRoot;
    },
    async open(options = {}) {
      const limits = { ct: 1024, policy: 64, interfaces: 8, endpoints: 16, ipcache: 16, prefixes: 8 };
      const datapath = await openKernelDatapath({ bpfRoot, objectPath, limits, ...options });
      opened.push(datapath);
      return datapath;
    },
    link(name) {
      using link = openPinnedLink(join(bpfRoot, 'links', name));
      return link.info();
    },
    entryCount(map) {
      using pinned = openPinnedMap(join(bpfRoot, 'maps', mapSpecs[map].name));
      return pinned.entries().count;
    },
  };
}

/** Pairs of devices that programs can be attached to, gone at the end of the tests. */
export function useTestDevices(count: number): {
  ifindex(index: number): number;
  name(index: number): string;
  remove(index: number): void;
} {
  const nameOf = (index: number): string => `wl${process.pid}-${index}`;
  const ip = (...args: string[]): string => execFileSync('ip', args, { encoding: 'utf8', stdio: 'pipe' });
  const present = new Set<number>();
  beforeEach(() => {
    for (let index = 0; index < count; index++) {
      if (present.has(index)) continue;
      ip('link', 'add', nameOf(index), 'type', 'veth', 'peer', 'name', `${nameOf(index)}p`);
      present.add(index);
    }
  });
  const remove = (index: number): void => {
    if (present.delete(index)) ip('link', 'del', nameOf(index));
  };
  afterAll(() => [...present].forEach(remove));
  return {
    ifindex: (index) => Number(ip('-o', 'link', 'show', nameOf(index)).split(':')[0]),
    name: nameOf,
    remove,
  };
}

/** A pod by number. */
export function pod(id: number, more: Partial<DatapathEndpoint> = {}): DatapathEndpoint {
  return {
    ifindex: 1000 + id,
    id,
    identity: 256 + id,
    policySlot: id,
    mac: Uint8Array.of(2, 0, 0, 0, 0, id),
    ipv4: parseIpAddress(`10.0.0.${id}`),
    ipv6: parseIpAddress(`fd00::${id}`),
    ...more,
  };
}

/** An allowance of ingress. */
export const allow = (more: Partial<PolicyMapEntry> = {}): PolicyMapEntry => ({
  direction: direction.ingress,
  peerIdentity: 300,
  protocol: 6,
  port: 80,
  verdict: policyVerdict.allow,
  ruleSet: 0,
  cookie: 1,
  ...more,
});

/** A policy that is enforced for ingress. */
export const ingress = (...entries: PolicyMapEntry[]): PolicyContent => ({
  ingressEnforced: true,
  egressEnforced: false,
  entries,
});
