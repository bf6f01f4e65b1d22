// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { IdentityAllocatorDefinition, type weir } from '@weir/proto';
import { createRpcServer, rpcService, type Handlers } from '@weir/rpc';
import { capture, createTestCli, type TestCli } from './testing/test-cli.ts';
import { runProgram } from './run-program.ts';

let cli: TestCli;
beforeAll(() => {
  cli = createTestCli();
});
afterAll(() => cli.close());

const json = (text: string): unknown => JSON.parse(text);
const done = (stdout: string) => ({ status: 0, stdout, stderr: '' });

const endpoint: weir.agent.v1.IEndpoint = {
  ...{ id: 7, containerId: 'c1', namespace: 'default', pod: 'web', state: 'ready', reason: '', identity: 300 },
  ...{ labels: ['k8s:app=web', 'k8s:tier=front'], ipv4: '10.0.0.2', ipv6: 'fd00::2', mac: '02:00:00:00:00:01' },
  ...{ hostInterface: 'weir7', hostIfindex: 12, netns: '/run/netns/web', ingressEnforced: true, egressEnforced: false },
  ...{ policyRevision: 5, createdMs: 0, policies: ['default/web'] },
};
const status: weir.agent.v1.IGetStatusResponse = {
  ...{ node: 'n1', version: '0.1.0', startedMs: 0, pid: 5, kernel: '6.1', endpointsReady: 1, endpointsTotal: 2 },
  ...{ identities: 3, policies: 4, policyRevision: 5, ipv4Range: '10.0.0.0/24', ipv6Range: 'fd00::/64' },
  ...{ ipv4Allocated: 2, ipv6Allocated: 2, policyEnforcement: 'default' },
  components: [{ name: 'datapath', state: 'Ok', message: 'adopted' }],
};

describe('weir status', () => {
  it('prints a line for each part, and exits with 1 when one has failed', async () => {
    await cli.answer({ getStatus: () => status });
    expect(await cli.weir('status')).toEqual(
      done(
        [
          'Node:                n1 (weir 0.1.0, pid 5, kernel 6.1)',
          'Up since:            1970-01-01T00:00:00.000Z',
          'datapath:            Ok  adopted',
          'Endpoints:           1 of 2 ready',
          'Identities:          3',
          'Policies:            4, revision 5, enforcement default',
          'IPv4:                10.0.0.0/24, 2 in use',
          'IPv6:                fd00::/64, 2 in use',
          '',
        ].join('\n'),
      ),
    );
    const failed = { ...status, components: [{ name: 'policy', state: 'Failure', message: 'behind' }] };
    await cli.answer({ getStatus: () => failed });
    expect(await cli.weir('status')).toMatchObject({ status: 1, stdout: expect.stringContaining('Failure  behind') });
    expect(json((await cli.weir('status', '-o', 'json')).stdout)).toMatchObject(failed);
  });
});

describe('weir endpoint', () => {
  it('list prints a row an endpoint in the order of numbers, further labels below', async () => {
    const waits = { state: 'restoring', reason: 'it waits' };
    const second = { ...endpoint, ...waits, id: 3, pod: 'db', ingressEnforced: false, labels: [] };
    await cli.answer({ listEndpoints: () => ({ endpoints: [endpoint, second] }) });
    expect(await cli.weir('endpoint', 'list')).toEqual(
      done(
        [
          'ENDPOINT  POD          STATE      POLICY   IDENTITY  LABELS          IPV4      IPV6',
          '3         default/db   restoring  none     300                       10.0.0.2  fd00::2',
          '7         default/web  ready      ingress  300       k8s:app=web     10.0.0.2  fd00::2',
          '                                                     k8s:tier=front',
          'default/db: it waits',
          '',
        ].join('\n'),
      ),
    );
    expect(json((await cli.weir('endpoint', 'list', '-o', 'json')).stdout)).toMatchObject([endpoint, second]);
  });

  it('get prints everything, and why it is not ready', async () => {
    const asked: unknown[] = [];
    await cli.answer({
      getEndpoint({ endpoint: reference }) {
        asked.push(reference?.reference);
        return { endpoint: { ...endpoint, state: 'restoring', reason: 'no identity yet' } };
      },
    });
    const { stdout } = await cli.weir('endpoint', 'get', 'default/web');
    expect(asked).toEqual(['default/web']);
    expect(stdout).toContain('State:       restoring: no identity yet\n');
    expect(stdout).toContain('Policy:      ingress enforced, revision 5\n');
    expect(json((await cli.weir('endpoint', 'get', '7', '--output', 'json')).stdout)).toMatchObject({ id: 7 });
  });

  it('get prints what there is in the kernel of the rules that select it', async () => {
    const rule = {
      policy: 'default/web',
      direction: 'ingress',
      path: 'spec.ingress[0].toPorts[0]',
      verdict: 'redirect',
    };
    const counted = { ...rule, line: 3, entries: 2, packets: 12, bytes: 2048 };
    await cli.answer({ getEndpoint: () => ({ endpoint, rules: [counted] }) });
    const { stdout } = await cli.weir('endpoint', 'get', '7');
    expect(stdout.split('\n').slice(-3)).toEqual([
      'POLICY       RULE                        VERDICT   ENTRIES  PACKETS  BYTES',
      'default/web  spec.ingress[0].toPorts[0]  redirect  2        12       2.0 KiB',
      '',
    ]);
    expect(json((await cli.weir('endpoint', 'get', '7', '-o', 'json')).stdout)).toMatchObject({
      ...{ id: 7, reason: '', egressEnforced: false, rules: [counted] },
    });
  });

  it('get says what the agent says when there is none', async () => {
    await cli.answer({
      getEndpoint() {
        throw new WeirError('NOT_FOUND', '"x" is not an endpoint of this node');
      },
    });
    const outcome = { status: 1, stdout: '', stderr: 'weir: "x" is not an endpoint of this node\n' };
    expect(await cli.weir('endpoint', 'get', 'x')).toEqual(outcome);
  });
});

