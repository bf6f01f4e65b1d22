// SPDX-License-Identifier: Apache-2.0
import { outputOption, print, table } from '@weir/terminal';
import type { Command } from 'commander';
import type { LabelChanges, LabNamespace } from '../lab/lab-pods.ts';
import { labOf } from './command-context.ts';
import { parseLabelChange } from './labels.ts';

interface OutputFlags {
  readonly output: 'table' | 'json';
}

/** Adds `namespace label` and `namespace list`. */
export function addNamespaceCommands(program: Command): void {
  const namespace = program.command('namespace').description('change and list the labels of namespaces');
  namespace
    .command('label')
    .description('change the labels of a namespace; returns when what they make of its pods is enforced')
    .argument('<namespace>', 'its name; it need not have pods yet')
    .argument('<change...>', 'k=v sets a label, k- removes it', parseLabelChange)
    .addOption(outputOption())
    .action(async function (this: Command, name: string, changes: LabelChanges) {
      const changed = await (await labOf(this)).labelNamespace(name, changes);
      print(this.opts<OutputFlags>().output, changed, () => describe([changed]));
    });
  namespace
    .command('list')
    .description('all namespaces that have labels')
    .addOption(outputOption())
    .action(async ({ output }: OutputFlags, self: Command) => {
      const namespaces = await (await labOf(self)).namespaces();
      print(output, namespaces, () => describe(namespaces));
    });
}

function describe(namespaces: readonly LabNamespace[]): string {
  const labelsOf = ({ labels }: LabNamespace): string =>
    Object.entries(labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(',');
  return table(
    ['NAMESPACE', 'LABELS'],
    namespaces.map((each) => [each.name, labelsOf(each)]),
  );
}
