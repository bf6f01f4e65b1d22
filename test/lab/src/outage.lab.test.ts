// SPDX-License-Identifier: Apache-2.0
// The store dies, hangs, and is out of reach of one allocator; an allocator dies; a node is cut off, with an allocator or
// without. All the while pods come and go. What is known goes on working, what is new waits and says for what, and in the
// end nothing is wrong anywhere.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createLab, type Lab, type Pod } from '@weir/lab';
import { createNumberWitness, identitiesOfAllocator, podAddressesFor, podAddressesOf } from './testing/invariants.ts';
import { createSeededRandom, type SeededRandom } from './testing/seeded-random.ts';
import { eventually } from './testing/services.ts';
import { testStores, type TestStore } from './testing/store-servers.ts';

// Beside the first two there is an allocator each.
const nodes = ['node1', 'node2', 'node3'] as const;
const knownApps = 3;
const churners = 2;
const roundsPerOutage = 2;
// Nothing may expire while a test on a busy machine takes its time.
const times = ['--lease=10m', '--gc-grace=10m', '--reuse-delay=10m'];
const store = '172.31.0.2';
// Over the network, so that it can be cut.
const allocatorPort = 4300;
const allocators = ['172.31.0.11', '172.31.0.12'].map((address) => `${address}:${allocatorPort}`).join(',');
// So that each way of routing goes through all of it.
const routings: Readonly<Record<TestStore['store'], 'overlay' | 'direct'>> = { consul: 'overlay', etcd: 'direct' };

async function pidOf(lab: Lab, name: string): Promise<number> {
  return eventually(`${name} runs`, async () => {
    const state = (await lab.services()).find((service) => service.name === name)?.state;
    return state?.kind === 'running' ? state.pid : undefined;
  });
}

/** Something that goes wrong, and what mends it. */
interface Outage {
  readonly what: string;
  begin(lab: Lab): Promise<void>;
  end(lab: Lab): Promise<void>;
}

const signalStore = async (lab: Lab, signal: NodeJS.Signals): Promise<void> => {
  process.kill(await pidOf(lab, 'store'), signal);
};
const inNode2 = async (lab: Lab, command: string): Promise<void> =>
  expect(await lab.exec('@node2', ['sh', '-c', command])).toMatchObject({ status: 0 });

/** Pulls a node's cable out of the LAN's switch, or puts it back. */
const cable = (lab: Lab, node: string, where: readonly string[]): Promise<unknown> =>
  promisify(execFile)('ip', ['-n', `${lab.name}-lan`, 'link', 'set', node, ...where]);

const cutOff = (what: string, node: string): Outage => ({
  what,
  begin: async (lab) => void (await cable(lab, node, ['nomaster'])),
  end: async (lab) => void (await cable(lab, node, ['master', 'br0'])),
});

const outages: readonly Outage[] = [
  {
    what: 'the store is dead',
    begin: async (lab) => void (await lab.stopService('store', 'SIGKILL')),
    end: async (lab) => void (await lab.startService('store')),
  },
  {
    what: 'the store hangs',
    begin: (lab) => signalStore(lab, 'SIGSTOP'),
    end: (lab) => signalStore(lab, 'SIGCONT'),
  },
  {
    what: 'an allocator is cut off from the store',
    // Packets to the store go to a station that nobody is, without a word to the sender.
    begin: (lab) => inNode2(lab, `ip neigh replace ${store} lladdr 02:00:00:00:00:99 dev eth0 nud permanent`),
    end: (lab) => inNode2(lab, `ip neigh del ${store} dev eth0`),
  },
  {
    what: 'an allocator is dead',
    begin: async (lab) => void (await lab.stopService('identity-allocator', 'SIGKILL')),
    end: async (lab) => void (await lab.startService('identity-allocator')),
  },
  cutOff('a node is cut off with its allocator', 'node2'),
  cutOff('an agent is cut off from all allocators', 'node3'),
];

function shuffled<Item>(items: readonly Item[], random: SeededRandom): Item[] {
  const rest = [...items];
  return items.map(() => rest.splice(random.below(rest.length), 1)[0] as Item);
}

const appOf = (number: number): Record<string, string> => ({ app: `app-${number}` });