describe('weir identity', () => {
  it('lists those of the whole cluster as the allocator knows them, over all pages', async () => {
    const pages = [300, 301].map((id) => ({ id, labels: ['k8s:a=b', `k8s:app=${id}`], references: id - 298 }));
    const others = Object.keys(IdentityAllocatorDefinition).map((name) => [name, () => ({})]);
    const handlers = {
      ...Object.fromEntries(others),
      listIdentities: ({ afterId }: { afterId: number }) => ({
        identities: pages.filter(({ id }) => id > afterId).slice(0, 1),
        more: afterId === 0,
      }),
    } as unknown as Handlers<typeof IdentityAllocatorDefinition>;
    const address = `unix:${cli.directory}/identity.sock`;
    const services = [rpcService(IdentityAllocatorDefinition, handlers)];
    const allocator = createRpcServer({ services, listen: [address] });
    await allocator.start();
    const { stdout } = await cli.weir('identity', 'list', '--all', '--identity-allocator', address);
    await allocator.stop({ deadlineMs: 0 });
    expect(stdout.split('\n').map((line) => line.trim().split(/\s+/))).toEqual([
      ['IDENTITY', 'NODES', 'LABELS'],
      ['300', '2', 'k8s:a=b'],
      ['k8s:app=300'],
      ['301', '3', 'k8s:a=b'],
      ['k8s:app=301'],
      [''],
    ]);
  });

  it('list and get print numbers, users and labels', async () => {
    const identity = { id: 300, labels: ['k8s:app=web', 'k8s:a=b'], endpoints: [7, 8] };
    await cli.answer({
      listIdentities: () => ({ identities: [identity, { id: 1, labels: ['reserved:host'], endpoints: [] }] }),
      getIdentity: ({ id }) => ({ identity: { ...identity, id } }),
    });
    expect(await cli.weir('identity', 'list')).toEqual(
      done(
        [
          'IDENTITY  ENDPOINTS  LABELS',
          '1         0          reserved:host',
          '300       2          k8s:app=web',
          '                     k8s:a=b',
          '',
        ].join('\n'),
      ),
    );
    expect(json((await cli.weir('identity', 'get', '301', '-o', 'json')).stdout)).toMatchObject({ id: 301 });
  });
});

