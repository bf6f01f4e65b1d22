// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { flow } from '@weir/proto';
import { compileFilters, type Flow } from '../index.ts';

type Filter = flow.FlowFilter.$Properties;
type Result = 'match' | 'no' | 'error';

const { Verdict, DropReason } = flow;

function resultOf(each: Flow, filter: Filter): Result {
  try {
    return compileFilters({ whitelist: [filter] })(each) ? 'match' : 'no';
  } catch {
    return 'error';
  }
}

const pod: Flow = { source: { namespace: 'default', podName: 'xwing-abc' } };
const labelled: Flow = {
  source: {
    labels: [
      ...['k8s:app=x', 'k8s:tier=5', 'reserved:init', 'bare=1', 'k8s:empty=', 'cidr:10.1.0.0/16'],
      'k8s:app.kubernetes.io/name=nm',
    ],
  },
};
const named: Flow = { sourceNames: ['api.cilium.io', 'under_score.example.com'] };
const http = (values: flow.HTTP.$Properties): Flow => ({ l7: { http: values } });
const tcp = (values: flow.TCP.$Properties): Flow => ({ l4: { TCP: values } });
const ip = (values: flow.IP.$Properties): Flow => ({ IP: values });
const onEvent: Flow = { eventType: { type: 4, subType: 3 } };

