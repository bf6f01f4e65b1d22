// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { WeirError } from '@weir/errors';
import type { CommandResult, Lab, Pod } from '@weir/lab';
import { describeEvent, watchMonitor, type MonitorWatch } from './monitor-watch.ts';
import type { Narrator } from './narrator.ts';
import type { WeirCommand } from './weir-command.ts';

export interface WalkthroughOptions {
  readonly lab: Lab;
  readonly weir: WeirCommand;
  readonly narrator: Narrator;
  readonly nodeCount: number;
  /** How packets reach pods of other nodes; the lab's default where it is undefined. */
  readonly routing: string | undefined;
  /** The command that serves the Death Star. */
  readonly deathstarCommand: readonly string[];
}

/** The pods. */
const ships = [
  { name: 'deathstar', labels: 'org=empire,class=deathstar' },
  { name: 'tiefighter', labels: 'org=empire,class=tiefighter' },
  { name: 'xwing', labels: 'org=alliance,class=xwing' },
] as const;

type Ship = Exclude<(typeof ships)[number]['name'], 'deathstar'>;

/** The names of the pods that the walkthrough makes. */
export const shipNames: readonly string[] = ships.map(({ name }) => name);

const l4Policy = 'examples/star-wars/l3-l4-policy.yaml';
const l7Policy = 'examples/star-wars/l7-policy.yaml';
const policyName = 'default/rule1';

/** How long a ship tries: long enough for a repeated SYN. */
const patienceS = 2;
const curlTimedOut = 28;
const eventDeadlineMs = 3_000;

/**
 * Shows what Weir does for a policy, step by step, on a lab that is not up yet: without one, with one on L3 and L4, with one
 * on HTTP, and what the monitor saw. Everything it does is a command that can be typed; the narrator keeps the score.
 */
export async function walkThrough(options: WalkthroughOptions): Promise<void> {
  const { narrator } = options;
  const { nodeCount } = options;
  narrator.step(nodeCount === 1 ? 'A node, and three pods on it' : `${nodeCount} nodes, and three pods on them`);
  await makeLab(options);
  const deathstar = await makePods(options);
  const watch = await startMonitors(options);
  try {
    const stage: Stage = { ...options, deathstar, watch };
    await withoutPolicy(stage);
    await withL4Policy(stage);
    await withHttpPolicy(stage);
    await whatTheMonitorSaw(stage);
  } finally {
    watch.stop();
  }
}

interface Stage extends WalkthroughOptions {
  readonly deathstar: Pod;
  readonly watch: MonitorWatch;
}

/** Listens to every node from now on. */
async function startMonitors({ narrator, lab, weir }: WalkthroughOptions): Promise<MonitorWatch> {
  const { nodes } = await lab.status();
  const commands = nodes.map(({ agentSocket }) => ['--address', `unix:${agentSocket}`, 'monitor', '-o', 'json']);
  for (const args of commands) narrator.command(`${weir.text(args)} &`);
  return watchMonitor(commands.map((args) => weir.argv(args)));
}

async function makeLab({ narrator, weir, nodeCount, routing }: WalkthroughOptions): Promise<void> {
  const args = ['lab', 'up', '--nodes', String(nodeCount), ...(routing === undefined ? [] : ['--routing', routing])];
  narrator.command(weir.text(args));
  const status = await weir.runVisibly(args);
  narrator.check(nodeCount === 1 ? 'the node is ready' : `${nodeCount} nodes are ready`, status === 0);
  if (status !== 0) throw new WeirError('FAILED_PRECONDITION', 'The lab did not come up: nothing can be shown');
}

/** The Death Star is alone on the first of several nodes, so that whoever lands comes from another one. */
const nodeOf = (index: number, nodeCount: number): string =>
  index === 0 ? 'node1' : `node${2 + ((index - 1) % (nodeCount - 1))}`;

async function makePods(options: WalkthroughOptions): Promise<Pod> {
  const { narrator, weir, nodeCount, deathstarCommand } = options;
  const results = await Promise.all(
    ships.map(async ({ name, labels }, index) => {
      const node = nodeCount === 1 ? [] : ['--node', nodeOf(index, nodeCount)];
      const server = name === 'deathstar' ? ['--wait-port', '80', '--', ...deathstarCommand] : [];
      const args = ['lab', 'pod', 'add', name, ...node, '--labels', labels, ...server];
      narrator.command(weir.text(args));
      return { name, result: await weir.run(args) };
    }),
  );
  for (const { name, result } of results) {
    if (result.status !== 0) narrator.output(result.stderr);
    narrator.check(`${name} is on the network`, result.status === 0);
  }
  const pods = await options.lab.pods();
  const deathstar = pods.find(({ name }) => name === 'deathstar');
  if (deathstar === undefined) throw new WeirError('NOT_FOUND', 'There is no Death Star: nothing can be shown');
  for (const { name, ipv4, ipv6, identity } of pods) narrator.output(`${name}: ${ipv4}, ${ipv6}, identity ${identity}`);
  return deathstar;
}

interface Request {
  readonly ship: Ship;
  readonly method: 'POST' | 'PUT';
  readonly path: string;
  /** What is to be shown by it. */
  readonly shows: string;
  readonly expected: (result: CommandResult) => boolean;
}

/** Splits what curl printed into the answer and, behind it, its status; 000 when there was no answer. */
const splitAnswer = (stdout: string): { readonly httpStatus: string; readonly body: string } => ({
  httpStatus: stdout.slice(-3),
  body: stdout.slice(0, -3).trim(),
});

