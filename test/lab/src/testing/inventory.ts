// SPDX-License-Identifier: Apache-2.0
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Lab } from '@weir/lab';
import { eventually } from './services.ts';

const run = promisify(execFile);
const node = 'node1';

/** All traces that endpoints leave, each as the numbers of the endpoints it belongs to, in order. */
export interface EndpointTraces {
  readonly files: readonly number[];
  readonly devices: readonly number[];
  readonly links: readonly number[];
  readonly interfaces: readonly number[];
}

const numbers = (texts: readonly string[], pattern: RegExp): number[] =>
  texts.flatMap((text) => Number(pattern.exec(text)?.[1] ?? NaN) || []).sort((a, b) => a - b);

/** What the node has of each endpoint: its file, its device, its pinned link, its entry in the kernel. */
export async function endpointTraces(lab: Lab): Promise<EndpointTraces> {
  const { stateDirectory, bpfRoot } = lab.paths.node(node);
  const agent = lab.agent();
  try {
    const [devices, { endpoints }] = await Promise.all([
      lab.exec(`@${node}`, ['ip', '-brief', 'link']),
      agent.listDatapathEndpoints({}),
    ]);
    return {
      files: numbers(readdirSync(join(stateDirectory, 'endpoints')), /^(\d+)\.json$/),
      devices: numbers(devices.stdout.split('\n'), /^weir(\d+)@/),
      links: numbers(readdirSync(join(bpfRoot, 'links')), /^endpoint-(\d+)(?:-filter)?$/),
      interfaces: numbers(
        endpoints.map(({ endpointId }) => String(endpointId)),
        /^(\d+)$/,
      ),
    };
  } finally {
    agent.close();
  }
}

/** Waits until the programs of young endpoints are links: for some seconds they are filters, with pins of another name. */
const settled = (bpfRoot: string): Promise<boolean> =>
  eventually(
    'every endpoint has its link',
    () => !readdirSync(join(bpfRoot, 'links')).some((pin) => pin.endsWith('-filter')),
  );

/** Everything on the node that comes and goes with pods; equal before and after they were there. */
export async function inventory(lab: Lab): Promise<Readonly<Record<string, unknown>>> {
  const { bpfRoot, runDirectory, stateDirectory } = lab.paths.node(node);
  await settled(bpfRoot);
  const agent = lab.agent();
  try {
    const [status, ipcache, policy, namespaces, routes] = await Promise.all([
      agent.getStatus({}),
      agent.listIpcache({}),
      agent.listPolicyEntries({}),
      run('ip', ['netns', 'list']),
      lab.exec(`@${node}`, ['sh', '-c', 'ip -4 route; ip -6 route; ip rule; ip -6 rule; ip neigh']),
    ]);
    return {
      ...(await endpointTraces(lab)),
      addresses: [status.ipv4Allocated, status.ipv6Allocated],
      endpoints: [status.endpointsReady, status.endpointsTotal],
      ipcache: ipcache.entries.map(({ prefix }) => prefix).sort(),
      policyEntries: policy.entries.length,
      namespaces: namespaces.stdout.split('\n').filter((line) => line.startsWith(`${lab.name}-`)).length,
      routes: routes.stdout.split('\n').sort(),
      pins: readdirSync(bpfRoot, { recursive: true, encoding: 'utf8' }).sort(),
      runFiles: readdirSync(runDirectory, { recursive: true, encoding: 'utf8' }).sort(),
      stateFiles: readdirSync(join(stateDirectory, 'endpoints')).sort(),
      podFiles: readdirSync(lab.paths.podDirectory).sort(),
      logFiles: readdirSync(lab.paths.logDirectory).sort(),
    };
  } finally {
    agent.close();
  }
}

/** Numbers of the kernel's objects behind what is pinned: the same numbers are the same objects. */
export async function kernelObjects(lab: Lab): Promise<Readonly<Record<string, number>>> {
  const { bpfRoot } = lab.paths.node(node);
  await settled(bpfRoot);
  const pins = readdirSync(bpfRoot, { recursive: true, encoding: 'utf8' }).filter((path) => /^\w+\/.*[^/]$/.test(path));
  const objects: [string, number][] = [];
  for (const pin of pins.sort()) {
    const kind = { maps: 'map', links: 'link', programs: 'prog' }[pin.split('/')[0]!];
    if (kind === undefined || (kind === 'prog' && pin.split('/').length < 3)) continue;
    const { stdout } = await run('bpftool', ['-j', kind, 'show', 'pinned', join(bpfRoot, pin)]);
    objects.push([pin, (JSON.parse(stdout) as { id: number }).id]);
  }
  return Object.fromEntries(objects);
}

/** How many files a process has open. */
export const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** Resident memory of a process in MiB. */
export const residentMiB = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