describe('weir policy', () => {
  const good = [{ endpointSelector: { matchLabels: { app: 'web' } }, labels: [{ key: 'name', value: 'mine' }] }];
  const file = (name: string, content: string): string => {
    const path = join(cli.directory, name);
    writeFileSync(path, content);
    return path;
  };
  const problem = { file: 'a.yaml', line: 3, column: 5, path: 'spec.ingres', value: '', message: 'Unknown field' };

  it('import sends the files, and says what is enforced by now', async () => {
    const path = file('good.json', JSON.stringify(good));
    let sent: readonly weir.agent.v1.IPolicyFile[] = [];
    await cli.answer({
      importPolicy({ files }) {
        sent = files;
        return { revision: 2, problems: [], imported: ['RuleList//mine'] };
      },
    });
    expect(await cli.weir('policy', 'import', path)).toEqual({
      ...{ status: 0, stdout: '' },
      stderr: '==> Enforced: RuleList//mine\n',
    });
    expect(sent.map(({ name, content }) => [name, Buffer.from(content ?? []).toString()])).toEqual([
      [path, JSON.stringify(good)],
    ]);
  });

  it('import and delete print problems with file and line, and exit with 1', async () => {
    const path = file('bad.yaml', 'x');
    await cli.answer({
      importPolicy: () => ({ revision: 1, problems: [problem], imported: [] }),
      deletePolicy: () => ({ revision: 1, problems: [problem], deleted: [] }),
    });
    for (const args of [
      ['import', path],
      ['delete', '-f', path],
    ]) {
      const { status: exit, stderr } = await cli.weir('policy', ...args);
      expect(exit).toBe(1);
      expect(stderr).toMatch(/a\.yaml:3:5.*spec\.ingres.*Unknown field/);
      expect(stderr).toContain('Nothing was changed');
    }
    const asJson = await cli.weir('policy', 'import', path, '-o', 'json');
    expect(asJson.status).toBe(1);
    expect(json(asJson.stdout)).toMatchObject({ problems: [problem] });
  });

  it('import of a file that cannot be read asks nobody', async () => {
    await cli.answer({});
    const { status: exit, stderr } = await cli.weir('policy', 'import', '/nowhere.yaml');
    expect([exit, stderr]).toEqual([1, expect.stringContaining('Cannot read "/nowhere.yaml"')]);
  });

  it('get prints policies as YAML, with where they come from', async () => {
    const document = JSON.stringify({ kind: 'CiliumNetworkPolicy', metadata: { name: 'web' } });
    const policy = { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'web', file: 'a.yaml', document };
    await cli.answer({ getPolicy: () => ({ revision: 1, policies: [{ ...policy, endpoints: [7] }] }) });
    expect(await cli.weir('policy', 'get')).toEqual(
      done(
        '# CiliumNetworkPolicy default/web from a.yaml, selects endpoints 7\n' +
          'kind: CiliumNetworkPolicy\nmetadata:\n  name: web\n',
      ),
    );
    await cli.answer({ getPolicy: () => ({ revision: 1, policies: [] }) });
    expect(await cli.weir('policy', 'get')).toEqual(done('No policies: everything is allowed\n'));
  });

  it('delete needs to be told what', async () => {
    await cli.answer({
      deletePolicy: ({ names, all }) => ({ revision: 1, problems: [], deleted: all ? ['x'] : names }),
    });
    expect(await cli.weir('policy', 'delete')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('expected names, --file or --all'),
    });
    expect((await cli.weir('policy', 'delete', 'a', 'b')).stderr).toBe(
      '==> No longer enforced: a\n==> No longer enforced: b\n',
    );
    expect((await cli.weir('policy', 'delete', '--all')).stderr).toContain('No longer enforced: x');
  });

  it('validate needs no agent', async () => {
    const [sound, broken] = [file('v.json', JSON.stringify(good)), file('b.yaml', '- endpointSelectr: {}\n')];
    const validate = (...args: string[]) =>
      capture(() => runProgram(['--address', 'unix:/nowhere/agent.sock', 'policy', 'validate', ...args]));
    const { status: exit, stdout } = await validate(sound);
    expect([exit, stdout.split('\n')[0]]).toEqual([0, expect.stringMatching(/^POLICY +FILE +RULES$/)]);
    expect(await validate(broken)).toMatchObject({ status: 1, stderr: expect.stringContaining('b.yaml:1:') });
    expect(json((await validate(broken, '-o', 'json')).stdout)).toMatchObject({ policies: [] });
  });
});

