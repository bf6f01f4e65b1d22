// SPDX-License-Identifier: Apache-2.0
// What of the page needs no browser.
import { describe, expect, it } from '@jest/globals';
import { compileFilters, type Flow, messageFromJson } from '@weir/flow';
import type { observer } from '@weir/proto';
import { rowOf } from './flow-row.ts';
import { answerFlow, connectionFlow, podEnd } from './testing/page-world.ts';

const load = async <Module>(name: string): Promise<Module> =>
  (await import(new URL(`../../page/${name}`, import.meta.url).href)) as Module;

interface Lists {
  readonly whitelist: readonly Record<string, unknown>[];
  readonly blacklist: readonly Record<string, unknown>[];
}
interface Edge {
  readonly from: string;
  readonly to: string;
  readonly state: string;
  readonly connections: number;
  readonly calls: number;
  readonly refusals: number;
  readonly p50?: number;
  readonly isQuiet: boolean;
  readonly ports: readonly string[];
  readonly policies: readonly { readonly name: string; readonly isDenial: boolean }[];
}
interface ServiceMap {
  add(row: unknown, atMs: number): void;
  snapshot(nowMs: number): {
    readonly nodes: readonly { readonly key: string; readonly name: string }[];
    readonly edges: readonly Edge[];
  };
}
interface Place {
  readonly x: number;
  readonly y: number;
}

const { parseFilter, filterHelp } = await load<{
  parseFilter(text: string, options?: { verdict: string }): Lists;
  filterHelp: readonly { help: string }[];
}>('filter-text.js');
const { createServiceMap, windowMs } = await load<{
  createServiceMap(limits: { nodesMax: number; edgesMax: number }): ServiceMap;
  windowMs: number;
}>('service-map.js');
const { createFlowStore } = await load<{
  createFlowStore(limits: { rowsMax: number }): {
    add(row: object): void;
    select(test: (row: { n: number }) => boolean): void;
    readonly kept: number;
    readonly shown: readonly { readonly id: number; readonly n: number }[];
  };
}>('flow-store.js');
const { layOut } = await load<{
  layOut(graph: object, room: object): { places: Map<string, Place>; lanes: Map<string, Place[]>; width: number };
}>('map-layout.js');

describe('parseFilter()', () => {
  it.each([
    ['', [], []],
    ['from:default/xwing', [{ source_pod: ['default/xwing'] }], []],
    ['xwing', [{ source_pod: ['/xwing'] }, { destination_pod: ['/xwing'] }], []],
    ['ns:a,b', [{ source_pod: ['a/', 'b/'] }, { destination_pod: ['a/', 'b/'] }], []],
    ['ns:a pod:x', [{ source_pod: ['a/x'] }, { destination_pod: ['a/x'] }], []],
    [
      'port:80 proto:tcp',
      [
        { source_port: ['80'], protocol: ['tcp'] },
        { destination_port: ['80'], protocol: ['tcp'] },
      ],
      [],
    ],
    ['label:"app in (a, b)"', [{ source_label: ['app in (a, b)'] }, { destination_label: ['app in (a, b)'] }], []],
    ['-to-port:53 -verdict:forwarded', [], [{ destination_port: ['53'] }, { verdict: ['FORWARDED'] }]],
    ['identity:7', [{ source_identity: [7] }, { destination_identity: [7] }], []],
    [
      'workload:Deployment/w',
      [
        { source_workload: [{ kind: 'Deployment', name: 'w' }] },
        { destination_workload: [{ kind: 'Deployment', name: 'w' }] },
      ],
      [],
    ],
  ])('reads "%s"', (text, whitelist, blacklist) => {
    expect(parseFilter(text)).toEqual({ whitelist, blacklist });
  });

  it('adds the verdict that is chosen to each filter', () => {
    expect(parseFilter('', { verdict: 'denied' }).whitelist).toEqual([{ verdict: ['DROPPED', 'ERROR'] }]);
    expect(parseFilter('port:1', { verdict: 'denied' }).whitelist).toHaveLength(2);
  });

  it.each(['colour:red', '__proto__:x', 'constructor:x', '"x', 'identity:abc', 'pod'.concat(':', ' <b>')])(
    'refuses %s',
    (text) => expect(() => parseFilter(text)).toThrow(TypeError),
  );

  it('offers only what nodes take', () => {
    for (const { help } of filterHelp) {
      const { whitelist } = parseFilter(help);
      expect(() =>
        compileFilters(messageFromJson<observer.GetFlowsRequest>('observer.GetFlowsRequest', { whitelist })),
      ).not.toThrow();
    }
  });
});

