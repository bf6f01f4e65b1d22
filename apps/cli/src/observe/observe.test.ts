// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAuthority } from '@weir/certificates';
import type { Flow } from '@weir/flow';
import { createEventRing, createObserver, type Observer, recordKind, relayServerName } from '@weir/observer';
import { flow } from '@weir/proto';
import { createRpcServer, openTlsIdentity, type RpcServer } from '@weir/rpc';
import { runProgram } from '../run-program.ts';
import { capture, type Outcome } from '../testing/test-cli.ts';
import { parseDuration, parseTime } from './times.ts';

const { Verdict } = flow;
const startS = 1_767_323_000;

let directory: string;
let server: RpcServer;
let node: Observer;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'weir-observe-'));
  const ring = createEventRing({ capacity: 64, rawBytes: 8 });
  for (let at = 0; at < 30; at++) {
    const value: Flow = {
      ...{ time: { seconds: startS + at }, nodeName: 'n1', Summary: 'TCP Flags: SYN', isReply: { value: false } },
      verdict: at % 10 === 0 ? Verdict.DROPPED : Verdict.FORWARDED,
      ...{ IP: { source: '10.0.0.1', destination: '10.0.0.2', ipVersion: 1 } },
      l4: { TCP: { sourcePort: 40_000 + at, destinationPort: 80 } },
      source: { namespace: 'default', podName: `pod-${at}`, identity: 300, clusterName: 'default' },
      destination: { identity: 2 },
      eventType: at % 10 === 0 ? { type: 1, subType: 133 } : { type: 4, subType: 0 },
    };
    ring.push(recordKind.value, { value, timeNs: (startS + at) * 1e9 });
  }
  ring.push(recordKind.agentEvent, { value: { type: flow.AgentEventType.AGENT_STARTED }, timeNs: startS * 1e9 });
  node = createObserver({ ring, flowAt: (number) => ring.valueOf(number) as Flow, node: 'n1', version: 'weir v0' });
  server = createRpcServer({ services: [node.service], listen: [`unix:${directory}/hubble.sock`] });
  await server.start();
});
afterAll(async () => {
  node.close();
  await server.stop({ deadlineMs: 0 });
  rmSync(directory, { recursive: true });
});

const observe = (...args: string[]): Promise<Outcome> =>
  capture(() => runProgram(['observe', '--server', `unix://${directory}/hubble.sock`, ...args]));
const lines = ({ stdout }: Outcome): string[] => stdout.split('\n').filter(Boolean);
async function filters(...args: string[]): Promise<[object[], object[]]> {
  const { stdout, stderr } = await observe('flows', '--print-raw-filters', ...args);
  if (stdout === '') throw new Error(stderr);
  const { allowlist, denylist } = JSON.parse(stdout) as { allowlist: object[]; denylist: object[] };
  return [allowlist, denylist];
}