function testOutages(kind: TestStore): void {
  const lab = createLab({ name: `out${kind.store}${process.pid}` });
  const witness = createNumberWitness();
  const see = ({ identity, name }: Pod, labels: Record<string, string>): void =>
    witness.see(JSON.stringify(labels), identity, `as pod ${name} was told`);
  // Whoever is cut off hears of pods later; that it does is looked at in the end.
  const waitForNodes = false;
  const add = async (name: string, labels: Record<string, string>, node: string): Promise<void> =>
    see(await lab.addPod({ name, labels, node, waitForNodes }), labels);

  beforeAll(async () => {
    await lab.up({
      ...{ nodeCount: nodes.length, store: kind.store, storeProgram: kind.program(), allocatorCount: 2 },
      ...{ routing: routings[kind.store], timeoutMs: 90_000 },
      allocatorArguments: [...times, `--listen=0.0.0.0:${allocatorPort}`, '--allow-plaintext'],
      agentArguments: ['--identity-allocator', allocators],
    });
    for (let app = 0; app < knownApps; app += 1) await add(`resident-${app}`, appOf(app), nodes[app % nodes.length]!);
    for (const node of nodes) {
      const agent = lab.agent(node);
      await eventually(`${node} knows the residents`, async () => {
        const { identities } = await agent.listIdentities({});
        return identities.filter(({ labels }) => labels?.some((label) => /app-\d$/.test(label))).length === knownApps;
      });
      agent.close();
    }
  }, 120_000);
  afterAll(() => lab.down(), 30_000);

  const churn = async (name: string, random: SeededRandom): Promise<void> => {
    for (let round = 0; round < roundsPerOutage; round += 1) {
      const pod = `${name}-${round}`;
      await add(pod, appOf(random.below(knownApps)), nodes[random.below(nodes.length)]!);
      const labels = appOf(random.below(knownApps));
      if (random.below(3) > 0) see(await lab.labelPod(pod, { set: labels, waitForNodes }), labels);
      // Some stay, and are checked in the end.
      if (random.below(4) > 0) await lab.removePod(pod);
    }
  };

  it('pods with known labels come and go meanwhile, and in the end every number and every address is right', async () => {
    const random = createSeededRandom();
    try {
      for (const { what, begin, end } of shuffled(outages, random)) {
        await begin(lab);
        try {
          const names = Array.from({ length: churners }, (_, index) => `${what.replaceAll(' ', '-')}-${index}`);
          await Promise.all(names.map((name) => churn(name, random)));
        } finally {
          await end(lab);
        }
      }
      await add('latecomer', { app: 'latecomer' }, 'node2');
      await expectAllRight();
    } catch (error) {
      throw new Error(`with WEIR_SEED=${random.seed}`, { cause: error });
    }
  });

  async function expectAllRight(): Promise<void> {
    const pods = await lab.pods();
    const expected = podAddressesFor(pods);
    for (const node of nodes) {
      const isRight = async (): Promise<boolean> =>
        JSON.stringify(sorted(await podAddressesOf(lab, node))) === JSON.stringify(sorted(expected));
      // What went while a node could not hear of it, it forgets a minute after it hears of the others again.
      for (let halfMinutes = 0; halfMinutes < 4 && !(await isRight()); halfMinutes++) {
        await eventually(`${node} knows all pods and no others`, isRight).catch(() => undefined);
      }
      expect(await podAddressesOf(lab, node)).toEqual(expected);
    }
    const identities = (): Promise<Readonly<Record<string, number>>[]> =>
      Promise.all([0, 1].map((index) => identitiesOfAllocator(lab, index)));
    await eventually('both allocators know the same', async () => {
      const [one, other] = await identities();
      return JSON.stringify(sorted(one!)) === JSON.stringify(sorted(other!));
    }).catch(() => undefined);
    const [first, second] = await identities();
    expect(first).toEqual(second);
    expect(new Set(Object.values(first!)).size).toBe(Object.keys(first!).length);
    const inUse = new Set(Object.values(first!));
    expect(pods.filter(({ identity }) => !inUse.has(identity))).toEqual([]);
    for (const node of nodes) {
      const agent = lab.agent(node);
      const { identities: known } = await agent.listIdentities({});
      agent.close();
      for (const { id, labels } of known) {
        if ((id ?? 0) >= 256) expect([id, first![(labels ?? []).join(';')]]).toEqual([id, id]);
      }
    }
    expect(witness.complaints).toEqual([]);
  }

  it('a pod with new labels waits while the store is away, says so, and starts when it is back', async () => {
    await lab.stopService('store', 'SIGKILL');
    const name = `newcomer`;
    const labels = { app: 'never-seen' };
    const adding = lab.addPod({ name, labels, node: 'node2', waitForNodes });
    // Awaited below; until then it must not count as unhandled.
    adding.catch(() => undefined);
    const agent = lab.agent('node2');
    try {
      await eventually('the pod waits, and says for what', async () => {
        const { endpoints } = await agent.listEndpoints({});
        return endpoints.some(
          ({ pod, state, reason }) => pod === name && state === 'waiting-for-identity' && / is away/.test(reason ?? ''),
        );
      });
    } finally {
      agent.close();
      await lab.startService('store');
    }
    see(await adding, labels);
    await expectAllRight();
  });

  it.each(['identity-allocator', 'identity-allocator2'])('a pod with new labels starts without %s', async (dead) => {
    await lab.stopService(dead, 'SIGKILL');
    try {
      for (const node of nodes) await add(`${dead}-${node}`, { app: `without-${dead}-${node}` }, node);
    } finally {
      await lab.startService(dead);
    }
    await expectAllRight();
  });
}

const sorted = (numbers: Readonly<Record<string, number>>): unknown =>
  Object.entries(numbers).toSorted(([a], [b]) => (a < b ? -1 : 1));

for (const kind of testStores) {
  if (kind.skipReason !== undefined) process.stderr.write(`Skipped: outages of ${kind.store}: ${kind.skipReason}\n`);
  (kind.skipReason === undefined ? describe : describe.skip)(`with identities in ${kind.store}`, () =>
    testOutages(kind),
  );
}
