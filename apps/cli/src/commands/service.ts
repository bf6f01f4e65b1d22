// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import {
  formatServiceAddress,
  parseServiceBackend,
  parseServiceFrontend,
  serviceSelections,
  type ServiceBackend,
  type ServiceFrontend,
  type ServiceSelection,
} from '@weir/model';
import type { weir } from '@weir/proto';
import { checkedFlag } from '@weir/service';
import { outputOption, type OutputFormat, print, progress, table } from '@weir/terminal';
import { type Command, Option } from 'commander';
import { type Services, withServices } from '../agent.ts';

type Service = weir.service.v1.IService;
type Backend = weir.service.v1.IBackend;
type Outcome = weir.service.v1.IServiceOutcome;
type Name = weir.service.v1.IServiceName;

interface OutputFlags {
  readonly output: OutputFormat;
}

const fullName = ({ namespace, name }: Name): string => `${namespace}/${name}`;

/** `name` or `namespace/name`. */
function parseName(text: string): Name {
  const parts = text.split('/');
  if (parts.length > 2 || parts.includes('')) {
    throw new WeirError('INVALID_ARGUMENT', `"${text}" is not the name of a service: name or namespace/name`);
  }
  const [name = '', namespace = 'default'] = parts.toReversed();
  return { namespace, name };
}

const endText = ({ address, port }: { address?: string | null; port?: number | null }): string =>
  formatServiceAddress({ address: address ?? '', port: port ?? 0 });

const scopeText = ({ scope }: { scope?: string | null }): string => (scope === 'external' ? ' external' : '');

const frontendText = (frontend: weir.service.v1.IFrontend): string =>
  `${endText(frontend)}/${frontend.protocol}${frontend.portName ? ` (${frontend.portName})` : ''}${scopeText(frontend)}`;

const backendCells = (backend: Backend): string[] => [
  `${endText(backend)}${backend.portName ? ` (${backend.portName})` : ''}`,
  String(backend.weight),
  backend.state ?? '',
  ...[backend.connections, backend.active, backend.sentBytes, backend.receivedBytes].map((count) => String(count ?? 0)),
];

/** As many lines as it has frontends or backends, whichever are more. */
function rowsOf(service: Service): string[][] {
  const frontends = service.frontends ?? [];
  const backends = service.backends ?? [];
  const count = Math.max(1, frontends.length, backends.length);
  return Array.from({ length: count }, (_, index) => {
    const frontend = frontends[index];
    const backend = backends[index];
    return [
      index === 0 ? fullName(service as Name) : '',
      index === 0 ? (service.owner ?? '') : '',
      index === 0 ? (service.selection ?? '') : '',
      frontend === undefined ? '' : frontendText(frontend),
      ...(backend === undefined ? ['', '', '', '', '', '', ''] : backendCells(backend)),
    ];
  });
}

const listText = (services: readonly Service[]): string =>
  table(
    [
      ...['SERVICE', 'OWNER', 'SELECTION', 'FRONTEND', 'BACKEND', 'WEIGHT', 'STATE'],
      ...['CONNECTIONS', 'ACTIVE', 'SENT', 'RECEIVED'],
    ],
    services.toSorted((a, b) => fullName(a as Name).localeCompare(fullName(b as Name))).flatMap(rowsOf),
  );

async function listServices(services: Services, service?: Name): Promise<Service[]> {
  const all: Service[] = [];
  for await (const portion of services.listServices(service === undefined ? {} : { service })) {
    all.push(...portion.services);
  }
  return all;
}

/** Says what became of each; fails when one of them was refused. */
function report(outcomes: readonly Outcome[], done: string): void {
  for (const { service, problem } of outcomes) {
    const name = fullName(service ?? {});
    if (problem) process.stderr.write(`${name}: ${problem}\n`);
    else progress(`${done}: ${name}`);
    if (problem) process.exitCode = 1;
  }
}

const repeated = <Value>(parse: (text: string) => Value) =>
  checkedFlag<Value[]>((text, before) => [...(before ?? []), parse(text)]);

