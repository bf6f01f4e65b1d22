// SPDX-License-Identifier: Apache-2.0
// What `weir` says of the walkthrough: of drops and refusals, of everything that it lists, and by its exit status.
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { weir as messages } from '@weir/proto';
import { authority, curl, httpServer } from './testing/http.ts';
import { fromPods, onHttp, policy } from './testing/policy.ts';
import { eventually } from './testing/services.ts';
import { families, useLab, type PlayedPod } from './testing/use-lab.ts';
import { weir, weirArgv, weirEnvironment, weirJson, weirLab } from './testing/weir.ts';

type Event = messages.agent.v1.IMonitorEvent;

const port = 80;
const rule1 = policy(
  'rule1',
  { org: 'empire', class: 'deathstar' },
  {
    ingress: [{ ...fromPods({ org: 'empire' }), ...onHttp(port, { method: 'GET', path: '/v1' }) }],
  },
);
let deathstar: PlayedPod, tiefighter: PlayedPod, xwing: PlayedPod;
const metricsAddress = '127.0.0.1:9962';
const options = { agentArguments: ['--metrics', metricsAddress] };
const test = useLab(
  'cli',
  async ({ pod }) => {
    [deathstar, tiefighter, xwing] = await Promise.all([
      pod('deathstar', { labels: { org: 'empire', class: 'deathstar' }, ...httpServer(port) }),
      pod('tiefighter', { labels: { org: 'empire', class: 'tiefighter' } }),
      pod('xwing', { labels: { org: 'alliance', class: 'xwing' } }),
    ]);
  },
  options,
);
const list = <Value>(...args: string[]): Promise<Value> => weirJson(test.lab, ...args);