type Row = readonly [flow: Flow, filter: (text: string) => Filter, texts: readonly string[], result: Result];
const texts: readonly Row[] = [
  [
    pod,
    (text) => ({ sourcePod: [text] }),
    ['xwing', 'default/', 'default/xw', '/xwing', '/', 'default/xwing-abc/zzz'],
    'match',
  ],
  [pod, (text) => ({ sourcePod: [text] }), ['XWING', 'other/xwing', 'kube', 'wing', 'defaul/'], 'no'],
  [pod, (text) => ({ sourcePod: [text] }), [''], 'error'],
  [{}, (text) => ({ sourcePod: [text] }), ['/'], 'no'],
  [
    labelled,
    (text) => ({ sourceLabel: [text] }),
    [
      ...['app=x', 'k8s:app=x', 'any:app=x', 'app', '!nope', 'nope!=1', 'app in (x, y)', 'app notin (y)'],
      ...['k8s:app in (x),tier>4', 'reserved:init', 'init', '', ' app = x ', 'app==x', 'empty=', 'bare=1'],
      ...['unspec:bare=1', 'cidr:10.0.0.0/8', 'app.kubernetes.io/name=nm', 'k8s:app.kubernetes.io/name=nm'],
    ],
    'match',
  ],
  [
    labelled,
    (text) => ({ sourceLabel: [text] }),
    [
      ...['k8s.app=x', '!app', 'app!=x', 'app notin (x)', 'tier<5', 'reserved:world', 'app=x,nope=1', 'app='],
      ...['k8s:bare=1', 'app in ()', 'App=x', 'app=X'],
    ],
    'no',
  ],
  [labelled, (text) => ({ sourceLabel: [text] }), ['tier>x', '$init', 'app=x y', 'app=x,'], 'error'],
  [
    named,
    (text) => ({ sourceFqdn: [text] }),
    ['api.cilium.io', '*.cilium.io', 'API.Cilium.IO.', '*', '*cilium*', 'api.*.io', 'under_score.*', '*.io'],
    'match',
  ],
  [named, (text) => ({ sourceFqdn: [text] }), ['cilium.io', '*.example.com', '*.cluster.local*'], 'no'],
  [named, (text) => ({ sourceFqdn: [text] }), ['api.cilium.io..', '', 'a/b'], 'error'],
  [{ sourceNames: ['api.cilium.io.'] }, (text) => ({ sourceFqdn: [text] }), ['api.cilium.io'], 'no'],
  [{ sourceNames: ['API.cilium.io'] }, (text) => ({ sourceFqdn: [text] }), ['api.cilium.io'], 'no'],
  [
    { nodeName: 'k8s1' },
    (text) => ({ nodeName: [text] }),
    ['k8s1', 'k8s*', 'default/k8s1', 'default/', '/k8s1', '/', '*/k8s1', 'K8S1', '*'],
    'match',
  ],
  [{ nodeName: 'k8s1' }, (text) => ({ nodeName: [text] }), ['test/k8s1'], 'no'],
  [{ nodeName: 'k8s1' }, (text) => ({ nodeName: [text] }), ['', 'a/b/c', 'a b'], 'error'],
  [{ nodeName: 'test/k8s1.x.y' }, (text) => ({ nodeName: [text] }), ['test/*.y'], 'match'],
  [http({ code: 404 }), (text) => ({ httpStatusCode: [text] }), ['404', '4+', '40+'], 'match'],
  [http({ code: 404 }), (text) => ({ httpStatusCode: [text] }), ['41+', '5+'], 'no'],
  [http({ code: 404 }), (text) => ({ httpStatusCode: [text] }), ['4', '4xx', '600', '0+', '400+', '404+', ''], 'error'],
  [http({ code: 0 }), (text) => ({ httpStatusCode: [text] }), ['4+'], 'no'],
  [http({ url: 'http://h:80/a/b?x=1' }), (text) => ({ httpPath: [text] }), ['/a', '^/a/b$'], 'match'],
  [http({ url: 'http://h:80/a/b?x=1' }), (text) => ({ httpUrl: [text] }), ['b\\?', 'x=1'], 'match'],
  [http({ url: 'http://h:80/a/b?x=1' }), (text) => ({ httpPath: [text] }), ['x=1', 'b\\?'], 'no'],
  [http({ url: 'http://h:80/a/b?x=1' }), (text) => ({ httpUrl: [text] }), ['^/a/b$'], 'no'],
  [http({ url: '/a%20b' }), (text) => ({ httpPath: [text] }), ['a b'], 'match'],
  [http({ url: 'a/b' }), (text) => ({ httpPath: [text] }), ['a'], 'no'],
  [http({ url: '/a' }), (text) => ({ httpPath: [text] }), ['('], 'error'],
  [http({ method: 'GET' }), (text) => ({ httpMethod: [text] }), ['GET', 'get'], 'match'],
  [http({}), (text) => ({ httpMethod: [text] }), ['GET'], 'no'],
  [tcp({ destinationPort: 80 }), (text) => ({ destinationPort: [text] }), ['80', '080'], 'match'],
  [tcp({ destinationPort: 80 }), (text) => ({ destinationPort: [text] }), ['81'], 'no'],
  [tcp({ destinationPort: 80 }), (text) => ({ destinationPort: [text] }), ['http', '65536', '-1', ''], 'error'],
  [
    ip({ source: '1.1.1.1' }),
    (text) => ({ sourceIp: [text] }),
    ['1.1.1.1', '1.1.1.0/24', '1.1.1.5/24', '0.0.0.0/0'],
    'match',
  ],
  [ip({ source: '1.1.1.1' }), (text) => ({ sourceIp: [text] }), ['::/0', '::ffff:1.1.1.1'], 'no'],
  [ip({ destination: 'fd00::1' }), (text) => ({ destinationIp: [text] }), ['fd00::1', 'fd00::/8'], 'match'],
  [ip({ destination: 'fd00::1' }), (text) => ({ destinationIp: [text] }), ['FD00::1', 'fd00:0::1'], 'no'],
  [ip({ source: '1.1.1.1' }), (text) => ({ sourceIp: [text] }), ['1.1.1', '1.1.1.1/33', '01.1.1.1'], 'error'],
  [{ source: { clusterName: 'c1' } }, (text) => ({ sourceClusterName: [text] }), ['c1'], 'match'],
  [{ source: { clusterName: 'c1' } }, (text) => ({ sourceClusterName: [text] }), ['c*'], 'no'],
  [tcp({}), (text) => ({ protocol: [text] }), ['tcp', 'TCP'], 'match'],
  [tcp({}), (text) => ({ protocol: [text] }), ['udp', 'icmp', 'http'], 'no'],
  [tcp({}), (text) => ({ protocol: [text] }), ['gre', ''], 'error'],
  [{ l4: { ICMPv6: {} } }, (text) => ({ protocol: [text] }), ['icmp', 'icmpv6'], 'match'],
  [{ l7: { dns: { query: 'a.example.' } } }, (text) => ({ dnsQuery: [text] }), ['example', '^a\\.'], 'match'],
];

