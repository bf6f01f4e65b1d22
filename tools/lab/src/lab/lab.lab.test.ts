// SPDX-License-Identifier: Apache-2.0
// The lab's own doing: namespaces, cgroups, mounts, processes, files. The programs in it are stand-ins with real sockets,
// so that nothing here depends on what Weir itself does.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { makeFakeDist, type FakeDist } from '../../testing/fake-dist.ts';
import { listMounts } from '../machine/mounts.ts';
import { netnsDirectory } from '../machine/network-namespace.ts';
import { createLab, type Lab } from './lab.ts';
import { labsCgroup } from './teardown.ts';

const name = `fake${process.pid % 100_000}`;
const lab: Lab = createLab({ name });
let dist: FakeDist;

beforeAll(() => {
  dist = makeFakeDist();
});
afterAll(() => dist.remove());

const up = (agentArguments: readonly string[] = [], more: object = {}): ReturnType<Lab['up']> =>
  lab.up({ distDirectory: dist.directory, agentArguments, ...more });

/** All traces of the lab on this machine. */
async function traces(): Promise<string[]> {
  const mounts = (await listMounts()).map(({ path }) => path);
  const cgroups = mounts.map((mount) => `${mount}/${labsCgroup}/${name}`);
  const processes = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => readOrEmpty(`/proc/${pid}/cmdline`).includes(`${dist.directory}/`));
  return [
    ...readdirSync(netnsDirectory).filter((netns) => netns.startsWith(`${name}-`)),
    ...mounts.filter((path) => path.startsWith(lab.paths.directory)),
    ...[...cgroups, lab.paths.directory].filter((path) => existsSync(path)),
    ...processes.map((pid) => `process ${pid}`),
  ];
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

async function serviceOf(service: string): Promise<{ kind: string; pid: number; restarts: number }> {
  const found = (await lab.services()).find((one) => one.name === service);
  const state = found?.state ?? { kind: 'unknown' };
  return { kind: state.kind, pid: 'pid' in state ? state.pid : 0, restarts: found?.restarts ?? 0 };
}