describe('weir bpf', () => {
  it('policy list says which ports and peers an entry is about, and what its rules saw', async () => {
    const base = { subjectIdentity: 300, direction: 'ingress', peerLabels: [], verdict: 'allow', ruleSet: 0 };
    const entry = (more: object) => ({
      ...base,
      protocol: 6,
      policies: ['default/web'],
      packets: 2,
      bytes: 2048,
      ...more,
    });
    let asked: unknown;
    await cli.answer({
      listPolicyEntries(request) {
        asked = request.endpoint?.reference;
        return {
          entries: [
            entry({ peerIdentity: 0, port: 80, portPrefixLength: 16 }),
            entry({ peerIdentity: 301, port: 64, portPrefixLength: 10 }),
            entry({ peerIdentity: 0xffff_ffff, port: 264, portPrefixLength: 16, protocol: 1 }),
            entry({ peerIdentity: 301, port: 0, portPrefixLength: 0 }),
          ],
        };
      },
    });
    const { stdout } = await cli.weir('bpf', 'policy', 'list', 'default/web');
    expect(asked).toBe('default/web');
    const rows = stdout.split('\n').slice(1, 5);
    expect(rows.map((row) => row.split(/ {2,}/))).toEqual([
      ['300', 'ingress', 'any', 'TCP', '80', 'allow', '-', '2 / 2.0 KiB', 'default/web'],
      ['300', 'ingress', '301', 'TCP', '64–127', 'allow', '-', '2 / 2.0 KiB', 'default/web'],
      ['300', 'ingress', 'all pods', 'ICMP', 'type 8', 'allow', '-', '2 / 2.0 KiB', 'default/web'],
      ['300', 'ingress', '301', 'TCP', 'any', 'allow', '-', '2 / 2.0 KiB', 'default/web'],
    ]);
  });

  it('ct list gathers all parts of the answer', async () => {
    const connection = {
      ...{ protocol: 6, source: 'fd00::2', sourcePort: 1234, destination: '10.0.0.3', destinationPort: 80 },
      ...{ sourceIdentity: 300, destinationIdentity: 301, state: 'established', flags: ['redirected'], expiresS: 9 },
      ...{ forwardPackets: 3, forwardBytes: 1536, replyPackets: 2, replyBytes: 100 },
    };
    await cli.answer({
      async *listConnections() {
        yield { connections: [connection] };
        yield { connections: [connection, connection] };
      },
    });
    const { stdout } = await cli.weir('bpf', 'ct', 'list');
    expect(stdout.trim().split('\n')).toHaveLength(4);
    expect(stdout).toContain('[fd00::2]:1234');
    expect(stdout).toContain('3 / 1.5 KiB');
    expect(json((await cli.weir('bpf', 'ct', 'list', '-o', 'json')).stdout)).toHaveLength(3);
  });

  it('ipcache, endpoint and metrics list print what the maps hold', async () => {
    await cli.answer({
      listIpcache: () => ({
        entries: ['fd00::/64', '10.0.0.11/32', '10.0.0.2/32', '10.0.0.0/24'].map((prefix) => ({
          ...{ prefix, identity: 2, labels: ['reserved:world'] },
        })),
      }),
      listDatapathEndpoints: () => ({
        endpoints: [{ ifindex: 12, endpointId: 7, identity: 300, mac: 'm', ipv4: '10.0.0.2', ipv6: 'fd00::2' }],
      }),
      listDatapathMetrics: () => ({ metrics: [{ reason: 'forwarded', direction: 'ingress', packets: 2, bytes: 5 }] }),
    });
    expect((await cli.weir('bpf', 'ipcache', 'list')).stdout).toContain('10.0.0.2/32   2         reserved:world');
    const prefixes = json((await cli.weir('bpf', 'ipcache', 'list', '-o', 'json')).stdout) as {
      prefix: string;
    }[];
    expect(prefixes.map(({ prefix }) => prefix)).toEqual(['10.0.0.0/24', '10.0.0.2/32', '10.0.0.11/32', 'fd00::/64']);
    expect((await cli.weir('bpf', 'endpoint', 'list')).stdout).toContain('12         7         300');
    expect((await cli.weir('bpf', 'metrics', 'list')).stdout).toContain('forwarded  ingress    2        5 B');
  });
});

