// SPDX-License-Identifier: Apache-2.0
// The command line as scripts see it: arguments in, exit status and both outputs out.
import { spawn, type ChildProcess } from 'node:child_process';
import { constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { makeFakeDist, type FakeDist } from '../../testing/fake-dist.ts';
import { createLab } from '../lab/lab.ts';
import { runCommand, type CommandOptions, type CommandResult } from '../machine/run-command.ts';

const name = `cli${process.pid % 100_000}`;
const lab = createLab({ name });
const directory = mkdtempSync(join(tmpdir(), 'weir-cli-'));
const policyFile = join(directory, 'policy.yaml');
let dist: FakeDist;

const main = (): string => join(dist.directory, 'lab.mjs');
const environment = { ...process.env, NODE_OPTIONS: '', FORCE_COLOR: undefined, WEIR_LAB: name, NO_COLOR: '1' };
const weirLab = (args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> =>
  runCommand([process.execPath, main(), ...args], { env: environment, ...options });
const ended = (child: ChildProcess): Promise<unknown> =>
  new Promise((resolve) => child.once('exit', (status, signal) => resolve({ status, signal })));

beforeAll(async () => {
  dist = makeFakeDist();
  writeFileSync(policyFile, '[]');
  expect(await weirLab(['up'])).toMatchObject({ status: 0 });
});
afterEach(async () => {
  for (const pod of await lab.pods()) await lab.removePod(pod.name);
});
afterAll(async () => {
  await lab.down();
  dist.remove();
  rmSync(directory, { recursive: true });
});

describe('weir lab', () => {
  it.each<[string, string[]]>([
    ['an unknown command', ['sing']],
    ['an unknown option', ['up', '--sing']],
    ['a number of nodes that is none', ['up', '--nodes', 'two']],
    ['a pod without a name', ['pod', 'add']],
    ['labels that are none', ['pod', 'add', 'x', '--labels', 'a']],
    ['a label change that is none', ['pod', 'label', 'x', 'a']],
    ['an output format that is none', ['pod', 'list', '-o', 'xml']],
    ['exec without a command', ['exec', 'x']],
    ['a policy without a file', ['policy', 'apply']],
    ['a deletion of nothing', ['policy', 'delete']],
    ['a signal that is none', ['service', 'stop', 'node1/agent', '--signal', 'SING']],
  ])('refuses %s with status 2, and prints nothing to standard output', async (_, args) => {
    const result = await weirLab(args);
    expect(result).toMatchObject({ status: 2, stdout: '' });
    expect(result.stderr).toMatch(/error: /);
  });

  it('help shows examples and succeeds', async () => {
    const result = await weirLab(['--help']);
    expect(result.status).toBe(0);
    expect(result.stdout).toContain('weir lab exec client -- curl');
  });

  it('a failure has status 1 and one line that says what failed', async () => {
    expect(await weirLab(['pod', 'rm', 'nobody'])).toEqual({
      status: 1,
      signal: null,
      stdout: '',
      stderr: 'weir lab: There is no pod "nobody"\n',
    });
    expect(await weirLab(['--name', 'absent', 'status'])).toMatchObject({ status: 1 });
    expect(await weirLab(['--name', 'Not-a-Name', 'status'])).toMatchObject({ status: 1 });
  });

  it('pod add, label, list and rm', async () => {
    const added = await weirLab(['pod', 'add', 'web', '--labels', 'app=web', '-o', 'json', '--', 'sleep', '1000']);
    expect(JSON.parse(added.stdout)).toMatchObject({ name: 'web', namespace: 'default', node: 'node1' });
    expect(await weirLab(['pod', 'label', 'web', 'role=admin', 'app-'])).toMatchObject({ status: 0 });
    const listed = await weirLab(['pod', 'list', '-o', 'json']);
    expect(JSON.parse(listed.stdout)).toEqual([
      {
        name: 'web',
        namespace: 'default',
        node: 'node1',
        ipv4: expect.stringMatching(/^10\.244\.1\.\d+$/),
        ipv6: expect.stringMatching(/^fd00:10:244:1::/),
        endpointId: expect.any(Number),
        identity: 5011,
        netns: `${name}-default.web`,
        server: expect.anything(),
      },
    ]);
    expect((await weirLab(['pod', 'list'])).stdout).toMatch(
      /^NAMESPACE +NAME [^]*\ndefault +web +node1 .*running sleep\n$/,
    );
    const removed = await weirLab(['pod', 'rm', 'web', '-o', 'json']);
    expect(JSON.parse(removed.stdout)).toMatchObject([{ name: 'web', namespace: 'default' }]);
    expect((await weirLab(['pod', 'list', '-o', 'json'])).stdout).toBe('[]\n');
  });

  it('namespace label and list', async () => {
    const labelled = await weirLab(['namespace', 'label', 'shop', 'team=red', 'tier=', '-o', 'json']);
    expect(JSON.parse(labelled.stdout)).toEqual({ name: 'shop', labels: { team: 'red', tier: '' } });
    expect((await weirLab(['namespace', 'list'])).stdout).toMatch(/^NAMESPACE +LABELS\nshop +team=red,tier=\n$/);
    expect(await weirLab(['namespace', 'label', 'shop', 'team'])).toMatchObject({ status: 2, stdout: '' });
  });

  it('status prints a table, or JSON', async () => {
    expect((await weirLab(['status'])).stdout).toMatch(/NODE [^]*node1 [^]*SERVICE [^]*node1\/agent +running/);
    expect(JSON.parse((await weirLab(['status', '-o', 'json'])).stdout)).toMatchObject({ name, podCount: 0 });
  });

  it('up and down say in JSON what they found', async () => {
    expect(JSON.parse((await weirLab(['up', '-o', 'json'])).stdout)).toMatchObject({ name, alreadyUp: true });
    const down = await weirLab(['--name', 'absent', 'down', '-o', 'json']);
    expect(JSON.parse(down.stdout)).toEqual({ name: 'absent', existed: false });
  });

  it('policy apply and delete take files and standard input', async () => {
    expect(await weirLab(['policy', 'apply', policyFile])).toMatchObject({
      status: 0,
      stderr: `==> Enforced: RuleList//${policyFile}\n`,
    });
    expect(await weirLab(['policy', 'apply', '-', '-o', 'json'], { input: '[]' })).toMatchObject({
      status: 0,
      stdout: `${JSON.stringify({ policies: ['RuleList//-'] }, null, 2)}\n`,
    });
    expect(await weirLab(['policy', 'delete', '--all'])).toMatchObject({ status: 0 });
    expect(await weirLab(['policy', 'delete', policyFile])).toMatchObject({ stderr: '==> Nothing to change\n' });
    expect(await weirLab(['policy', 'apply', '/nonexistent'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('Cannot read policy file "/nonexistent"'),
    });
  });

  it('service stop and start', async () => {
    expect(await weirLab(['service', 'stop', 'node1/l7-proxy', '--signal', 'kill'])).toMatchObject({
      status: 0,
      stderr: '==> node1/l7-proxy is down (SIGKILL)\n',
    });
    expect((await weirLab(['status'])).stdout).toMatch(/node1\/l7-proxy +stopped/);
    const started = await weirLab(['service', 'start', 'node1/l7-proxy', '-o', 'json']);
    expect(JSON.parse(started.stdout)).toMatchObject({ name: 'node1/l7-proxy', state: { kind: expect.any(String) } });
  });
});

describe('weir lab exec', () => {
  it('passes on arguments, environment, directory, streams and exit status', async () => {
    const script = 'cat; echo "$GREETING $PWD [$1]" >&2; exit 42';
    const result = await weirLab(['exec', '@node1', '--', 'sh', '-c', script, 'sh', 'a  b'], {
      env: { ...environment, GREETING: 'hello' },
      cwd: '/usr',
      input: 'in',
    });
    expect(result).toEqual({ status: 42, signal: null, stdout: 'in', stderr: 'hello /usr [a  b]\n' });
  });

  it('ends by the signal that it gets, as the command itself would', async () => {
    const child = spawn(process.execPath, [main(), 'exec', '@world', '--', 'sh', '-c', 'echo ready; exec sleep 1000'], {
      env: environment,
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGINT');
    expect(await ended(child)).toEqual({ status: null, signal: 'SIGINT' });
  });

  it('lets the command handle the signal', async () => {
    const script = 'trap "echo caught; exit 3" TERM; echo ready; while :; do sleep 0.05; done';
    const child = spawn(process.execPath, [main(), 'exec', '@world', '--', 'sh', '-c', script], { env: environment });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    child.kill('SIGTERM');
    expect(await ended(child)).toEqual({ status: 3, signal: null });
  });

  it('gives the command its default answer to a closed pipe', async () => {
    const script = `${process.execPath} ${main()} exec @world -- sh -c 'yes; echo "status $?" >&2' | head -n 1`;
    const result = await runCommand(['sh', '-c', script], { env: environment });
    expect(result).toMatchObject({ status: 0, stdout: 'y\n', stderr: 'status 141\n' });
  });

  it('gives the command streams that block, whether pipes or sockets', async () => {
    // From Node.js a command gets sockets, from a shell pipes.
    const script = 'cat; grep -h flags /proc/self/fdinfo/0 /proc/self/fdinfo/1 /proc/self/fdinfo/2';
    const command = [process.execPath, main(), 'exec', '@world', '--', 'sh', '-c', script] as const;
    const isBlocking = (line: string): boolean => (parseInt(line.split(':')[1] ?? '', 8) & constants.O_NONBLOCK) === 0;
    for (const argv of [command, ['sh', '-c', '"$@" 2>&1 < /dev/null | cat', 'sh', ...command]] as const) {
      const { stdout } = await runCommand(argv, { env: environment, input: 'x\n' });
      const flags = stdout.split('\n').filter((line) => line.startsWith('flags'));
      expect(flags).toHaveLength(3);
      expect(flags.filter((line) => !isBlocking(line))).toEqual([]);
    }
  });

  it('has status 127 for a command that does not exist', async () => {
    expect(await weirLab(['exec', '@node1', '--', 'no-such-command'])).toMatchObject({ status: 127 });
  });
});
