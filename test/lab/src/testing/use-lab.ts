// SPDX-License-Identifier: Apache-2.0
import { afterAll, afterEach, beforeAll } from '@jest/globals';
import { createLab, type AddPodOptions, type Lab, type Pod, type PolicySource, type UpOptions } from '@weir/lab';
import { logEvents, type EventLog } from './events.ts';
import { startPuppet, type Puppet } from './puppet.ts';

/** The two families that every case is tried with. */
export const families = ['ipv4', 'ipv6'] as const;
export type Family = (typeof families)[number];

/** A pod, and the process in it that the test plays. */
export interface PlayedPod extends Pod, Puppet {}

/** A host of the lab that is no pod. */
export interface PlayedHost extends Puppet {
  readonly name: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

/** The lab of a test file. */
export interface TestLab {
  readonly lab: Lab;
  /** A pod that stays until the file's tests are over. */
  pod(name: string, options?: Omit<AddPodOptions, 'name'>): Promise<PlayedPod>;
  /** A process on the node, or outside the cluster. */
  host(name: keyof typeof hostAddresses): Promise<PlayedHost>;
  /** Brings policies into force, each as a file. */
  apply(...policies: readonly object[]): Promise<void>;
  /** Takes policies out of force, each as a file. */
  delete(...policies: readonly object[]): Promise<void>;
  /** Events since the file's first test. */
  readonly events: EventLog;
  /** To be called when the agent has died, after which it is another one that reports. */
  logEventsAnew(): Promise<void>;
}

const filesOf = (policies: readonly object[]): PolicySource[] =>
  policies.map((policy, index) => ({ name: `${index}.json`, content: Buffer.from(JSON.stringify(policy)) }));

const upTimeoutMs = 90_000;
const hostAddresses = {
  '@node1': { ipv4: '172.31.0.11', ipv6: 'fd00:172:31::11' },
  '@node2': { ipv4: '172.31.0.12', ipv6: 'fd00:172:31::12' },
  '@node3': { ipv4: '172.31.0.13', ipv6: 'fd00:172:31::13' },
  '@world': { ipv4: '172.31.0.2', ipv6: 'fd00:172:31::2' },
};

/**
 * Gives a test file a lab of its own. `setUp` makes what all its tests share. After each test no policy is left; after
 * the last one nothing is left at all.
 */
export function useLab(topic: string, setUp: (test: TestLab) => Promise<void>, options: UpOptions = {}): TestLab {
  // Process ids have up to 7 digits, a lab's name up to 20 characters.
  const lab = createLab({ name: `t${topic}${process.pid}` });
  let events: EventLog | undefined;
  const test: TestLab = {
    lab,
    async pod(name, podOptions) {
      const pod = await lab.addPod({ name, ...podOptions });
      return { ...pod, ...(await startPuppet(lab, `${pod.namespace}/${pod.name}`)) };
    },
    host: async (name) => ({ name, ...hostAddresses[name], ...(await startPuppet(lab, name)) }),
    apply: async (...policies) => void (await lab.applyPolicy(filesOf(policies))),
    delete: async (...policies) => void (await lab.deletePolicy({ files: filesOf(policies) })),
    get events() {
      return events!;
    },
    async logEventsAnew() {
      events?.stop();
      events = await logEvents(lab);
    },
  };
  beforeAll(async () => {
    await lab.up({ timeoutMs: upTimeoutMs, ...options });
    await test.logEventsAnew();
    await setUp(test);
  });
  afterEach(async () => {
    await lab.deletePolicy({ all: true });
  });
  afterAll(async () => {
    events?.stop();
    await lab.down();
  });
  return test;
}
