// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { observer } from '@weir/proto';
import { relay } from '@weir/proto';
import { type Handlers, type RpcService, rpcService } from '@weir/rpc';
import type { PooledNode } from './node-pool.ts';
import { relayFlows, type RelayFlowsOptions } from './relay-flows.ts';
import type { RelayTraffic } from './relay-metrics.ts';
import { relayDefinition } from './timed-response.ts';

const { NodeState } = relay;
const unavailableNamesMax = 10;
// In the words of Hubble's relay: these calls are a node's.
const notHere = (call: string): WeirError => new WeirError('NOT_SUPPORTED', `${call} not yet implemented`);

type Status = observer.ServerStatusResponse;

/** What each node says of itself; undefined where it does not answer. */
const statuses = (nodes: readonly PooledNode[]): Promise<readonly (Status | undefined)[]> =>
  Promise.all(nodes.map(async ({ client }) => client?.serverStatus({}).catch(() => undefined)));

function sum(answers: readonly Status[], field: 'numFlows' | 'maxFlows' | 'seenFlows' | 'flowsRate'): number {
  return answers.reduce((total, answer) => total + answer[field], 0);
}

async function* countResponses(responses: AsyncIterable<Buffer>, traffic: RelayTraffic): AsyncGenerator<Buffer> {
  traffic.readers += 1;
  try {
    for await (const response of responses) {
      traffic.responses += 1;
      traffic.bytes += response.length;
      yield response;
    }
  } finally {
    traffic.readers -= 1;
  }
}

/** Makes the observer of all nodes of a pool. Partial answers are answers: a node that fails is named, and left out. */
export function createRelayService(
  options: RelayFlowsOptions & { readonly version: string; readonly traffic: RelayTraffic },
): RpcService {
  const { pool, version, traffic } = options;

  const serverStatus = async (): Promise<observer.ServerStatusResponse.$Properties> => {
    const nodes = pool.list();
    const all = await statuses(nodes);
    const answers = all.filter((answer) => answer !== undefined);
    const silent = nodes.filter((_, index) => all[index] === undefined).map(({ name }) => name);
    return {
      ...{
        numFlows: sum(answers, 'numFlows'),
        maxFlows: sum(answers, 'maxFlows'),
        seenFlows: sum(answers, 'seenFlows'),
      },
      uptimeNs: Math.max(0, ...answers.map(({ uptimeNs }) => uptimeNs)),
      ...{ numConnectedNodes: { value: answers.length }, numUnavailableNodes: { value: silent.length } },
      unavailableNodes: silent.slice(0, unavailableNamesMax),
      ...{ version, flowsRate: sum(answers, 'flowsRate') },
    };
  };

  const describeNode = (
    { name, address, serverName, client }: PooledNode,
    status: Status | undefined,
  ): observer.Node.$Properties => {
    const about = { name, address, tls: { enabled: serverName !== undefined, serverName: serverName ?? '' } };
    if (status === undefined) return { ...about, state: client ? NodeState.NODE_ERROR : NodeState.NODE_UNAVAILABLE };
    const { uptimeNs, numFlows, maxFlows, seenFlows, version: of } = status;
    return { ...about, state: NodeState.NODE_CONNECTED, version: of, uptimeNs, numFlows, maxFlows, seenFlows };
  };

  const handlers: Handlers<typeof relayDefinition> = {
    getFlows: (request, { signal }) => countResponses(relayFlows({ ...options, request, signal }), traffic),
    getAgentEvents() {
      throw notHere('GetAgentEvents');
    },
    getDebugEvents() {
      throw notHere('GetDebugEvents');
    },
    async getNodes() {
      const nodes = pool.list();
      const all = await statuses(nodes);
      return { nodes: nodes.map((node, index) => describeNode(node, all[index])) };
    },
    async getNamespaces() {
      const answers = await Promise.all(
        pool.list().map(async ({ client }) => client?.getNamespaces({}).catch(() => undefined)),
      );
      const found = new Map(
        answers
          .flatMap((answer) => answer?.namespaces ?? [])
          .map((each) => [`${each.cluster}/${each.namespace}`, each]),
      );
      return { namespaces: [...found.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each) };
    },
    serverStatus,
  };
  return rpcService(relayDefinition, handlers);
}
