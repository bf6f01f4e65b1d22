// SPDX-License-Identifier: Apache-2.0
import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  closeSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A Kubernetes cluster on this machine: a control plane, and kubelets with containerd, each in namespaces of its own. */
export interface Kubelets {
  readonly nodes: readonly string[];
  /** Runs kubectl; resolves with what it prints. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** Makes what the objects say. */
  apply(...objects: readonly object[]): Promise<void>;
  /** Starts an agent on a node, with what it was before. */
  startAgent(node: string): Promise<void>;
  /** Ends the node's agent at once. */
  killAgent(node: string): Promise<void>;
  /** What the node's agent says with `weir`. */
  weir(node: string, ...args: readonly string[]): Promise<string>;
  down(): Promise<void>;
}

const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../../', import.meta.url));
const shared = process.env.WEIR_TEST_SHARED ?? join(root, '..', 'shared');
const programs = join(tmpdir(), 'weir-test-assets');
const images = join(tmpdir(), 'weir-test-images');
// Of containernetworking-plugins: containerd makes loopback by one of them.
const plugins = '/usr/lib/cni';
const needed = ['etcd', 'containerd', 'runc', 'ctr', 'kubectl', 'iptables', 'conntrack', 'busybox', 'gcc'];
const assets = ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'agnhost'];
const place = '/var/tmp';
const prefix = 'weir-kubelets-';
const buildDeadlineMs = 300_000;
const readyDeadlineMs = 60_000;

const isInstalled = (program: string): boolean =>
  (process.env.PATH ?? '')
    .split(':')
    .concat('/usr/sbin', '/sbin')
    .some((directory) => existsSync(join(directory, program)));

/** Why there can be none on this machine; undefined: there can. */
export const kubeletsSkipReason: string | undefined = existsSync(join(shared, 'klab', 'up.sh'))
  ? needed
      .filter((program) => !isInstalled(program))
      .concat(existsSync(join(plugins, 'loopback')) ? [] : ['containernetworking-plugins'])
      .map((program) => `${program} is not installed`)
      .at(0)
  : 'there is no shared/klab beside the repository';

/** Waits until it holds; `what` says what did not when it never does. */
export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + readyDeadlineMs;
  while (!(await holds().catch(() => false))) {
    if (performance.now() > untilMs) throw new TypeError(`It never came to this: ${what}`);
    await sleep(200);
  }
}