describe('weir observe', () => {
  it('prints the last 20 flows, one a line', async () => {
    const outcome = await observe();
    expect(outcome).toMatchObject({ status: 0, stderr: '' });
    expect(lines(outcome)).toHaveLength(20);
    expect(lines(outcome)[0]).toBe(
      'Jan  2 03:03:30.000: default/pod-10:40010 (ID:300) -> 10.0.0.2:80 (world) Policy denied DROPPED (TCP Flags: SYN)',
    );
  });

  it.each<[string[], number]>([
    [['--last', '3'], 3],
    [['--first', '2'], 2],
    [['--all'], 30],
    [['--verdict', 'DROPPED'], 3],
    [['--verdict', 'DROPPED', '--pod', 'pod-2'], 1],
    [['--not', '--verdict', 'FORWARDED', '--last', '100'], 3],
    [['--type', 'drop'], 3],
    [['--type', 'trace:to-endpoint', '--all'], 27],
    [['--from-port', '40001'], 1],
    [['--since', '2026-01-02T03:03:45Z'], 5],
    [['--until', '2026-01-02T03:03:24Z'], 5],
    [['--identity', 'world', '--last', '4'], 4],
    [['--denylist', '{"verdict":["DROPPED"]}', '--all'], 27],
  ])('%j gives %i flows', async (args, count) => expect(lines(await observe(...args))).toHaveLength(count));

  it('prints JSON with the names of the contract, and only the fields that are asked for', async () => {
    const [line = ''] = lines(await observe('--last', '1', '-o', 'json', '--field-mask', 'source.pod_name,IP'));
    expect(JSON.parse(line)).toEqual({
      flow: { IP: { source: '10.0.0.1', destination: '10.0.0.2', ipVersion: 'IPv4' }, source: { pod_name: 'pod-29' } },
    });
  });

  it('prints tables', async () => {
    expect(lines(await observe('--last', '1', '-o', 'table'))[0]).toMatch(
      /^TIMESTAMP +SOURCE +DESTINATION +TYPE +VERDICT +SUMMARY$/,
    );
  });

  it.each([
    [['--first', '1', '--last', '1'], '--first and --last exclude each other'],
    [['--first', '1', '-f'], '--first and --follow exclude each other'],
    [['-f', '-o', 'table'], '--output table needs an end'],
    [['--field-mask', 'time'], '--field-mask is for --output json'],
    [['--from-port', 'http'], 'invalid source port filter: invalid port "http"'],
  ])('refuses %j', async (args, message) => {
    expect(await observe(...args)).toMatchObject({ status: 1, stderr: expect.stringContaining(message) });
  });

  it.each([
    [['--verdict', 'NOPE'], '"NOPE" is no verdict'],
    [['--type', 'nope'], '"nope" is no type'],
    [['--tcp-flags', 'nope'], '"NOPE" is no TCP flag'],
    [['--since', 'yesterday'], '"yesterday" is neither a duration'],
  ])('takes %j for wrong usage', async (args, message) => {
    expect(await observe(...args)).toMatchObject({ status: 2, stderr: expect.stringContaining(message) });
  });

  it('reads flows from a file as a server would give them', async () => {
    const { stdout } = await observe('--all', '-o', 'json');
    writeFileSync(`${directory}/flows.json`, stdout);
    const outcome = await observe('--input-file', `${directory}/flows.json`, '--verdict', 'DROPPED', '--last', '2');
    expect(lines(outcome).map((line) => line.slice(21, 35))).toEqual(['default/pod-10', 'default/pod-20']);
  });

  it('tells of the agent, of the status and of namespaces', async () => {
    expect(JSON.parse((await observe('agent-events')).stdout)).toMatchObject({
      agent_event: { type: 'AGENT_STARTED' },
    });
    expect((await observe('status')).stdout).toContain('Current/Max Flows: 31/64');
    expect((await observe('namespaces')).stdout).toContain('default    default');
  });
});

it('asks over TLS, with what the flags say', async () => {
  const authority = createAuthority({ directory });
  const tls = openTlsIdentity(authority.issue([relayServerName]));
  const secure = createRpcServer({ services: [node.service], listen: ['127.0.0.1:0'], tls });
  const [address] = await secure.start();
  const { ca, certificate, key } = authority.issue(['reader.weir']);
  const shown = ['--tls-client-cert-file', certificate, '--tls-client-key-file', key];
  const ask = (...args: readonly string[]) =>
    capture(() => runProgram(['observe', '--server', `tls://${address}`, ...shown, ...args]));
  expect(lines(await ask('--tls-ca-cert-files', ca, '--last', '3'))).toHaveLength(3);
  expect(await ask('--last', '3')).toMatchObject({ status: 1, stderr: expect.stringContaining('TLS needs --tls-ca') });
  const other = await ask('--tls-ca-cert-files', ca, '--tls-server-name', 'n1.node.weir', '--last', '3');
  expect(other).toMatchObject({ status: 1, stderr: expect.stringContaining('expected "n1.node.weir"') });
  await secure.stop({ deadlineMs: 0 });
  tls.close();
});

