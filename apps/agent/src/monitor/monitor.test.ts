// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  direction,
  dropReason,
  type Event,
  event as eventCodec,
  eventFlag,
  eventType,
  toBytes,
  tracePoint,
} from '@weir/datapath-layout';
import { createMemoryDatapath, type MemoryDatapath } from '@weir/datapath-testing';
import { parseIpAddress } from '@weir/model';
import type { EntryOrigin, RuleSet } from '@weir/policy';
import { weir } from '@weir/proto';
import { createNumbering } from '../policy/numbering.ts';
import type { PolicyTranslation } from '../policy/policy-translation.ts';
import { createMonitor, type Monitor, type MonitorFilter } from './monitor.ts';
import { createPeers } from './peers.ts';

type MonitorEvent = weir.agent.v1.IMonitorEvent;

const base: Event = {
  ...{
    timeNs: 1_000_000_000n,
    type: eventType.trace,
    reason: 0,
    direction: direction.ingress,
    point: tracePoint.toEndpoint,
  },
  ...{ protocol: 6, tcpFlags: 0x12, flags: 0, icmpType: 0, length: 60, ifindex: 7 },
  ...{ source: parseIpAddress('10.0.0.2'), destination: parseIpAddress('10.9.9.9'), sourcePort: 1234 },
  ...{ destinationPort: 80, sourceIdentity: 300, destinationIdentity: 2, sourceEndpoint: 1, destinationEndpoint: 0 },
  ...{ egressCookie: 0, ingressCookie: 0, socketCookie: 0n, cgroup: 0n, icmpCode: 0, match: 0 },
  ...{ sourceMac: new Uint8Array(6), destinationMac: new Uint8Array(6) },
};

let datapath: MemoryDatapath;
let monitor: Monitor;
let cookies: PolicyTranslation['cookies'];
let ruleSets: PolicyTranslation['ruleSets'];
let abort: AbortController;
beforeEach(() => {
  datapath = createMemoryDatapath();
  cookies = createNumbering();
  ruleSets = createNumbering();
  abort = new AbortController();
  const record = { id: 1, namespace: 'default', pod: 'web' };
  const peers = createPeers({
    endpointOf: (id, address) => (id === 1 || (id === 0 && address === '10.0.0.2') ? record : undefined),
    remotePodOf: (address) => (address === '10.0.9.2' ? { namespace: 'default', pod: 'far' } : undefined),
    labelsOf: (id) => (id === 300 ? ['k8s:app=web'] : []),
  });
  const engine = {
    policiesInDefaultDeny: (identity: number) => [
      identity === 1 ? 'CiliumClusterwideNetworkPolicy//nodes' : 'CiliumNetworkPolicy/default/web',
    ],
  };
  monitor = createMonitor({ datapath, peers, engine, cookies, ruleSets, node: 'n1' });
});
afterEach(() => {
  abort.abort();
  monitor.close();
});

const emit = (...events: Partial<Event>[]): void => {
  const bytes = new Uint8Array(events.length * eventCodec.size);
  events.forEach((each, at) => bytes.set(toBytes(eventCodec, { ...base, ...each }), at * eventCodec.size));
  const offsets = Uint32Array.from(events, (_, at) => at * eventCodec.size);
  datapath.emit({ view: new DataView(bytes.buffer), offsets, count: events.length, lost: 0 });
};