describe('weir monitor', () => {
  const event = {
    ...{ timeNs: 0, type: 'drop', verdict: 'dropped', reason: 'Policy denied', direction: 'ingress', protocol: 'TCP' },
    ...{ tcpFlags: 'SYN', policies: ['default/web'], node: 'n1' },
    source: { address: '10.0.0.3', port: 999, identity: 2 },
    destination: { address: 'fd00::2', port: 80, identity: 300, namespace: 'default', pod: 'web' },
  };
  const labelled = ['k8s:app=web', 'k8s:canary', 'k8s:io.kubernetes.pod.namespace=default'];
  const watching = async (events: weir.agent.v1.IMonitorEvent[]): Promise<unknown[]> => {
    const asked: unknown[] = [];
    await cli.answer({
      async *monitor({ types, relatedTo }) {
        asked.push([types, relatedTo.map(({ reference }) => reference)]);
        yield* events;
      },
    });
    return asked;
  };

  it('prints a line an event, and passes on what is wanted', async () => {
    const asked = await watching([event]);
    const { stdout } = await cli.weir('monitor', '-t', 'drop', '--type', 'l7', '--related-to', 'default/web');
    expect(asked).toEqual([[['drop', 'l7'], ['default/web']]]);
    expect(stdout).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} DROPPED {4}drop {4}10\.0\.0\.3:999 \(world\) → default\/web \(\[fd00::2\]:80, identity 300\) TCP SYN Policy denied \(ingress\) policy default\/web\n$/,
    );
  });

  it('shows the labels that users give, of a pod and of who has only an identity', async () => {
    const source = { address: '10.1.0.3', port: 999, identity: 301, labels: ['k8s:app=\u001b[2J'] };
    await watching([{ ...event, source, destination: { ...event.destination, labels: labelled } }]);
    const { stdout } = await cli.weir('monitor');
    expect(stdout).toContain(' 10.1.0.3:999 (identity 301 app=\\x1b[2J) → ');
    expect(stdout).toContain(' default/web ([fd00::2]:80, identity 300 app=web,canary) ');
  });

  it('prints JSON, one object a line', async () => {
    await watching([event, { type: 'lost', lost: 5, lostSource: 'proxy' }]);
    const { stdout, stderr } = await cli.weir('monitor', '-o', 'json');
    expect(stdout.trim().split('\n').map(json)).toMatchObject([event, { type: 'lost', lost: 5 }]);
    expect(stderr).toBe('');
  });

  it('says what was lost, and of HTTP calls what they were', async () => {
    const http = {
      ...{ method: 'PUT', path: '/x', host: 'web', protocol: 'HTTP/1.1', status: 403, latencyNs: 2_500_000 },
      headerDifferences: ['LOG x-a: "\u001b" instead of "b"'],
    };
    await watching([
      { type: 'lost', lost: 5, lostSource: 'kernel-ring' },
      { ...event, type: 'l7', verdict: 'denied', reason: 'no rule', http },
    ]);
    const { stdout } = await cli.weir('monitor');
    expect(stdout).toContain('5 events were lost (kernel-ring)');
    expect(stdout).toContain('HTTP/1.1 PUT web/x → 403 in 2.50 ms: no rule, LOG x-a: "\\x1b" instead of "b"');
  });

  it('does not let a client steer the terminal', async () => {
    const http = { method: 'GET', path: '/\u001b]0;owned\u0007\u009b2J', host: 'a\nb', protocol: 'HTTP/1.1' };
    await watching([{ ...event, type: 'l7', http }]);
    const { stdout } = await cli.weir('monitor');
    expect(stdout).toContain('GET a\\x0ab/\\x1b]0;owned\\x07\\x9b2J');
  });
});

describe('wrong usage', () => {
  it.each<[string[], string]>([
    [['nonsense'], "unknown command 'nonsense'"],
    [['endpoint', 'list', '--nope'], "unknown option '--nope'"],
    [['endpoint', 'get'], "missing required argument 'endpoint'"],
    [['status', '-o', 'xml'], "'xml' is invalid. Allowed choices are table, json"],
    [['identity', 'get', 'web'], '"web" is not the number of an identity'],
    [['identity', 'get', '4294967296'], '"4294967296" is not the number of an identity'],
    [['monitor', '-t', 'drops'], '"drops" is not one of drop, policy-verdict, trace, l7'],
    [['--address', 'ftp://x', 'status'], 'Address "ftp://x" is neither "unix:/absolute/path" nor "host:port"'],
  ])('%j exits with 2, says why, and where help is', async (args, message) => {
    const { status: exit, stdout, stderr } = await capture(() => runProgram(args));
    expect([exit, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(
      /^\(weir( endpoint list| endpoint get| status| identity get| monitor)? --help shows how\)$/m,
    );
  });

  it.each([['--help'], ['--version'], ['policy', '--help'], ['help', 'monitor']])('%s is none', async (...args) => {
    expect(await capture(() => runProgram(args))).toMatchObject({ status: 0, stderr: '' });
  });
});

describe('an agent that is not there', () => {
  it('is named, with what to do about it', async () => {
    const { status: exit, stderr } = await capture(() => runProgram(['--address', 'unix:/nowhere/a.sock', 'status']));
    expect([exit, stderr]).toEqual([1, 'weir: No agent listens at unix:/nowhere/a.sock; is the agent running?\n']);
  });
});
