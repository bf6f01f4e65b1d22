// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import type { LabPaths } from '../lab/lab-paths.ts';
import type { LabSpec } from '../lab/lab-spec.ts';
import type { Argv } from '../machine/run-command.ts';
import type { NetworkPlan } from '../network/plan.ts';

export interface StorePlan {
  readonly paths: LabPaths;
  readonly spec: LabSpec;
  readonly network: NetworkPlan;
}

const clientPort = { etcd: 2379, consul: 8500 } as const;

/** Where the clients of the lab's store find it, as `host:port`; undefined where it is embedded. */
export const storeEndpoint = ({ spec, network }: StorePlan): string | undefined =>
  spec.store === 'embedded' ? undefined : `${network.world.address.ipv4}:${clientPort[spec.store]}`;

/** The command of the lab's store: one server outside the cluster, whose data outlives it. */
export function storeCommand({ paths, spec, network }: StorePlan): Argv | undefined {
  const { store, storeProgram } = spec;
  if (store === 'embedded' || storeProgram === undefined) return undefined;
  const host = network.world.address.ipv4;
  const data = join(paths.storeDirectory, 'data');
  const url = `http://${host}:${clientPort.etcd}`;
  const peer = 'http://127.0.0.1:2380';
  if (store === 'etcd') {
    return [
      ...([storeProgram, '--name', 'lab', '--data-dir', data, '--log-level', 'error', '--logger', 'zap'] as const),
      ...['--listen-client-urls', url, '--advertise-client-urls', url, '--listen-peer-urls', peer],
      ...['--initial-advertise-peer-urls', peer, '--initial-cluster', `lab=${peer}`],
    ];
  }
  return [
    ...([storeProgram, 'agent', '-server', '-bootstrap-expect=1', `-data-dir=${data}`, '-node=lab'] as const),
    ...[`-bind=${host}`, `-client=${host}`, '-disable-host-node-id', '-log-level=err'],
    ...['-hcl', 'ports { dns = -1, grpc = -1 } performance { raft_multiplier = 1 }'],
  ];
}