async function until<Value>(probe: () => Promise<Value | undefined>): Promise<Value> {
  for (let i = 0; i < 500; i++) {
    const value = await probe();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('nothing happened for 5 s');
}

describe('a lab with two nodes', () => {
  beforeAll(() => up([], { nodeCount: 2 }), 60_000);
  afterAll(() => lab.down(), 60_000);
  afterEach(async () => {
    for (const pod of await lab.pods()) await lab.removePod(`${pod.namespace}/${pod.name}`);
  });

  it('up() again changes nothing and says so', async () => {
    const before = await lab.services();
    expect(await up()).toEqual({ alreadyUp: true, nodeCount: 2, podCount: 0 });
    expect(await lab.services()).toEqual(before);
  });

  it('up() with another number of nodes is refused', async () => {
    await expect(up([], { nodeCount: 3 })).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });

  it('runs each service in the namespace of its node', async () => {
    const { pid } = await serviceOf('node2/agent');
    expect(execFileSync('ip', ['netns', 'identify', String(pid)], { encoding: 'utf8' }).trim()).toBe(`${name}-node2`);
  });

  it('gives every node a bpffs of its own', async () => {
    const mounts = (await listMounts()).filter(({ type }) => type === 'bpf').map(({ path }) => path);
    expect(mounts).toEqual(expect.arrayContaining(['node1', 'node2'].map((node) => lab.paths.node(node).bpfRoot)));
  });

  it('status() has all nodes and services', async () => {
    const status = await lab.status();
    expect(status.services.map((service) => service.name)).toEqual([
      'identity-allocator',
      'node1/agent',
      'node1/l7-proxy',
      'node2/agent',
      'node2/l7-proxy',
      'monitor-relay',
    ]);
    expect(status.nodes.map(({ agent }) => agent.kind)).toEqual(['answering', 'answering']);
  });

  it('addPod() gives a pod a namespace, addresses, an identity and a running server', async () => {
    const pod = await lab.addPod({
      name: 'web',
      namespace: 'prod',
      node: 'node2',
      labels: { app: 'web' },
      command: ['sh', '-c', 'echo "$GREETING from $PWD"; exec sleep 1000'],
      cwd: '/tmp',
      env: { ...process.env, GREETING: 'hello' },
    });
    expect(pod).toMatchObject({ namespace: 'prod', node: 'node2', netns: `${name}-prod.web`, ipv4: '10.244.1.1' });
    expect(pod.identity).toBe(1000 + pod.endpointId);
    const pid = pod.server?.pid ?? 0;
    expect(execFileSync('ip', ['netns', 'identify', String(pid)], { encoding: 'utf8' }).trim()).toBe(pod.netns);
    expect(readFileSync(pod.server?.logFile ?? '', 'utf8')).toBe('hello from /tmp\n');
    expect(await lab.pods()).toEqual([pod]);
  });

  it('addPod() waits until the port is listened on', async () => {
    const script = "setTimeout(() => require('net').createServer().listen(8080), 300)";
    const pod = await lab.addPod({ name: 'web', command: [process.execPath, '-e', script], waitPort: 8080 });
    const result = await lab.exec('web', ['cat', '/proc/net/tcp6', '/proc/net/tcp']);
    expect(result.stdout).toContain(':1F90 ');
    expect(pod.server?.exit).toBeUndefined();
  });

  it.each<[string, [string, ...string[]], RegExp]>([
    ['ends at once', ['sh', '-c', 'echo no such config >&2; exit 4'], /exit status 4: no such config/],
    ['does not exist', ['no-such-server'], /exit status 127: .*no-such-server/],
  ])('addPod() with a server that %s fails with its output, and leaves nothing', async (_, command, message) => {
    const before = await traces();
    await expect(lab.addPod({ name: 'web', command })).rejects.toThrow(message);
    expect(await lab.pods()).toEqual([]);
    expect(await traces()).toEqual(before);
  });

  it('addPod() refuses a name that is taken, an unknown node, and a bad name', async () => {
    await lab.addPod({ name: 'web' });
    await expect(lab.addPod({ name: 'web' })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    await expect(lab.addPod({ name: 'x', node: 'node9' })).rejects.toThrow('expected one of node1, node2');
    await expect(lab.addPod({ name: 'X' })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('pods() tells when a server has ended', async () => {
    await lab.addPod({ name: 'web', command: ['sh', '-c', 'sleep 0.3; exit 5'] });
    const exit = await until(async () => (await lab.pods())[0]?.server?.exit);
    expect(exit).toMatchObject({ status: 5, signal: null });
  });

  it('labelPod() gives the new identity', async () => {
    await lab.addPod({ name: 'web' });
    expect(await lab.labelPod('web', { set: { a: '1', b: '2' }, remove: ['c'] })).toMatchObject({ identity: 5021 });
    expect(await lab.pods()).toMatchObject([{ identity: 5021 }]);
  });

  it('pods() still lists pods while the agent is down', async () => {
    const pod = await lab.addPod({ name: 'web' });
    await lab.stopService('node1/agent', 'SIGKILL');
    try {
      expect(await lab.pods()).toEqual([pod]);
    } finally {
      await lab.startService('node1/agent');
      await up();
    }
  });

  it('removePod() ends what runs in the pod, and removes it also while the agent is down', async () => {
    await lab.addPod({ name: 'web', command: ['sleep', '1000'] });
    const inside = await lab.spawn('web', ['sleep', '1000']);
    const ended = new Promise((resolve) => inside.once('exit', (_, signal) => resolve(signal)));
    await lab.stopService('node1/agent', 'SIGKILL');
    try {
      const pod = await lab.removePod('web');
      expect(await ended).toBe('SIGKILL');
      expect(existsSync(`${netnsDirectory}/${pod.netns}`)).toBe(false);
      expect(existsSync(pod.server?.logFile ?? '')).toBe(false);
      expect(readdirSync(`${lab.paths.node('node1').runDirectory}/cni-deletions`)).toHaveLength(1);
    } finally {
      await lab.startService('node1/agent');
      await up();
    }
  });

  it('exec() runs commands in pods, on nodes and in the world', async () => {
    await lab.addPod({ name: 'web' });
    const where = async (target: string): Promise<string> =>
      (await lab.exec(target, ['sh', '-c', 'ip -brief link; cat /proc/self/cgroup'])).stdout;
    expect(await where('web')).toContain('/node1/pods/default_web');
    expect(await where('@node2')).toContain('/node2/exec');
    expect(await where('@world')).toContain('eth0@');
    expect(await lab.exec('web', ['sh', '-c', 'exit 7'])).toMatchObject({ status: 7 });
  });

  it('starts a service again that was killed', async () => {
    const before = await serviceOf('node2/l7-proxy');
    process.kill(before.pid, 'SIGKILL');
    const after = await until(async () => {
      const now = await serviceOf('node2/l7-proxy');
      return now.kind === 'running' && now.pid !== before.pid ? now : undefined;
    });
    expect(after.restarts).toBe(before.restarts + 1);
  });

  it('keeps a stopped service down until it is started', async () => {
    await lab.stopService('identity-allocator');
    expect(await serviceOf('identity-allocator')).toMatchObject({ kind: 'stopped' });
    await lab.startService('identity-allocator');
    expect(await serviceOf('identity-allocator')).toMatchObject({ kind: 'running' });
    await expect(lab.stopService('nobody')).rejects.toThrow('expected one of identity-allocator, node1/agent');
  });

  it('applies and deletes policies on every node', async () => {
    const policies = async (): Promise<unknown> =>
      Promise.all(
        ['node1', 'node2'].map(async (node) => {
          const agent = lab.agent(node);
          const { policies: found } = await agent.getPolicy({ name: '' });
          agent.close();
          return found.length;
        }),
      );
    const file = { name: 'a.yaml', content: Buffer.from('[]') };
    expect(await lab.applyPolicy([file])).toEqual({ policies: ['RuleList//a.yaml'] });
    expect(await policies()).toEqual([1, 1]);
    expect(await lab.deletePolicy({ files: [file] })).toEqual({ policies: ['RuleList//a.yaml'] });
    expect(await policies()).toEqual([0, 0]);
  });

  it('makes and removes 100 pods at the same time, and leaves nothing of them', async () => {
    const before = await traces();
    const names = Array.from({ length: 100 }, (_, i) => `pod-${i}`);
    const pods = await Promise.all(names.map((pod, i) => lab.addPod({ name: pod, node: `node${(i % 2) + 1}` })));
    expect(new Set(pods.map(({ netns }) => netns)).size).toBe(100);
    expect(await lab.pods()).toHaveLength(100);
    await Promise.all(names.map((pod) => lab.removePod(pod)));
    expect(await lab.pods()).toEqual([]);
    expect(await traces()).toEqual(before);
  });
});

describe('a lab in trouble', () => {
  afterEach(() => lab.down(), 60_000);

  it('down() leaves nothing, and is content with nothing', async () => {
    await up();
    await lab.addPod({ name: 'web', command: ['sleep', '1000'] });
    await lab.spawn('@world', ['sleep', '1000'], { stdio: 'ignore' });
    expect(await lab.down()).toBe(true);
    expect(await traces()).toEqual([]);
    expect(await lab.down()).toBe(false);
  });

  it('everything but up() and down() says that the lab is not up', async () => {
    await expect(lab.pods()).rejects.toThrow(`Lab "${name}" is not up: run \`weir lab up\` first`);
    await expect(lab.exec('web', ['true'])).rejects.toMatchObject({ code: 'FAILED_PRECONDITION' });
  });

  it('down() removes a lab whose supervisor has died, and up() begins anew', async () => {
    await up();
    const { supervisorPid = 0 } = await lab.status();
    await lab.addPod({ name: 'web', command: ['sleep', '1000'] });
    process.kill(supervisorPid, 'SIGKILL');
    await until(async () => ((await lab.status()).supervisorPid === undefined ? true : undefined));
    const steps: string[] = [];
    expect(await up([], { onProgress: (step: string) => steps.push(step) })).toMatchObject({
      alreadyUp: false,
      podCount: 0,
    });
    expect(steps[0]).toBe('Removing what an earlier lab has left');
    process.kill((await lab.status()).supervisorPid ?? 0, 'SIGKILL');
    await lab.down();
    expect(await traces()).toEqual([]);
  });

  it('down() removes what a killed up() has begun', async () => {
    mkdirSync(lab.paths.namespaceDirectory, { recursive: true });
    execFileSync('ip', ['netns', 'add', `${name}-lan`]);
    writeFileSync(`${lab.paths.namespaceDirectory}/${name}-lan`, '');
    await lab.down();
    expect(await traces()).toEqual([]);
  });

  it('up() with a service that ends again and again stops waiting, and shows what it printed', async () => {
    const failing = up(['--exit-at-start'], { timeoutMs: 2_000 });
    await expect(failing).rejects.toThrow(/node1\/agent is (waiting|running), restarted \d+ times[^]*cannot start/);
  });

  it('up() says what it waits for', async () => {
    const steps: string[] = [];
    const onProgress = (step: string): void => void steps.push(step);
    const said = (): boolean => steps.some((step) => step.includes('Waiting for node1: component l7-proxy'));
    let message = 'the agent does not answer yet';
    // On a busy machine it is the agent that it waits for at first; the lab is left up, and waited for again.
    for (let round = 0; round < 30 && (message.includes('does not answer yet') || !said()); round++) {
      message = await up(['--silent-proxy'], { timeoutMs: 2_500, onProgress }).then(String, String);
    }
    expect(said()).toBe(true);
    expect(message).toContain('component l7-proxy of the agent is not well: not connected');
  });

  it('addPod() that the agent refuses carries its reason, and leaves nothing', async () => {
    await up(['--fail-cni']);
    const before = await traces();
    await expect(lab.addPod({ name: 'web' })).rejects.toThrow('failed with code 101: No address left');
    expect(await traces()).toEqual(before);
  });

  it('up() without programs says what is missing and how to make it, and leaves nothing', async () => {
    await expect(lab.up({ distDirectory: '/nonexistent' })).rejects.toThrow(
      /Missing .*agent\.mjs.*run `make build` first/,
    );
    expect(await traces()).toEqual([]);
  });

  it('two up() at the same time make one lab', async () => {
    const outcomes = await Promise.all([up(), up()]);
    expect(outcomes.map(({ alreadyUp }) => alreadyUp).toSorted()).toEqual([false, true]);
  });
});
