// SPDX-License-Identifier: Apache-2.0
import { formatServiceAddress } from '@weir/model';
import type { weir } from '@weir/proto';
import { outputOption, type OutputFormat, print, table } from '@weir/terminal';
import type { Command } from 'commander';
import { withServices } from '../agent.ts';

type Frontend = weir.service.v1.IKernelFrontend;

const endText = ({ address, port }: { address?: string | null; port?: number | null }): string =>
  formatServiceAddress({ address: address ?? '', port: port ?? 0 });

function rowsOf(frontend: Frontend): string[][] {
  const { protocol, group, pool, selection, affinityTimeoutS, backends } = frontend;
  const affinity = affinityTimeoutS ? `${Math.round(affinityTimeoutS)} s` : '-';
  const head = [`${endText(frontend)}/${protocol}`, String(group), String(pool), selection || '-', affinity];
  const none = ['-', '-', '-', '-', '-'];
  const cells = (backends ?? []).map((backend) => [
    ...[String(backend.id), endText(backend), backend.state ?? ''],
    ...[`${((backend.share ?? 0) * 100).toFixed(2)} %`, String(backend.connections ?? 0)],
  ]);
  return (cells.length === 0 ? [none] : cells).map((row, index) => [
    ...(index === 0 ? head : head.map(() => '')),
    ...row,
  ]);
}

/** Adds `bpf lb list`: services as the kernel has them. */
export function addBpfLbCommand(bpf: Command): void {
  const description = 'services as the programs see them';
  bpf
    .command('lb')
    .description(description)
    .command('list')
    .description(description)
    .addOption(outputOption())
    .action(async ({ output }: { readonly output: OutputFormat }, self: Command) => {
      const frontends: Frontend[] = [];
      await withServices(self, async (services) => {
        for await (const portion of services.listFrontends({})) frontends.push(...portion.frontends);
      });
      print(output, frontends, () =>
        table(
          ['FRONTEND', 'GROUP', 'POOL', 'SELECTION', 'AFFINITY', 'ID', 'BACKEND', 'STATE', 'SHARE', 'CONNECTIONS'],
          frontends.flatMap(rowsOf),
        ),
      );
    });
}