describe('createServiceMap()', () => {
  const [client, server] = [podEnd('client-1', 'client'), podEnd('server-1', 'server')];
  const mapOf = (...flows: readonly Flow[]): ServiceMap => {
    const map = createServiceMap({ nodesMax: 10, edgesMax: 10 });
    for (const each of flows) map.add(rowOf(each), 1_000_000);
    return map;
  };

  it('draws a call and its answer as one edge, from the client', () => {
    const { edges } = mapOf(connectionFlow(client, server), answerFlow(server, client, { ms: 8 })).snapshot(1_000_000);
    expect(edges).toHaveLength(1);
    expect(edges[0]).toMatchObject({
      from: 'shop\nclient',
      to: 'shop\nserver',
      state: 'allowed',
      p50: 8,
      ports: ['80/TCP'],
    });
  });

  it('counts a connection once, although both of its nodes tell of it', () => {
    const flow = connectionFlow(client, server);
    const [edge] = mapOf(flow, flow, connectionFlow(client, server)).snapshot(1_000_000).edges;
    expect(edge?.connections).toBeCloseTo(2 / (windowMs / 1_000));
  });

  it('tells what is allowed, denied, and both, and by which policy', () => {
    const state = (...flows: readonly Flow[]) => mapOf(...flows).snapshot(1_000_000).edges[0];
    const denied = connectionFlow(client, server, { isDenied: true });
    expect(state(denied)).toMatchObject({ state: 'denied', policies: [{ name: 'landing', isDenial: true }] });
    expect(state(denied, connectionFlow(client, server))?.state).toBe('mixed');
  });

  it('forgets rates after a minute, and who talked after ten', () => {
    const map = mapOf(connectionFlow(client, server));
    expect(map.snapshot(1_000_000 + windowMs + 5_000).edges[0]).toMatchObject({ connections: 0, isQuiet: true });
    expect(map.snapshot(1_000_000 + 11 * 60_000)).toEqual({ nodes: [], edges: [] });
  });

  it('has a bounded number of services, and keeps those that talked last', () => {
    const map = mapOf(...Array.from({ length: 50 }, (_, at) => connectionFlow(podEnd(`p${at}`), podEnd(`q${at}`))));
    const { nodes, edges } = map.snapshot(1_000_000);
    expect(nodes.map(({ name }) => name)).toEqual([45, 46, 47, 48, 49].flatMap((at) => [`p${at}`, `q${at}`]));
    expect(edges).toHaveLength(5);
  });
});

describe('createFlowStore()', () => {
  it('keeps the newest, as many as fit, and those of them that are wanted', () => {
    const store = createFlowStore({ rowsMax: 100 });
    store.select(({ n }) => n % 2 === 0);
    for (let n = 0; n < 1_000; n++) store.add({ n });
    expect(store.kept).toBeGreaterThanOrEqual(100);
    expect(store.kept).toBeLessThanOrEqual(125);
    expect(store.shown.at(-1)).toMatchObject({ n: 998, id: 998 });
    expect(store.shown).toHaveLength(Math.floor(store.kept / 2));
    store.select(() => true);
    expect(store.shown).toHaveLength(store.kept);
  });
});

describe('layOut()', () => {
  const room = { width: 900, height: 300, nodeWidth: 100, nodeHeight: 40, gapX: 50, gapY: 10 };
  const graph = (...edges: readonly (readonly [string, string])[]) => ({
    nodes: [...new Set(edges.flat())].map((key) => ({ key })),
    edges: edges.map(([from, to]) => ({ key: `${from}>${to}`, from, to })),
  });

  it('puts who is called to the right of who calls, also in a circle and for who calls itself', () => {
    const { places } = layOut(graph(['a', 'b'], ['b', 'c'], ['c', 'a'], ['c', 'c']), room);
    const x = (key: string): number => places.get(key)!.x;
    expect(x('a')).toBeLessThan(x('b'));
    expect(x('b')).toBeLessThan(x('c'));
  });

  it('leads a line that passes a column between the services of it', () => {
    const { places, lanes } = layOut(graph(['a', 'b'], ['b', 'c'], ['a', 'c']), room);
    const [lane] = lanes.get('a>c')!;
    const b = places.get('b')!;
    expect(lane!.x).toBe(b.x);
    expect(Math.abs(lane!.y - (b.y + 20))).toBeGreaterThan(20);
  });

  it('gives nothing a place twice, and nothing outside', () => {
    const edges = Array.from({ length: 60 }, (_, at) => [`n${at % 17}`, `n${(at * 7 + 3) % 23}`] as const);
    const { places, width } = layOut(graph(...edges), room);
    const all = [...places.values()];
    expect(new Set(all.map(({ x, y }) => `${x} ${y}`)).size).toBe(all.length);
    expect(Math.min(...all.map(({ x }) => x))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...all.map(({ x }) => x))).toBeLessThanOrEqual(width);
  });
});
