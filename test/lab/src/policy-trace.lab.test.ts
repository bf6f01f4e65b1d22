// SPDX-License-Identifier: Apache-2.0
// What "weir policy trace" answers is what becomes of the flow, however its ends are written, and it names the policies that
// the drop names.
import { describe, expect, it } from '@jest/globals';
import { exchange, httpServer } from './testing/http.ts';
import { fromPods, onHttp, onPort, policy, toPods } from './testing/policy.ts';
import { families, useLab, type Family, type PlayedHost, type PlayedPod } from './testing/use-lab.ts';
import { weir } from './testing/weir.ts';
import { giveWorld } from './testing/world-address.ts';

const ports = { open: 7000, closed: 7001, http: 8080 };
const second = { ipv4: '172.31.0.3', ipv6: 'fd00:172:31::3' };

let parties: Readonly<Record<string, (PlayedPod | PlayedHost) & { readonly endpointId?: number; identity?: number }>>;
const test = useLab('trace', async ({ lab, pod, host }) => {
  await giveWorld(lab, [second.ipv4, second.ipv6]);
  const [server, client, stranger, node, world] = await Promise.all([
    pod('server', { labels: { app: 'server' }, ...httpServer(ports.http) }),
    pod('client', { labels: { app: 'client' } }),
    pod('stranger', { labels: { app: 'stranger' } }),
    host('@node1'),
    host('@world'),
  ]);
  parties = { server, client, stranger, node, world, second: { ...world, ...second } };
  const echoes = [server, client, world, parties['second']!].flatMap((each) =>
    [ports.open, ports.closed].map((port) => ({ each, port })),
  );
  for (const { each, port } of echoes) {
    // One listener of the world serves all of its addresses.
    if (each === parties['second']) continue;
    const addresses = each === world ? [world.ipv4, world.ipv6, second.ipv4, second.ipv6] : [each.ipv4, each.ipv6];
    await each.echo(port, addresses);
  }
});

const policies = [
  policy(
    'in',
    { app: 'server' },
    {
      ingress: [
        { ...fromPods({ app: 'client' }), ...onPort(ports.open, 'ANY') },
        { ...fromPods({ app: 'client' }), ...onHttp(ports.http, { method: 'GET', path: '/yes' }) },
        { fromCIDRSet: ['172.31.0.0/24', 'fd00:172:31::/64'].map((cidr) => ({ cidr })), ...onPort(ports.open) },
        { fromEntities: ['host'], ...onPort(ports.open) },
      ],
      ingressDeny: [{ ...fromPods({ app: 'stranger' }), ...onPort(ports.closed) }],
    },
  ),
  policy(
    'out',
    { app: 'client' },
    {
      egress: [
        toPods({ app: 'server' }),
        {
          toCIDRSet: [
            { cidr: '172.31.0.0/24', except: [`${second.ipv4}/32`] },
            { cidr: 'fd00:172:31::/64', except: [`${second.ipv6}/128`] },
          ],
          ...onPort(ports.open),
        },
      ],
    },
  ),
];

/** All the ways to write an end. */
function formsOf(name: string, family: Family): readonly string[] {
  const party = parties[name]!;
  const address = party[family];
  const prefix = `${address}/${family === 'ipv4' ? 32 : 128}`;
  switch (name) {
    case 'node':
      return [address, 'host'];
    case 'world':
    case 'second':
      return [address, prefix];
    default:
      return [
        ...[`default/${name}`, name, `endpoint:${party.endpointId}`, `identity:${party.identity}`, address],
        ...[`default/app=${name}`, `app=${name}`],
      ];
  }
}

interface Outcome {
  readonly verdict: string;
  /** Of a drop. */
  readonly policies?: readonly string[];
}

/** What really becomes of it: whichever is seen first, an answer or the drop. */
async function observe(from: string, to: string, at: { family: Family; port: number; path: string }): Promise<Outcome> {
  const [source, target] = [parties[from]!, { address: parties[to]![at.family], port: at.port }];
  const since = test.events.mark();
  const answered = source.connect(target, 20_000).then(async (connection): Promise<Outcome> => {
    if (at.path !== '') {
      const { status } = await exchange(connection, at.path);
      return { verdict: status === 200 ? 'allowed' : 'refused' };
    }
    await connection.send('hello');
    expect(await connection.receive(5)).toBe('hello');
    return { verdict: 'allowed' };
  });
  const pattern = { type: 'drop', from: source.name, ...target, protocol: 'TCP' } as const;
  const dropped = test.events
    .find(since, pattern)
    .then((event): Outcome => ({ verdict: 'dropped', policies: event.policies }));
  // Whoever loses has nothing to say any more.
  answered.catch(() => undefined);
  dropped.catch(() => undefined);
  return Promise.any([answered, dropped]);
}

describe('weir policy trace', () => {
  it.each<[from: string, to: string, port: number, path: string]>([
    ['client', 'server', ports.open, ''],
    ['client', 'server', ports.closed, ''],
    ['client', 'server', ports.http, '/yes'],
    ['client', 'server', ports.http, '/no'],
    ['stranger', 'server', ports.open, ''],
    ['stranger', 'server', ports.closed, ''],
    ['stranger', 'server', ports.http, '/yes'],
    ['stranger', 'client', ports.closed, ''],
    ['node', 'server', ports.open, ''],
    ['node', 'server', ports.closed, ''],
    ['world', 'server', ports.open, ''],
    ['world', 'server', ports.closed, ''],
    ['client', 'world', ports.open, ''],
    ['client', 'world', ports.closed, ''],
    ['client', 'second', ports.open, ''],
    ['server', 'client', ports.open, ''],
  ])('%s → %s, port %i %s: says what becomes of it', async (from, to, port, path) => {
    await test.apply(...policies);
    const agent = test.lab.agent();
    try {
      for (const family of families) {
        const { verdict, policies: named } = await observe(from, to, { family, port, path });
        const request = path === '' ? {} : { request: { method: 'GET', path } };
        for (const source of formsOf(from, family)) {
          for (const destination of formsOf(to, family)) {
            const flow = { source, destination, protocol: 6, port };
            const { verdict: said, egress, ingress } = await agent.tracePolicy({ ...flow, ...request });
            expect({ ...flow, verdict: said }).toEqual({ ...flow, verdict });
            const side = [egress, ingress].find((each) => ['deny', 'no-match'].includes(each?.verdict ?? ''));
            const keys = side?.verdict === 'deny' ? side.decidedBy?.map((each) => each.policy) : side?.defaultDenyBy;
            const blamed = keys?.map((key) => (key ?? '').replace(/^CiliumNetworkPolicy\//, ''));
            expect({ ...flow, policies: blamed }).toEqual({ ...flow, policies: named });
          }
        }
        const [source = '', destination = ''] = [formsOf(from, family)[0], formsOf(to, family).at(-1)];
        const { status, stdout } = await weir(test.lab, [
          ...['policy', 'trace', '--src', source, '--dst', destination, '--dport', `${port}/tcp`],
          ...(path === '' ? [] : ['--http', `GET ${path}`]),
        ]);
        expect([status, stdout.split(/\s/)[0]?.toLowerCase()]).toEqual([0, verdict]);
      }
    } finally {
      agent.close();
    }
  });
});
