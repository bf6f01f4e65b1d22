// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '@weir/lab';

/** The processes of a lab with one node. */
export type ServiceName = 'identity-allocator' | 'node1/agent' | 'node1/l7-proxy';

const patienceMs = 30_000;

/** Tries again and again until something is there; fails with what is said of it. */
export async function eventually<Value>(
  what: string,
  probe: () => Promise<Value | undefined> | Value | undefined,
): Promise<Value> {
  const endMs = performance.now() + patienceMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > endMs) throw new Error(`Not within ${patienceMs} ms: ${what}`);
    await sleep(20);
  }
}

/** The process id of a service that runs. */
export async function pidOf(lab: Lab, name: ServiceName): Promise<number> {
  const state = (await lab.services()).find((service) => service.name === name)?.state;
  if (state?.kind !== 'running') throw new Error(`${name} is ${state?.kind ?? 'unknown'}`);
  return state.pid;
}

/** Kills a service with SIGKILL; resolves when the supervisor has started it again, which is before it is ready. */
export async function kill(lab: Lab, name: ServiceName): Promise<void> {
  const before = await pidOf(lab, name);
  process.kill(before, 'SIGKILL');
  await eventually(
    `${name} runs again`,
    async () => (await pidOf(lab, name).catch(() => before)) !== before || undefined,
  );
}

/** Kills services with SIGKILL, keeps them down while something is done, and waits until the node is ready again. */
export async function without(lab: Lab, names: readonly ServiceName[], work: () => Promise<void>): Promise<void> {
  await Promise.all(names.map((name) => lab.stopService(name, 'SIGKILL')));
  try {
    await work();
  } finally {
    await Promise.all(names.map((name) => lab.startService(name)));
    await lab.up();
  }
}