describe('the flags', () => {
  it.each<[string[], object[], object[]]>([
    [[], [], []],
    [['--pod', 'a'], [{ source_pod: ['a'] }, { destination_pod: ['a'] }], []],
    [['--from-pod', 'a', '--to-pod', 'b'], [{ source_pod: ['a'], destination_pod: ['b'] }], []],
    [['-n', 'x'], [{ source_pod: ['x/'] }, { destination_pod: ['x/'] }], []],
    [['-n', 'x', '--pod', 'a'], [{ source_pod: ['x/a'] }, { destination_pod: ['x/a'] }], []],
    [['-A'], [{ source_pod: ['/'] }, { destination_pod: ['/'] }], []],
    [['--from-namespace', 'a', '--to-namespace', 'b'], [{ source_pod: ['a/'], destination_pod: ['b/'] }], []],
    [['-t', 'drop:133'], [{ event_type: [{ type: 1, match_sub_type: true, sub_type: 133 }] }], []],
    [
      ['-t', 'trace:to-proxy', '-t', 'l7'],
      [{ event_type: [{ type: 4, match_sub_type: true, sub_type: 1 }, { type: 129 }] }],
      [],
    ],
    [['--identity', 'host'], [{ source_identity: [1] }, { destination_identity: [1] }], []],
    [
      ['--workload', 'Deployment/web'],
      [
        { source_workload: [{ name: 'web', kind: 'Deployment' }] },
        { destination_workload: [{ name: 'web', kind: 'Deployment' }] },
      ],
      [],
    ],
    [['--tcp-flags', 'syn,ack'], [{ tcp_flags: [{ SYN: true, ACK: true }] }], []],
    [['-6', '--protocol', 'tcp'], [{ protocol: ['tcp'], ip_version: ['IPv6'] }], []],
    [
      ['--http-header', 'a: b', '--http-status', '5+'],
      [{ http_status_code: ['5+'], http_header: [{ key: 'a', value: 'b' }] }],
      [],
    ],
    [['--drop-reason-desc', 'POLICY_DENIED'], [{ drop_reason_desc: ['POLICY_DENIED'] }], []],
    [['--traffic-direction', 'ingress'], [{ traffic_direction: ['INGRESS'] }], []],
    [
      ['--interface', 'eth0', '--node-name', 'n*', '--encrypted'],
      [{ node_name: ['n*'], interface: [{ name: 'eth0' }], encrypted: [true] }],
      [],
    ],
    [
      ['--not', '--pod', 'a', '--port', '80'],
      [{ source_port: ['80'] }, { destination_port: ['80'] }],
      [{ source_pod: ['a'] }, { destination_pod: ['a'] }],
    ],
    [
      ['--allowlist', '{"uuid":["x"]}', '--snat-ip', '1.1.1.1'],
      [{ source_ip_xlated: ['1.1.1.1'] }, { uuid: ['x'] }],
      [],
    ],
  ])('%j', async (args, allowlist, denylist) => expect(await filters(...args)).toEqual([allowlist, denylist]));
});

describe('times', () => {
  it.each([
    ['5m', 300_000],
    ['1h43m', 6_180_000],
    ['1.5s', 1_500],
    ['10ms', 10],
  ])('%s is %i ms', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each([
    ['2026-01-02', '2026-01-02T00:00:00.000Z'],
    ['2026-01-02T03Z', '2026-01-02T03:00:00.000Z'],
    ['2026-01-02T03:04Z', '2026-01-02T03:04:00.000Z'],
    ['2026-01-02T03:04:05.5+01:00', '2026-01-02T02:04:05.500Z'],
    ['Fri, 02 Jan 2026 03:04:05 +0000', '2026-01-02T03:04:05.000Z'],
  ])('%s is %s', (text, iso) => {
    const { seconds = 0, nanos = 0 } = parseTime(text);
    expect(new Date((seconds ?? 0) * 1_000 + (nanos ?? 0) / 1e6).toISOString()).toBe(iso);
  });

  it.each(['', 'x', '5', '2026-13-45', '5m3'])('%j is refused', (text) =>
    expect(() => parseTime(text)).toThrow('neither'),
  );
});