describe('weir monitor', () => {
  const lines: string[] = [];
  const events: Event[] = [];
  const monitors: ChildProcess[] = [];
  const watch = (args: string[], onLine: (line: string) => void): void => {
    const [file, ...argv] = weirArgv(args);
    const monitor = spawn(file, argv, { env: weirEnvironment(test.lab), stdio: ['ignore', 'pipe', 'ignore'] });
    createInterface({ input: monitor.stdout }).on('line', onLine);
    monitors.push(monitor);
  };
  beforeAll(async () => {
    watch(['monitor', '-o', 'json'], (line) => events.push(JSON.parse(line) as Event));
    watch(['monitor'], (line) => lines.push(line));
    await eventually('both monitors show something', async () => {
      await test.lab.exec('xwing', ['ping', '-c', '1', '-W', '0.2', deathstar.ipv4]);
      return (events.length > 0 && lines.length > 0) || undefined;
    });
  });
  afterAll(() => monitors.forEach((monitor) => monitor.kill()));

  it.each(families)('shows the drop and the refusal with both pods and the policy, over %s', async (family) => {
    await test.apply(rule1);
    const url = `http://${authority(deathstar[family], port)}`;
    const of = (source: PlayedPod, fields: object): object => ({
      ...fields,
      source: { pod: source.name, namespace: 'default', address: source[family], identity: source.identity },
      destination: { pod: 'deathstar', namespace: 'default', address: deathstar[family], port },
      direction: 'ingress',
      policies: ['default/rule1'],
      node: 'node1',
    });
    const find = (type: string, source: PlayedPod): Promise<Event> =>
      eventually(`an event of type ${type} from ${source.name}`, () =>
        events.find((event) => event.type === type && event.source?.address === source[family]),
      );

    expect(await curl(test.lab, 'xwing', '--connect-timeout', '0.3', `${url}/v1`)).toMatchObject({ exit: 28 });
    const drop = { verdict: 'dropped', reason: 'Policy denied', reasonCode: 133, protocol: 'TCP', tcpFlags: 'SYN' };
    expect(await find('drop', xwing)).toMatchObject(of(xwing, drop));

    expect(await curl(test.lab, 'tiefighter', '-X', 'PUT', `${url}/v1/exhaust-port`)).toMatchObject({ status: 403 });
    const http = { method: 'PUT', path: '/v1/exhaust-port', status: 403, protocol: 'HTTP/1.1' };
    expect(await find('l7', tiefighter)).toMatchObject(of(tiefighter, { verdict: 'denied', protocol: 'HTTP', http }));
    const now = Date.now() * 1e6;
    for (const { timeNs } of events) expect(Math.abs(now - Number(timeNs))).toBeLessThan(600e9);

    const line = (pattern: RegExp): Promise<string> =>
      eventually(`a line like ${String(pattern)}`, () => lines.find((each) => pattern.test(each)));
    await line(
      /DROPPED .*default\/xwing .* → default\/deathstar .*TCP SYN Policy denied \(ingress\) policy default\/rule1/,
    );
    await line(
      /DENIED .*default\/tiefighter .* → default\/deathstar .*PUT .*exhaust-port → 403.* policy default\/rule1/,
    );
  });

  it('shows only what is asked for', async () => {
    const drops: Event[] = [];
    watch(['monitor', '-o', 'json', '--type', 'drop', '--related-to', 'default/xwing'], (line) =>
      drops.push(JSON.parse(line) as Event),
    );
    await test.apply(rule1);
    await eventually('a drop of xwing', async () => {
      await curl(test.lab, 'tiefighter', `http://${deathstar.ipv4}/v1`);
      await test.lab.exec('tiefighter', ['ping', '-c', '1', '-W', '0.1', deathstar.ipv4]);
      await test.lab.exec('xwing', ['ping', '-c', '1', '-W', '0.1', deathstar.ipv4]);
      return drops.length > 0 || undefined;
    });
    expect(new Set(drops.map(({ type, source }) => `${type} ${source?.pod}`))).toEqual(new Set(['drop xwing']));
  });

  it('ends with status 0 when it is interrupted', async () => {
    const [file, ...argv] = weirArgv(['monitor', '-o', 'json']);
    const monitor = spawn(file, argv, { env: weirEnvironment(test.lab), stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => monitor.once('exit', (status, signal) => resolve({ status, signal })));
    let heard = 0;
    monitor.stdout.on('data', (data: Buffer) => (heard += data.length));
    await eventually('it shows something', async () => {
      await test.lab.exec('xwing', ['ping', '-c', '1', '-W', '0.2', deathstar.ipv4]);
      return heard > 0 || undefined;
    });
    monitor.kill('SIGINT');
    expect(await ended).toEqual({ status: 0, signal: null });
  });
});

describe('--metrics', () => {
  const get = async (path: string): Promise<string> =>
    (await test.lab.exec('@node1', ['curl', '-sSf', `http://${metricsAddress}${path}`])).stdout;

  it('serves what the node counts, and its health', async () => {
    await test.apply(rule1);
    expect(await get('/healthz')).toBe('ok\n');
    const lines = (await get('/metrics')).split('\n');
    expect(lines).toEqual(expect.arrayContaining(['weir_endpoint 3', 'weir_policy 1', 'weir_policy_behind 0']));
    const pressure = lines.find((line) => line.startsWith('weir_bpf_map_pressure{map_name="policy"}'));
    expect(Number(pressure?.split(' ')[1])).toBeGreaterThan(0);
    expect(lines.some((line) => /^weir_forward_count_total\{direction="EGRESS"\} [1-9]/.test(line))).toBe(true);
  });
});

describe('weir … -o json', () => {
  it('status has every component and figure', async () => {
    await test.apply(rule1);
    const status = await list<messages.agent.v1.IGetStatusResponse>('status');
    expect(status).toMatchObject({
      ...{ node: 'node1', endpointsReady: 3, endpointsTotal: 3, policies: 1, policyEnforcement: 'default' },
      ...{ ipv4Range: '10.244.1.0/24', ipv6Range: 'fd00:10:244:1::/64', ipv4Allocated: 3, ipv6Allocated: 3 },
    });
    const components = status.components?.map(({ name, state }) => `${name} ${state}`);
    expect(components).toEqual([
      'datapath Ok',
      'policy Ok',
      'host-policy Ok',
      'endpoints Ok',
      'identity-allocator Ok',
      'cluster Ok',
      'l7-proxy Ok',
      'services Ok',
      'masquerade Ok',
      'maps Ok',
    ]);
  });

  it('endpoint list and get have what the lab knows of its pods', async () => {
    await test.apply(rule1);
    const endpoints = await list<messages.agent.v1.IEndpoint[]>('endpoint', 'list');
    expect(endpoints).toHaveLength(3);
    const expected = {
      ...{ id: deathstar.endpointId, namespace: 'default', pod: 'deathstar', state: 'ready', reason: '' },
      ...{
        identity: deathstar.identity,
        ipv4: deathstar.ipv4,
        ipv6: deathstar.ipv6,
        hostInterface: `weir${deathstar.endpointId}`,
      },
      ...{ ingressEnforced: true, egressEnforced: false, policies: ['default/rule1'] },
      labels: expect.arrayContaining(['k8s:class=deathstar', 'k8s:org=empire']),
    };
    expect(endpoints.find(({ pod }) => pod === 'deathstar')).toMatchObject(expected);
    for (const reference of [String(deathstar.endpointId), 'default/deathstar', deathstar.ipv4, deathstar.ipv6]) {
      expect(await list('endpoint', 'get', reference)).toMatchObject(expected);
    }
  });

  it('endpoint get counts what each rule of the endpoint has decided on', async () => {
    await test.apply(rule1);
    const rules = async (): Promise<messages.agent.v1.IEndpointRule[]> =>
      (await list<messages.agent.v1.IGetEndpointResponse>('endpoint', 'get', 'default/deathstar')).rules ?? [];
    const rule = { policy: 'default/rule1', path: 'spec.ingress[0].toPorts[0]', verdict: 'redirect' };
    const [before, ...more] = await rules();
    expect([before, more]).toMatchObject([rule, []]);
    expect(before?.entries).toBeGreaterThan(0);
    expect((await curl(test.lab, 'tiefighter', `http://${deathstar.ipv4}:${port}/v1`)).status).toBe(200);
    const [counted] = await rules();
    const [packets, bytes] = [
      (counted?.packets ?? 0) - (before?.packets ?? 0),
      (counted?.bytes ?? 0) - (before?.bytes ?? 0),
    ];
    expect(packets).toBeGreaterThan(3);
    expect(bytes).toBeGreaterThan(packets);
  });

  it('identity list and get have the labels of pods and the reserved ones', async () => {
    const identities = await list<messages.agent.v1.IIdentity[]>('identity', 'list');
    expect(identities).toContainEqual(expect.objectContaining({ id: 1, labels: ['reserved:host'] }));
    expect(identities).toContainEqual(expect.objectContaining({ id: 2, labels: ['reserved:world'] }));
    expect(await list('identity', 'get', String(xwing.identity))).toMatchObject({
      id: xwing.identity,
      labels: expect.arrayContaining([
        'k8s:org=alliance',
        'k8s:class=xwing',
        'k8s:io.kubernetes.pod.namespace=default',
      ]),
      endpoints: [xwing.endpointId],
    });
  });

  it('policy get has the documents', async () => {
    await test.apply(rule1);
    const { policies } = await list<messages.agent.v1.IGetPolicyResponse>('policy', 'get');
    expect(policies).toMatchObject([
      { kind: 'CiliumNetworkPolicy', namespace: 'default', name: 'rule1', endpoints: [deathstar.endpointId] },
    ]);
    expect(JSON.parse(policies?.[0]?.document ?? '')).toMatchObject({ metadata: { name: 'rule1' } });
    expect(await list('policy', 'get', 'default/rule1')).toMatchObject({ policies: [{ name: 'rule1' }] });
  });

  it('bpf policy list has who may reach a pod, by which policy', async () => {
    await test.apply(rule1);
    const entries = await list<messages.agent.v1.IPolicyEntry[]>('bpf', 'policy', 'list', 'default/deathstar');
    const peers = [deathstar, tiefighter].map(({ identity }) => identity).sort();
    expect(entries.map(({ peerIdentity }) => peerIdentity).sort()).toEqual(peers);
    for (const entry of entries) {
      expect(entry).toMatchObject({
        ...{ subjectIdentity: deathstar.identity, direction: 'ingress', protocol: 6, port, verdict: 'redirect' },
        policies: ['default/rule1'],
      });
      expect(entry.ruleSet).toBeGreaterThan(0);
    }
  });

  it('bpf ct list has both ends of a flow and what went over it', async () => {
    await xwing.bind(4000);
    const listener = await deathstar.listen(4001);
    const connection = await xwing.connect({ address: deathstar.ipv6, port: 4001 });
    await connection.send('x'.repeat(1_000));
    await (await listener.accept()).receive(1_000);
    const flow = (await list<messages.agent.v1.IConnection[]>('bpf', 'ct', 'list')).find(
      ({ sourcePort }) => sourcePort === connection.localPort,
    );
    expect(flow).toMatchObject({
      ...{ protocol: 6, source: xwing.ipv6, destination: deathstar.ipv6, destinationPort: 4001 },
      ...{ sourceIdentity: xwing.identity, destinationIdentity: deathstar.identity, state: 'established' },
    });
    expect(Number(flow?.forwardBytes)).toBeGreaterThan(1_000);
    expect(Number(flow?.replyPackets)).toBeGreaterThan(0);
  });

  it('bpf ipcache, endpoint and metrics list have every pod and what was counted', async () => {
    const ipcache = await list<messages.agent.v1.IIpcacheEntry[]>('bpf', 'ipcache', 'list');
    for (const { ipv4, ipv6, identity } of [deathstar, tiefighter, xwing]) {
      expect(ipcache).toContainEqual(expect.objectContaining({ prefix: `${ipv4}/32`, identity }));
      expect(ipcache).toContainEqual(expect.objectContaining({ prefix: `${ipv6}/128`, identity }));
    }
    expect(ipcache).toContainEqual(expect.objectContaining({ prefix: '172.31.0.11/32', identity: 1 }));
    const endpoints = await list<messages.agent.v1.IDatapathEndpoint[]>('bpf', 'endpoint', 'list');
    expect(endpoints).toHaveLength(3);
    expect(endpoints).toContainEqual(
      expect.objectContaining({
        endpointId: xwing.endpointId,
        ipv4: xwing.ipv4,
        ipv6: xwing.ipv6,
        identity: xwing.identity,
      }),
    );
    const metrics = await list<messages.agent.v1.IDatapathMetric[]>('bpf', 'metrics', 'list');
    expect(metrics).toContainEqual(expect.objectContaining({ reason: 'Policy denied', direction: 'ingress' }));
    expect(metrics.every(({ packets, bytes }) => Number(packets) > 0 && Number(bytes) > 0)).toBe(true);
  });

  it('policy import, validate and delete say what they did', async () => {
    const run = async (...args: string[]): Promise<unknown> =>
      JSON.parse((await weir(test.lab, [...args, '-', '-o', 'json'], JSON.stringify(rule1))).stdout);
    const judged = { problems: [], policies: [{ rules: 1 }], enforcer: { kind: 'agent' } };
    expect(await run('policy', 'validate', '--agent')).toMatchObject(judged);
    const key = 'CiliumNetworkPolicy/default/rule1';
    expect(await run('policy', 'import')).toMatchObject({ imported: [key], problems: [] });
    expect(await list('policy', 'delete', 'rule1')).toMatchObject({ deleted: [key], problems: [] });
  });
});

describe('the exit status', () => {
  it.each([
    ['an unknown command', ['nonsense']],
    ['an unknown option', ['status', '--nonsense']],
    ['an unknown format', ['status', '-o', 'xml']],
    ['a missing argument', ['endpoint', 'get']],
    ['one argument too many', ['status', 'extra']],
    ['nothing to delete', ['policy', 'delete']],
    ['a number that is none', ['identity', 'get', 'x']],
    ['a type of event that does not exist', ['monitor', '--type', 'nonsense']],
  ])('is 2 for %s, with a word on standard error', async (_, args) => {
    const { status, stdout, stderr } = await weir(test.lab, args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/error/i);
  });

  it.each([
    ['an endpoint that does not exist', ['endpoint', 'get', 'default/nobody'], 'default/nobody'],
    ['an identity that does not exist', ['identity', 'get', '54321'], '54321'],
    ['a policy that does not exist', ['policy', 'get', 'nothing'], 'nothing'],
    ['a policy to delete that does not exist', ['policy', 'delete', 'nothing'], '"nothing"'],
  ])('is 1 for %s, which is named', async (_, args, named) => {
    const { status, stdout, stderr } = await weir(test.lab, args);
    expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: expect.stringContaining(named) });
  });

  it('is 1 when no agent answers, with its address', async () => {
    const { status, stderr } = await weir(test.lab, ['status', '--address', 'unix:/nonexistent.sock']);
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('/nonexistent.sock') });
  });

  it('of weir lab is 2 for wrong usage, 1 for a failure, and that of the command for exec', async () => {
    const statuses = await Promise.all(
      [['nonsense'], ['pod', 'rm', 'nobody'], ['exec', 'xwing', '--', 'sh', '-c', 'exit 7']].map((args) =>
        weirLab(test.lab, args),
      ),
    );
    expect(statuses.map(({ status }) => status)).toEqual([2, 1, 7]);
  });
});