const answered =
  (httpStatus: string, body: string) =>
  ({ status, stdout }: CommandResult): boolean =>
    status === 0 && isDeepStrictEqual(splitAnswer(stdout), { httpStatus, body });
const timesOut = ({ status, stdout }: CommandResult): boolean =>
  status === curlTimedOut && splitAnswer(stdout).httpStatus === '000';

function describeResult({ stdout, stderr }: CommandResult): string {
  const { httpStatus, body } = splitAnswer(stdout);
  return httpStatus === '000' ? stderr.trim() : `${httpStatus} ${body}`;
}

/** Makes a request in both families at the same time, and shows what came back. */
async function request(stage: Stage, { ship, method, path, shows, expected }: Request): Promise<void> {
  const { narrator, weir, deathstar } = stage;
  const hosts = [
    { family: 'IPv4', host: deathstar.ipv4 },
    { family: 'IPv6', host: `[${deathstar.ipv6}]` },
  ];
  const results = hosts.map(async ({ family, host }) => {
    const curl = ['curl', '-sS', '-m', String(patienceS), '-w', '%{http_code}', '-X', method, `http://${host}${path}`];
    const args = ['lab', 'exec', ship, '--', ...curl];
    return { family, command: weir.text(args), result: await weir.run(args) };
  });
  for (const { family, command, result } of await Promise.all(results)) {
    narrator.command(command);
    narrator.output(describeResult(result));
    narrator.check(`${shows} (${family})`, expected(result));
  }
}

const landing = (ship: Ship): Pick<Request, 'ship' | 'method' | 'path'> => ({
  ship,
  method: 'POST',
  path: '/v1/request-landing',
});
const attack = { ship: 'tiefighter', method: 'PUT', path: '/v1/exhaust-port' } as const;
const landed = answered('200', 'Ship landed');

async function withoutPolicy(stage: Stage): Promise<void> {
  stage.narrator.step('Without a policy every ship may land');
  await request(stage, { ...landing('xwing'), shows: 'xwing lands', expected: landed });
  await request(stage, { ...landing('tiefighter'), shows: 'tiefighter lands', expected: landed });
}

async function withL4Policy(stage: Stage): Promise<void> {
  stage.narrator.step('A policy on labels and ports: only ships of the Empire may land');
  await apply(stage, l4Policy);
  await request(stage, { ...landing('tiefighter'), shows: 'tiefighter still lands', expected: landed });
  await request(stage, { ...landing('xwing'), shows: 'xwing gets no answer', expected: timesOut });
  const exploded = answered('500', 'Panic: deathstar exploded');
  await request(stage, { ...attack, shows: 'but whoever may land may also do this', expected: exploded });
}

async function withHttpPolicy(stage: Stage): Promise<void> {
  stage.narrator.step('A policy on HTTP: ships may ask for landing, and for nothing else');
  await apply(stage, l7Policy);
  await request(stage, { ...landing('tiefighter'), shows: 'tiefighter still lands', expected: landed });
  await request(stage, {
    ...attack,
    shows: 'the exhaust port is refused with 403 Access denied',
    expected: answered('403', 'Access denied'),
  });
  await request(stage, { ...landing('xwing'), shows: 'xwing still gets no answer', expected: timesOut });
}

async function apply({ narrator, weir }: Stage, file: string): Promise<void> {
  const args = ['lab', 'policy', 'apply', file];
  narrator.command(weir.text(args));
  const { status, stderr } = await weir.run(args);
  narrator.output(stderr);
  narrator.check('the policy is enforced', status === 0);
}

async function whatTheMonitorSaw({ narrator, watch }: Stage): Promise<void> {
  narrator.step('What the monitor saw of it');
  const wanted = [
    { what: 'the drop of xwing, with both pods and the policy', type: 'drop', verdict: 'dropped', ship: 'xwing' },
    { what: 'the refused call, with both pods and the policy', type: 'l7', verdict: 'denied', ship: 'tiefighter' },
  ];
  for (const { what, type, verdict, ship } of wanted) {
    const event = await watch.find(
      (candidate) =>
        candidate.type === type &&
        candidate.verdict === verdict &&
        candidate.source?.pod === ship &&
        candidate.destination?.pod === 'deathstar' &&
        candidate.policies?.includes(policyName) === true,
      eventDeadlineMs,
    );
    narrator.output(event === undefined ? '(no such event)' : describeEvent(event));
    narrator.check(what, event !== undefined);
  }
}

/** What somebody can do next with the lab that is left up. */
export function whatNext(weir: WeirCommand, lab: Lab): string {
  const { agentSocket } = lab.paths.node('node1');
  const lines = [
    ['see pods, addresses and identities', ['lab', 'pod', 'list']],
    ['make an xwing a ship of the Empire', ['lab', 'pod', 'label', 'xwing', 'org=empire']],
    ['watch it live', ['--address', `unix:${agentSocket}`, 'monitor']],
    ['look into the Death Star', ['lab', 'exec', 'deathstar', '--', 'sh']],
    ['open it to everybody again', ['lab', 'policy', 'delete', l7Policy]],
    ['how it all is', ['lab', 'status']],
    ['remove everything', ['lab', 'down']],
  ] as const;
  const width = Math.max(...lines.map(([, args]) => weir.text(args).length));
  return lines.map(([what, args]) => `  ${weir.text(args).padEnd(width)}  ${what}`).join('\n');
}