const forms: readonly (readonly [string, Flow, Filter, Result])[] = [
  [
    'header with equal key and value',
    http({ headers: [{ key: 'Foo', value: 'Bar' }] }),
    { httpHeader: [{ key: 'Foo', value: 'Bar' }] },
    'match',
  ],
  [
    'header with another case',
    http({ headers: [{ key: 'Foo', value: 'Bar' }] }),
    { httpHeader: [{ key: 'foo', value: 'Bar' }] },
    'no',
  ],
  [
    'flags that include the wanted ones',
    tcp({ flags: { SYN: true, ACK: true } }),
    { tcpFlags: [{ SYN: true }] },
    'match',
  ],
  ['flags that lack one', tcp({ flags: { SYN: true } }), { tcpFlags: [{ SYN: true, ACK: true }] }, 'no'],
  [
    'one of two entries of flags',
    tcp({ flags: { SYN: true } }),
    { tcpFlags: [{ SYN: true, ACK: true }, { SYN: true }] },
    'match',
  ],
  ['no flags message', tcp({}), { tcpFlags: [{}] }, 'no'],
  ['reply unknown, forwarded', { verdict: Verdict.FORWARDED }, { reply: [true, false] }, 'no'],
  ['reply unknown, dropped', { verdict: Verdict.DROPPED }, { reply: [false] }, 'match'],
  ['reply unknown, dropped, reply wanted', { verdict: Verdict.DROPPED }, { reply: [true] }, 'no'],
  ['reply known', { isReply: { value: true } }, { reply: [true] }, 'match'],
  [
    'a drop reason of what was forwarded',
    { verdict: Verdict.FORWARDED, dropReasonDesc: DropReason.POLICY_DENIED },
    { dropReasonDesc: [DropReason.POLICY_DENIED] },
    'no',
  ],
  ['the type of an event', onEvent, { eventType: [{ type: 4 }] }, 'match'],
  ['any type', onEvent, { eventType: [{}] }, 'match'],
  ['another sub-type that does not count', onEvent, { eventType: [{ type: 4, subType: 5 }] }, 'match'],
  ['a sub-type of any type', onEvent, { eventType: [{ matchSubType: true, subType: 3 }] }, 'match'],
  ['another sub-type', onEvent, { eventType: [{ type: 4, matchSubType: true, subType: 5 }] }, 'no'],
  ['a type where there is none', {}, { eventType: [{}] }, 'no'],
  [
    'a workload by name',
    { source: { workloads: [{ kind: 'Deployment', name: 'foo' }] } },
    { sourceWorkload: [{ name: 'foo' }] },
    'match',
  ],
  [
    'a workload by kind',
    { source: { workloads: [{ kind: 'Deployment', name: 'foo' }] } },
    { sourceWorkload: [{ kind: 'Deployment' }] },
    'match',
  ],
  ['any workload', { source: { workloads: [{ kind: 'Deployment', name: 'foo' }] } }, { sourceWorkload: [{}] }, 'match'],
  [
    'a prefix of a workload',
    { source: { workloads: [{ kind: 'Deployment', name: 'foo' }] } },
    { sourceWorkload: [{ name: 'fo' }] },
    'no',
  ],
  [
    'one of each field',
    { source: { namespace: 'default', podName: 'xwing-abc', labels: ['k8s:app=x'] } },
    { sourcePod: ['nope', 'xwing'], sourceLabel: ['app=y', 'app=x'] },
    'match',
  ],
  ['an identity of nobody', {}, { sourceIdentity: [0] }, 'no'],
  ['an identity', { source: { identity: 0 } }, { sourceIdentity: [0] }, 'match'],
  [
    'http with a type that is not l7',
    http({ method: 'GET' }),
    { httpMethod: ['GET'], eventType: [{ type: 4 }] },
    'error',
  ],
  ['a device', { interface: { index: 3, name: 'eth0' } }, { interface: [{ name: 'eth0' }] }, 'match'],
  ['any device of none', {}, { interface: [{}] }, 'no'],
  ['a trace that a flow is not part of', {}, { traceId: [''] }, 'match'],
  ['a language that we do not have', {}, { experimental: { celExpression: ['true'] } }, 'error'],
  ['an empty filter', {}, {}, 'match'],
];

describe('compileFilters', () => {
  it.each(
    texts.flatMap(([each, filter, list, result]) => list.map((text) => [text, result, filter(text), each] as const)),
  )('%j: %s (%j)', (_text, result, filter, each) => expect(resultOf(each, filter)).toBe(result));

  it.each(forms)('%s', (_title, each, filter, result) => expect(resultOf(each, filter)).toBe(result));

  it('keeps what any filter of the whitelist and none of the blacklist matches', () => {
    const isWanted = compileFilters({
      whitelist: [{ sourcePod: ['a'] }, { sourcePod: ['b'] }],
      blacklist: [{ verdict: [Verdict.DROPPED] }],
    });
    const from = (podName: string, verdict: flow.Verdict): boolean =>
      isWanted({ source: { namespace: 'default', podName }, verdict });
    expect([from('a', 1), from('b', 1), from('c', 1), from('a', 2)]).toEqual([true, true, false, false]);
  });
});