/** Starts to watch; `next` gives what comes. */
function watch(filter: Partial<MonitorFilter> = {}) {
  const stream = monitor.watch({ types: new Set(), endpoints: new Set(), ...filter }, abort.signal);
  const iterator = stream[Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<MonitorEvent>> | undefined = iterator.next();
  return {
    async next(): Promise<MonitorEvent | undefined> {
      const { value } = await (pending ?? iterator.next());
      pending = undefined;
      return value;
    },
  };
}

describe('events of the kernel', () => {
  it('name both ends, the packet and the time', async () => {
    const watcher = watch();
    emit({ flags: eventFlag.reply });
    expect(await watcher.next()).toMatchObject({
      ...{ type: 'trace', verdict: 'forwarded', reason: '', reasonCode: 0, isReply: true, tracePoint: 'to-endpoint' },
      ...{ protocol: 'TCP', tcpFlags: 'SYN, ACK', length: 60, node: 'n1' },
      source: {
        ...{ address: '10.0.0.2', port: 1234, identity: 300, endpointId: 1, namespace: 'default', pod: 'web' },
        labels: ['k8s:app=web'],
      },
      destination: { address: '10.9.9.9', port: 80, identity: 2, endpointId: 0, pod: '', labels: [] },
    });
  });

  it('name the pod of another node, without an endpoint of this one', async () => {
    const watcher = watch();
    emit({ source: parseIpAddress('10.0.9.2'), sourceEndpoint: 0 });
    expect((await watcher.next())?.source).toMatchObject({ namespace: 'default', pod: 'far', endpointId: 0 });
  });

  it('turn the clock of the kernel into time since 1970', async () => {
    const watcher = watch();
    emit({ timeNs: process.hrtime.bigint() });
    const { timeNs } = (await watcher.next()) ?? {};
    expect(Math.abs((timeNs ?? 0) / 1e6 - Date.now())).toBeLessThan(1_000);
  });

  it('that pass only because of audit mode are audited, and say what and whose policy would have been', async () => {
    const watcher = watch();
    const [audited, policyVerdict] = [eventFlag.audited, eventType.policyVerdict];
    const denied = { reason: dropReason.policyDenied, sourceEndpoint: 0, destinationEndpoint: 1 };
    emit({ type: policyVerdict, flags: audited, ...denied }, { flags: audited | eventFlag.reply, ...denied });
    for (const type of ['policy-verdict', 'trace']) {
      expect(await watcher.next()).toMatchObject({
        ...{ type, verdict: 'audited', direction: 'ingress', reason: 'Policy denied' },
        ...{ reasonCode: dropReason.policyDenied, policies: ['default/web'] },
      });
    }
  });

  it('name the policies that put the endpoint into default deny when nothing allowed the flow', async () => {
    const watcher = watch();
    emit({ type: eventType.drop, reason: dropReason.policyDenied, sourceEndpoint: 0, destinationEndpoint: 1 });
    expect(await watcher.next()).toMatchObject({
      ...{ type: 'drop', verdict: 'dropped', direction: 'ingress', reasonCode: dropReason.policyDenied },
      policies: ['default/web'],
    });
  });

  it.each([
    { reason: dropReason.policyDeny, way: direction.ingress, names: ['default/in'] },
    { reason: dropReason.policyDeny, way: direction.egress, names: ['default/out'] },
    { reason: dropReason.noConfiguration, way: direction.ingress, names: ['default/in'] },
    { reason: dropReason.proxyUnsupportedProtocol, way: direction.egress, names: ['default/out'] },
    { reason: dropReason.proxyNeedsNewConnection, way: direction.ingress, names: ['default/in'] },
    { reason: dropReason.proxyNotListening, way: direction.egress, names: ['default/out', 'default/in'] },
    { reason: dropReason.socketAssignFailed, way: direction.ingress, names: ['default/out', 'default/in'] },
    { reason: dropReason.invalidSourceIp, way: direction.ingress, names: [] },
    { reason: dropReason.ctInsertFailed, way: direction.egress, names: [] },
  ])(
    'name the policies that a drop is owed to, and no others: reason $reason, direction $way',
    async ({ reason, way, names }) => {
      const watcher = watch();
      const [egressCookie, ingressCookie] = ['out', 'in'].map((name) =>
        cookies.numberOf(name, [{ policy: `CiliumNetworkPolicy/default/${name}` } as EntryOrigin]),
      );
      emit({
        type: eventType.drop,
        reason,
        direction: way,
        egressCookie: egressCookie!,
        ingressCookie: ingressCookie!,
      });
      expect(await watcher.next()).toMatchObject({ verdict: 'dropped', policies: names });
    },
  );

  it('of the host name the policies for nodes', async () => {
    const watcher = watch();
    for (const isReply of [false, true]) {
      const ends = isReply
        ? { sourceIdentity: 1, destinationIdentity: 2 }
        : { sourceIdentity: 2, destinationIdentity: 1 };
      emit({
        ...{ type: eventType.drop, reason: dropReason.policyDenied, direction: direction.ingress },
        ...{ ...ends, sourceEndpoint: 0, flags: isReply ? eventFlag.reply : 0 },
      });
      expect(await watcher.next()).toMatchObject({ verdict: 'dropped', policies: ['nodes'] });
    }
  });

  it('say of a redirected flow that it is', async () => {
    const watcher = watch();
    emit({ type: eventType.policyVerdict, flags: eventFlag.redirected });
    expect(await watcher.next()).toMatchObject({ type: 'policy-verdict', verdict: 'redirected' });
  });

  it('with a reason or a type that is not known have its number', async () => {
    const watcher = watch();
    emit({ type: eventType.drop, reason: 250 }, { type: 99 });
    expect(await watcher.next()).toMatchObject({ reason: 'reason 250' });
    expect(await watcher.next()).toMatchObject({ type: 'unknown' });
  });
});

describe('filters', () => {
  it('let through what has one of the types, and one of the endpoints at an end', async () => {
    const watcher = watch({ types: new Set(['drop']), endpoints: new Set([1]) });
    const other = { source: parseIpAddress('10.7.7.7'), sourceEndpoint: 0 };
    emit({}, { type: eventType.drop, ...other }, { type: eventType.drop, reason: 5 });
    expect(await watcher.next()).toMatchObject({ type: 'drop', reasonCode: 5 });
  });
});

describe('what is lost', () => {
  it('in the kernel is told to every watcher, but not what was lost before it came', async () => {
    datapath.setEventLoss({ rateLimited: 100, ringFull: 0 });
    const watchers = [watch(), watch()];
    datapath.setEventLoss({ rateLimited: 105, ringFull: 2 });
    emit({});
    for (const watcher of watchers) {
      expect(await watcher.next()).toMatchObject({ type: 'trace' });
      expect(await watcher.next()).toMatchObject({ type: 'lost', lost: 7, lostSource: 'kernel-ring' });
    }
  });

  it('by a slow watcher are its oldest events; it is told how many once it reads, and nobody else is', async () => {
    const [slow, fast] = [watch(), watch()];
    for (let count = 0; count < 5_000; count++) {
      emit({ sourcePort: count });
      await fast.next();
    }
    expect(await slow.next()).toMatchObject({ source: { port: 0 } });
    const seen: MonitorEvent[] = [];
    for (let count = 0; count < 4_096; count++) seen.push((await slow.next()) ?? {});
    expect(seen.at(-1)).toMatchObject({ source: { port: 4_999 } });
    emit({ sourcePort: 1 });
    expect(await slow.next()).toMatchObject({ type: 'lost', lost: 903, lostSource: 'agent-queue' });
    expect(await slow.next()).toMatchObject({ source: { port: 1 } });
    expect(await fast.next()).toMatchObject({ source: { port: 1 } });
  });
});

describe('calls that the proxy has judged', () => {
  const call: weir.proxy.v1.IHttpCall = {
    ...{ timeNs: 5, latencyNs: 2_000_000, verdict: weir.proxy.v1.CallVerdict.CALL_VERDICT_DENIED, reason: 'no rule' },
    ...{ sourceAddress: parseIpAddress('10.0.0.2'), sourcePort: 1, sourceIdentity: 300 },
    ...{ destinationAddress: parseIpAddress('10.9.9.9'), destinationPort: 80, destinationIdentity: 2 },
    ...{ method: 'PUT', path: '/x', host: 'web', protocol: 'HTTP/1.1', status: 403 },
  };

  it('name the policy behind the rule set that refused', async () => {
    const watcher = watch();
    const origins = [{ policy: 'CiliumNetworkPolicy/default/l7' } as EntryOrigin];
    const ingressRuleSet = ruleSets.numberOf('r', { ruleSet: { key: 'r', http: [] } as RuleSet, origins });
    monitor.accessLog({ calls: [{ ...call, ingressRuleSet, deniedByRuleSet: ingressRuleSet }], lost: 3 });
    expect(await watcher.next()).toMatchObject({
      ...{ type: 'l7', verdict: 'denied', reason: 'no rule', direction: 'ingress', policies: ['default/l7'] },
      ...{ source: { pod: 'web' }, http: { method: 'PUT', path: '/x', status: 403, latencyNs: 2_000_000 } },
    });
    expect(await watcher.next()).toMatchObject({ type: 'lost', lost: 3, lostSource: 'proxy' });
  });

  it('say which headers were not as rules want them, and what was done', async () => {
    const watcher = watch();
    const headerDifferences = [
      { name: 'x-a', wanted: 'a', found: 'b"', present: true, mismatch: 4 },
      { name: 'x-b', wanted: 'c', found: '', present: false, mismatch: 1 },
    ];
    monitor.accessLog({ calls: [{ ...call, headerDifferences }], lost: 0 });
    expect((await watcher.next())?.http?.headerDifferences).toEqual([
      'REPLACE x-a: "a" instead of "b\\""',
      'LOG x-b: "c" where there was none',
    ]);
  });
});

describe('watching', () => {
  it('ends with its call, and with the monitor', async () => {
    const watcher = watch();
    abort.abort();
    expect(await watcher.next()).toBeUndefined();
    abort = new AbortController();
    const staying = watch();
    monitor.close();
    expect(await staying.next()).toBeUndefined();
  });
});
