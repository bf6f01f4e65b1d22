// SPDX-License-Identifier: Apache-2.0
import { expect } from '@jest/globals';
import type { Lab } from '@weir/lab';
import { ServiceServiceDefinition, type weir } from '@weir/proto';
import { createRpcClient } from '@weir/rpc';

/** A service in few words: `10.96.0.1:80`, `10.96.0.1:80/UDP`, and backends with what is not usual of them. */
export interface ServiceWords {
  readonly frontends: readonly (string | weir.service.v1.IFrontend)[];
  readonly backends: readonly (string | weir.service.v1.IBackend)[];
  readonly affinityTimeoutS?: number;
  readonly selection?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly selector?: Readonly<Record<string, string>>;
}

/** The load balancing of a node. */
export interface ServiceApi {
  /** Makes a service or replaces it; fails when it is refused. */
  set(name: string, words: ServiceWords): Promise<void>;
  delete(name: string): Promise<void>;
  list(): Promise<readonly weir.service.v1.IService[]>;
}

const endOf = (text: string): { address: string; port: number; protocol: string } => {
  const [, address = '', port, protocol = 'TCP'] = /^\[?([^\]]*?)\]?:(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
  return { address, port: Number(port), protocol };
};

/** Speaks to the agent of a node as long as the call takes, since agents come and go. */
export function serviceApi(lab: Lab, node = 'node1'): ServiceApi {
  const withClient = async <Result>(
    task: (client: ReturnType<typeof createRpcClient<typeof ServiceServiceDefinition>>) => Promise<Result>,
  ): Promise<Result> => {
    const address = `unix:${lab.paths.node(node).agentSocket}`;
    const client = createRpcClient(ServiceServiceDefinition, { address, deadlineMs: 10_000 });
    try {
      return await task(client);
    } finally {
      client.close();
    }
  };
  return {
    async set(name, { frontends, backends, affinityTimeoutS = 0, selection = '', labels = {}, selector = {} }) {
      const service = {
        ...{
          name,
          affinityTimeoutS,
          selection,
          labels,
          selector,
          frontends: frontends.map((each) => (typeof each === 'string' ? endOf(each) : each)),
        },
        backends: backends.map((each) => (typeof each === 'string' ? endOf(each) : each)),
      };
      const { outcomes } = await withClient((client) => client.upsertServices({ services: [service] }));
      expect(outcomes.map(({ problem }) => problem)).toEqual(['']);
    },
    async delete(name) {
      const { outcomes } = await withClient((client) => client.deleteServices({ services: [{ name }] }));
      expect(outcomes.map(({ problem }) => problem)).toEqual(['']);
    },
    list: () =>
      withClient(async (client) => {
        const all: weir.service.v1.IService[] = [];
        for await (const { services } of client.listServices({})) all.push(...services);
        return all;
      }),
  };
}