interface UpdateFlags extends OutputFlags {
  readonly frontend?: readonly ServiceFrontend[];
  readonly backend?: readonly ServiceBackend[];
  readonly affinity: number;
  readonly selection: ServiceSelection;
  readonly label?: Labels;
  readonly selector?: Labels;
}

type Labels = Readonly<Record<string, string>>;

/** Adds `KEY=VALUE` to those before it. */
const labels = checkedFlag<Labels>((text, before) => {
  const equals = text.indexOf('=');
  if (equals < 1) throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a label: expected KEY=VALUE`);
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
});

function parseSeconds(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new WeirError('INVALID_ARGUMENT', `"${text}" is not a number of seconds`);
}

function addUpdate(service: Command): void {
  service
    .command('update')
    .description('make a service, or replace all of it; returns when it is in force on this node')
    .argument('<name>', 'name or namespace/name', checkedFlag(parseName))
    .addOption(
      new Option(
        '--frontend <address>',
        'what clients call: ADDRESS:PORT[/PROTOCOL][,name=PORT-NAME][,scope=external]; repeatable',
      ).argParser(repeated(parseServiceFrontend)),
    )
    .addOption(
      new Option(
        '--backend <address>',
        'where they end up: ADDRESS:PORT[,weight=N][,state=STATE][,name=PORT-NAME][,node=NODE][,zone=ZONE][,hints=ZONE+ZONE]; repeatable',
      ).argParser(repeated(parseServiceBackend)),
    )
    .addOption(
      new Option('--affinity <seconds>', 'a client stays with its backend until it has been away for so long')
        .default(0)
        .argParser(checkedFlag(parseSeconds)),
    )
    .addOption(
      new Option(
        '--selection <how>',
        'how a backend is chosen, always by weight: maglev goes by the flow, alike on all nodes',
      )
        .choices(serviceSelections)
        .default('random'),
    )
    .addOption(
      new Option('--label <k=v>', 'what policies select it by (k8sServiceSelector); repeatable').argParser(labels),
    )
    .addOption(
      new Option(
        '--selector <k=v>',
        'labels of the pods behind it, whom policies mean by it (toServices); without, they mean the addresses of its ' +
          'backends, outside the cluster; repeatable',
      ).argParser(labels),
    )
    .addOption(outputOption())
    .action(async (name: Name, flags: UpdateFlags, self: Command) => {
      const { frontend = [], backend = [], affinity, selection, label = {}, selector = {}, output } = flags;
      const backends = backend.map(({ zoneHints = [], ...each }) => ({ ...each, zoneHints: [...zoneHints] }));
      const ends = { frontends: [...frontend], backends };
      const service = { ...name, ...ends, affinityTimeoutS: affinity, selection, labels: label, selector };
      const { outcomes } = await withServices(self, (services) => services.upsertServices({ services: [service] }));
      if (output === 'json') print(output, outcomes, String);
      report(outcomes, 'In force');
    });
}

/** Adds `service list`, `get`, `update` and `delete`. */
export function addServiceCommands(program: Command): void {
  const service = program.command('service').description('addresses that stand for several backends');
  service
    .command('list')
    .description('all services of this node')
    .addOption(outputOption())
    .action(async ({ output }: OutputFlags, self: Command) => {
      const found = await withServices(self, (services) => listServices(services));
      print(output, found, () => listText(found));
    });
  service
    .command('get')
    .description('one of them')
    .argument('<name>', 'name or namespace/name', checkedFlag(parseName))
    .addOption(outputOption())
    .action(async (name: Name, { output }: OutputFlags, self: Command) => {
      const found = await withServices(self, (services) => listServices(services, name));
      print(output, found[0], () => listText(found));
    });
  addUpdate(service);
  service
    .command('delete')
    .description('take services out of force; returns when they are')
    .argument('<name...>', 'name or namespace/name', repeated(parseName))
    .addOption(outputOption())
    .action(async (names: Name[], { output }: OutputFlags, self: Command) => {
      const { outcomes } = await withServices(self, (services) => services.deleteServices({ services: names }));
      if (output === 'json') print(output, outcomes, String);
      report(outcomes, 'No longer in force');
    });
}
