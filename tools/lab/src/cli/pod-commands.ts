// SPDX-License-Identifier: Apache-2.0
import { onStdout, outputOption, print, progress, table } from '@weir/terminal';
import type { NamedPort } from '@weir/model';
import { type Command, InvalidArgumentError } from 'commander';
import type { LabelChanges, Pod } from '../lab/lab-pods.ts';
import type { Argv } from '../machine/run-command.ts';
import { defaultNamespace } from '../pods/pod-name.ts';
import { labOf } from './command-context.ts';
import { parseLabelChange, parseLabels, parseNamedPorts } from './labels.ts';

interface AddFlags {
  readonly node: string;
  readonly namespace: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly port?: readonly NamedPort[];
  readonly waitPort?: number;
  readonly output: 'table' | 'json';
}

interface OutputFlags {
  readonly output: 'table' | 'json';
}

/** Adds `pod add`, `pod label`, `pod rm` and `pod list`. */
export function addPodCommands(program: Command): void {
  const pod = program.command('pod').description('make, change, list and remove pods');
  pod
    .command('add')
    .description('make a pod through the CNI plugin; returns when it is on the network and its command runs')
    .argument('<name>', 'name of the pod')
    .argument('[command...]', 'after --: what the pod runs')
    .option('--node <node>', 'where', 'node1')
    .option('--namespace <namespace>', 'Kubernetes namespace', defaultNamespace)
    .option('--labels <k=v,k=v>', 'its labels', parseLabels)
    .option('--port <name=port/protocol>', 'a port that it has a name for; may be repeated', parseNamedPorts)
    .option('--wait-port <port>', 'wait until the command listens on this TCP port', port)
    .addOption(outputOption())
    .action(addPod);
  pod
    .command('label')
    .description('change the labels of a running pod; returns when its new identity is enforced')
    .argument('<pod>', 'NAME or NAMESPACE/NAME')
    .argument('<change...>', 'k=v sets a label, k- removes it', parseLabelChange)
    .addOption(outputOption())
    .action(async function (this: Command, name: string, changes: LabelChanges) {
      const changed = await (await labOf(this)).labelPod(name, changes);
      print(this.opts<OutputFlags>().output, changed, () => describePods([changed]));
    });
  pod
    .command('rm')
    .description('end a pod and take it off the network')
    .argument('<pod...>', 'NAME or NAMESPACE/NAME')
    .addOption(outputOption())
    .action(async (names: string[], { output }: OutputFlags, self: Command) => {
      const lab = await labOf(self);
      const removed: Pod[] = [];
      for (const name of names) {
        const pod = await lab.removePod(name);
        removed.push(pod);
        progress(`Pod "${pod.namespace}/${pod.name}" is gone`);
      }
      print(output, removed, () => '');
    });
  pod
    .command('list')
    .description('all pods, with addresses and identities')
    .addOption(outputOption())
    .action(async ({ output }: OutputFlags, self: Command) => {
      const pods = await (await labOf(self)).pods();
      print(output, pods, () => describePods(pods));
    });
}

function port(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= 65535) return number;
  throw new InvalidArgumentError('Expected a port from 1 to 65535.');
}

async function addPod(this: Command, name: string, [file, ...args]: string[]): Promise<void> {
  const flags = this.opts<AddFlags>();
  const command: Argv | undefined = file === undefined ? undefined : [file, ...args];
  const lab = await labOf(this);
  const pod = await lab.addPod({
    name,
    node: flags.node,
    namespace: flags.namespace,
    ...(flags.labels && { labels: flags.labels }),
    ...(flags.port && { namedPorts: flags.port }),
    ...(command && { command }),
    ...(flags.waitPort !== undefined && { waitPort: flags.waitPort }),
  });
  print(flags.output, pod, () => describePods([pod]));
}

function describePods(pods: readonly Pod[]): string {
  const header = ['NAMESPACE', 'NAME', 'NODE', 'IPV4', 'IPV6', 'ENDPOINT', 'IDENTITY', 'NETNS', 'COMMAND'];
  return table(
    header,
    pods.map((pod) => [
      pod.namespace,
      pod.name,
      pod.node,
      pod.ipv4,
      pod.ipv6,
      String(pod.endpointId),
      String(pod.identity),
      pod.netns,
      describeServer(pod),
    ]),
  );
}

function describeServer({ server }: Pod): string {
  if (server === undefined) return onStdout.dim('-');
  if (server.exit === undefined) return `${onStdout.green('running')} ${server.command[0] ?? ''}`;
  const { status, signal } = server.exit;
  return onStdout.red(signal === null ? `exited with status ${status}` : `ended by ${signal}`);
}
