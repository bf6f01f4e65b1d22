// SPDX-License-Identifier: Apache-2.0
// What must hold in a cluster at rest, whatever has happened before.
import type { Lab, Pod } from '@weir/lab';
import { IdentityAllocatorDefinition } from '@weir/proto';
import { createRpcClient } from '@weir/rpc';

type Numbers = Readonly<Record<string, number>>;

/** Takes down which number each label set was seen with; complains of a second one, and of a second label set. */
export function createNumberWitness() {
  const numbers = new Map<string, number>();
  const labelSets = new Map<number, string>();
  const complaints = new Set<string>();
  return {
    see(labels: string, number: number, where: string): void {
      const [knownNumber, knownLabels] = [numbers.get(labels), labelSets.get(number)];
      if (knownNumber !== undefined && knownNumber !== number) {
        complaints.add(`${labels} has ${knownNumber}, and ${number} ${where}`);
      }
      if (knownLabels !== undefined && knownLabels !== labels) {
        complaints.add(`${number} is ${knownLabels}, and ${labels} ${where}`);
      }
      numbers.set(labels, number);
      labelSets.set(number, labels);
    },
    get complaints(): readonly string[] {
      return [...complaints];
    },
  };
}

/** The identities that one allocator knows, by their labels; waits for one that has just been started. */
export async function identitiesOfAllocator(lab: Lab, index: number): Promise<Numbers> {
  const client = createRpcClient(IdentityAllocatorDefinition, { address: `unix:${lab.paths.identitySocket(index)}` });
  try {
    const found: Record<string, number> = {};
    for (let afterId = 0, more = true; more;) {
      const page = await client.listIdentities({ afterId }, { waitForReady: true, deadlineMs: 20_000 });
      for (const { id, labels } of page.identities) found[(labels ?? []).join(';')] = afterId = id ?? 0;
      ({ more } = page);
    }
    return found;
  } finally {
    client.close();
  }
}

const podAddress = /^(10\.244\.\d+\.(?!1\/)\d+\/32|fd00:10:244:\d+::(?!1\/)[0-9a-f]+\/128)$/;

/** Which pod addresses a node's kernel knows as which identities. */
export async function podAddressesOf(lab: Lab, node: string): Promise<Numbers> {
  const agent = lab.agent(node);
  try {
    const { entries } = await agent.listIpcache({});
    const pods = entries.filter(({ prefix }) => podAddress.test(prefix ?? ''));
    return Object.fromEntries(pods.map(({ prefix, identity }) => [prefix ?? '', identity ?? 0]));
  } finally {
    agent.close();
  }
}

/** What a node's kernel is to know of these pods, nothing more and nothing less. */
export const podAddressesFor = (pods: readonly Pod[]): Numbers =>
  Object.fromEntries(
    pods.flatMap(({ ipv4, ipv6, identity }) => [
      [`${ipv4}/32`, identity],
      [`${ipv6}/128`, identity],
    ]),
  );