const endOf = async (child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> => {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
};

/** What tells clusters on one machine apart. */
function settingsOf(directory: string) {
  const number = process.pid % 200;
  // At most six characters, which the names of devices begin with.
  const [name, nodeNet, firstPort] = [`wk${number}`, `172.29.${20 + number}`, 17_000 + number * 10];
  const env = {
    ...process.env,
    ...{ BIN: programs, WORKDIR: directory, IMAGES: images, NAME: name, NODE_NET: nodeNet, DNS: '0' },
    ...{ CLUSTER_CIDR: '10.246.0.0/16', SERVICE_CIDR: '10.98.0.0/16', SERVICE_IP1: '10.98.0.1', DNS_IP: '10.98.0.10' },
    ...{ API_PORT: String(firstPort), ETCD_PORT: String(firstPort + 3) },
    ...{ CNI_CONF: 'none', KUBE_PROXY: '0', CNI_BIN: plugins },
  };
  return { name, allocatorAddress: `${nodeNet}.1:${firstPort + 5}`, env };
}

type Settings = ReturnType<typeof settingsOf>;

const runScript = ({ env }: Settings, file: string, ...args: readonly string[]): Promise<unknown> =>
  run('bash', [join(shared, 'klab', file), ...args], { env, timeout: buildDeadlineMs, maxBuffer: 1 << 26 });

/** Takes away a cluster and its directory; klab ends what it has started itself, by its own notes. */
async function remove(directory: string): Promise<void> {
  await runScript(settingsOf(directory), 'down.sh', '--purge').catch(() => undefined);
  rmSync(directory, { recursive: true, force: true });
}

/** What runs of this test have left behind that were killed. */
async function removeLeftovers(): Promise<void> {
  for (const entry of readdirSync(place).filter((each) => each.startsWith(prefix))) {
    const owner = /-(\d+)-/.exec(entry)?.[1] ?? '';
    if (!existsSync(`/proc/${owner}`)) await remove(join(place, entry));
  }
}

/** Starts a cluster of two nodes with agents of Weir on them, and nothing else that connects pods or balances services. */
export async function startKubelets(): Promise<Kubelets> {
  await removeLeftovers();
  const directory = mkdtempSync(join(place, `${prefix}${process.pid}-`));
  const settings = settingsOf(directory);
  const { name, allocatorAddress } = settings;
  const script = (file: string): Promise<unknown> => runScript(settings, file);
  const children = new Map<string, ChildProcess>();
  const start = (key: string, command: readonly string[]): void => {
    const log = openSync(join(directory, `weir-${key}.log`), 'a');
    const [program = '', ...args] = command;
    children.set(key, spawn(program, args, { stdio: ['ignore', log, log] }));
    closeSync(log);
  };
  const kubeconfig = join(directory, 'pki', 'admin.kubeconfig');
  const kubectl = async (...args: readonly string[]): Promise<string> =>
    (await run('kubectl', ['--kubeconfig', kubeconfig, ...args], { maxBuffer: 1 << 26 })).stdout;
  const enter = (node: string): string => join(directory, 'nodes', node, 'enter');
  const nodes = [1, 2].map((index) => `${name}-n${index}`);
  const down = async (): Promise<void> => {
    await Promise.all([...children.values()].map((child) => endOf(child, 'SIGTERM')));
    await remove(directory);
  };

  const cgroups = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[2] === 'cgroup2');
  const agentOf = (node: string): readonly string[] => [
    ...[enter(node), 'setpriv', '--pdeathsig', 'TERM', '--', process.execPath, join(root, 'dist/agent.mjs')],
    ...['--node-name', node, '--kubeconfig', kubeconfig, '--identity-allocator', allocatorAddress],
    ...['--state-dir', join(directory, 'nodes', node, 'weir')],
    ...['--cgroup', join(cgroups?.split(' ')[1] ?? '', name, node)],
  ];
  const weir = async (node: string, ...args: readonly string[]): Promise<string> =>
    (await run(enter(node), [process.execPath, join(root, 'dist/weir.mjs'), ...args])).stdout;

  const startAgent = async (node: string): Promise<void> => {
    start(node, agentOf(node));
    await until(`the agent of ${node} is there`, async () => (await weir(node, 'status')).includes('follows https'));
  };

  try {
    execFileSync('bash', [join(shared, 'assets/unpack.sh'), programs, ...assets]);
    mkdirSync(images, { recursive: true });
    if (!existsSync(join(images, 'agnhost.tar'))) await script('images.sh');
    await script('up.sh');
    start('allocator', [
      ...[
        process.execPath,
        join(root, 'dist/identity-allocator.mjs'),
        '--listen',
        allocatorAddress,
        '--allow-plaintext',
      ],
      ...['--run-dir', join(directory, 'allocator'), '--state-dir', join(directory, 'allocator')],
    ]);
    await Promise.all(nodes.map(startAgent));
    const conflist = JSON.stringify({ cniVersion: '1.0.0', name: 'weir', plugins: [{ type: 'weir-cni' }] });
    for (const node of nodes) {
      copyFileSync(join(root, 'dist/weir-cni'), join(directory, 'nodes', node, 'cni/bin/weir-cni'));
      writeFileSync(join(directory, 'nodes', node, 'cni/net.d/05-weir.conflist'), conflist);
    }
    await kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=120s');
  } catch (error) {
    await down().catch(() => undefined);
    throw error;
  }
  return {
    ...{ nodes, kubectl, startAgent, weir, down },
    async apply(...objects) {
      const file = join(directory, 'objects.json');
      writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
      await kubectl('apply', '-f', file);
    },
    killAgent: (node) => killWithin(enter(node), children.get(node)),
  };
}

/** What starts an agent is outside the node; the agent is what its end ends. */
async function killWithin(enter: string, child: ChildProcess | undefined): Promise<void> {
  const pids = execFileSync(enter, ['pgrep', '-f', 'dist/agent.mjs'], { encoding: 'utf8' }).trim().split('\n');
  execFileSync(enter, ['kill', '-KILL', ...pids]);
  await endOf(child, 'SIGKILL');
}
