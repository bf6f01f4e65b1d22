// SPDX-License-Identifier: Apache-2.0
// Against the real kube-apiserver and etcd.
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '@weir/clock';
import {
  type ControlPlane,
  controlPlaneSkipReason,
  createControlPlane,
  createCutter,
  type Cutter,
  until,
} from '@weir/control-plane';
import { createLogger } from '@weir/telemetry';
import {
  createKubernetesApi,
  hasStatus,
  type KubernetesApi,
  openKubernetesAccess,
  type ResourceWatch,
  startResourceWatch,
  type WatchedResource,
} from './index.ts';

if (controlPlaneSkipReason !== undefined) {
  process.stderr.write(`Skipped: the tests of Kubernetes: ${controlPlaneSkipReason}\n`);
}

const logger = createLogger({ service: 'test', level: 'silent' });
const maps = '/api/v1/namespaces/default/configmaps';
const readMap = (object: unknown): string => (object as { data?: { value?: string } }).data?.value ?? '';
const mapsOf = (group: string): WatchedResource<string> => ({
  ...{ name: 'configmaps', path: maps, labelSelector: `group=${group}`, read: readMap },
});

(controlPlaneSkipReason === undefined ? describe : describe.skip)('startResourceWatch', () => {
  let plane: ControlPlane;
  let api: KubernetesApi;
  let cutter: Cutter;
  let viaCutter: KubernetesApi;
  const watches: ResourceWatch<unknown>[] = [];

  beforeAll(async () => {
    plane = await createControlPlane();
    cutter = await createCutter(plane.port);
    const open = async (kubeconfig: string): Promise<KubernetesApi> =>
      createKubernetesApi(await openKubernetesAccess({ kubeconfig, server: undefined }));
    api = await open(plane.kubeconfig);
    viaCutter = await open(plane.kubeconfigFor(cutter.port));
  }, 120_000);
  afterEach(async () => {
    await Promise.all(watches.splice(0).map((watch) => watch.stop()));
  });
  afterAll(async () => {
    await cutter?.close();
    await plane?.destroy();
  });

  const put = (group: string, name: string, value: string): Promise<unknown> =>
    api.request({
      method: 'PATCH',
      path: `${maps}/${name}`,
      query: { fieldManager: 'test', force: 'true' },
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { group } }, data: { value } },
    });
  const remove = (name: string): Promise<unknown> => api.request({ method: 'DELETE', path: `${maps}/${name}` });
  const start = <Item>(resource: WatchedResource<Item>, onChange?: (keys: readonly string[]) => void) => {
    const retryMs = { initialMs: 20, maxMs: 200, absentMs: 100 };
    const all = { api: viaCutter, resource, clock: systemClock, logger, retryMs, ...(onChange && { onChange }) };
    const watch = startResourceWatch(all);
    watches.push(watch);
    return watch;
  };
  const valuesOf = (watch: ResourceWatch<string>): Record<string, string> => Object.fromEntries(watch.items);

  it('lists in pages what there is, then tells of what is made, changed and deleted', async () => {
    await Promise.all(Array.from({ length: 40 }, (_, index) => put('pages', `page-${index}`, `${index}`)));
    const told: (readonly string[])[] = [];
    const watch = start(mapsOf('pages'), (keys) => told.push(keys));
    await watch.whenSynced();
    expect({ size: watch.items.size, told: told.length, first: told[0]?.length }).toEqual({
      size: 40,
      told: 1,
      first: 40,
    });
    await put('pages', 'page-0', 'changed');
    await put('pages', 'page-new', 'new');
    await remove('page-1');
    await until(
      'all three are known',
      () => watch.items.get('default/page-1') === undefined && watch.items.size === 40,
    );
    expect([watch.items.get('default/page-0'), watch.items.get('default/page-new')]).toEqual(['changed', 'new']);
    expect(told.slice(1)).toEqual([['default/page-0'], ['default/page-new'], ['default/page-1']]);
    expect(watch.state.kind).toBe('watching');
  });

  it('does not tell of what changes nothing of interest, nor of objects of none', async () => {
    const told: (readonly string[])[] = [];
    const read = (object: unknown): string | undefined => (readMap(object).startsWith('x') ? 'x' : undefined);
    await put('quiet', 'quiet-a', 'x1');
    await put('quiet', 'quiet-b', 'y1');
    const watch = start({ ...mapsOf('quiet'), read }, (keys) => told.push(keys));
    await watch.whenSynced();
    await put('quiet', 'quiet-a', 'x2');
    await put('quiet', 'quiet-b', 'y2');
    await put('quiet', 'quiet-b', 'x1');
    await until('b is of interest', () => watch.items.size === 2);
    await put('quiet', 'quiet-a', 'y');
    await until('a is of none any more', () => watch.items.size === 1);
    expect(told).toEqual([['default/quiet-a'], ['default/quiet-b'], ['default/quiet-a']]);
  });

  it('misses nothing when the connection is cut again and again', async () => {
    const watch = start(mapsOf('cut'));
    await watch.whenSynced();
    for (let round = 0; round < 8; round += 1) {
      await put('cut', `cut-${round % 3}`, `${round}`);
      cutter.cut();
      await put('cut', 'cut-last', `${round}`);
    }
    await remove('cut-0');
    const wanted = { 'default/cut-1': '7', 'default/cut-2': '5', 'default/cut-last': '7' };
    await until(
      'everything is known',
      () => JSON.stringify(Object.entries(valuesOf(watch)).sort()) === JSON.stringify(Object.entries(wanted)),
    );
  });

  it('lists again when the server has forgotten what it knows, and tells only of what is different', async () => {
    await put('gone', 'gone-same', 'same');
    await put('gone', 'gone-deleted', 'deleted');
    const told: string[] = [];
    const watch = start(mapsOf('gone'), (keys) => told.push(...keys));
    await watch.whenSynced();
    await until('the watch is there', () => watch.state.kind === 'watching');
    told.length = 0;
    cutter.sever();
    await put('gone', 'gone-new', 'new');
    await remove('gone-deleted');
    await plane.compact();
    await plane.stopApi();
    await until('it is noticed', () => watch.state.kind === 'retrying');
    // What is known stays known.
    expect(valuesOf(watch)).toEqual({ 'default/gone-deleted': 'deleted', 'default/gone-same': 'same' });
    await plane.startApi();
    cutter.mend();
    await until('it is known', () => watch.items.has('default/gone-new'));
    expect(valuesOf(watch)).toEqual({ 'default/gone-new': 'new', 'default/gone-same': 'same' });
    expect(told.sort()).toEqual(['default/gone-deleted', 'default/gone-new']);
  });

  it('says whether a kind is absent, and follows it once it is there', async () => {
    const plural = 'wares';
    const group = 'test.weir.dev';
    const path = `/apis/${group}/v1/${plural}`;
    const optional = start({ name: plural, path, read: () => 'ware', isOptional: true });
    await optional.whenSynced();
    expect({ state: optional.state.kind, size: optional.items.size }).toEqual({ state: 'absent', size: 0 });
    const required = start({ name: plural, path, read: () => 'ware' });
    await until('the kind is wanted', () => required.state.kind === 'retrying');
    expect(required.isSynced).toBe(false);
    const schema = { openAPIV3Schema: { type: 'object' } };
    await api.request({
      method: 'POST',
      path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      body: {
        ...{ apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition' },
        metadata: { name: `${plural}.${group}` },
        spec: {
          ...{ group, scope: 'Cluster', names: { plural, kind: 'Ware' } },
          versions: [{ name: 'v1', served: true, storage: true, schema }],
        },
      },
    });
    await required.whenSynced();
    await until('the kind is there', () => optional.state.kind === 'watching');
  });

  it('says what was refused and why', async () => {
    const missing = await api.request({ path: `${maps}/missing` }).catch((error: unknown) => error);
    expect(missing).toMatchObject({ code: 'NOT_FOUND', details: { status: 404, reason: 'NotFound' } });
    expect(String(missing)).toContain(`Kubernetes refuses GET ${maps}/missing: configmaps "missing" not found`);
    expect(hasStatus(missing, 404)).toBe(true);
    await put('errors', 'twice', '1');
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'twice' } };
    await expect(api.request({ method: 'POST', path: maps, body })).rejects.toMatchObject({ code: 'ALREADY_EXISTS' });
    const stale = { ...body, metadata: { name: 'twice', resourceVersion: '1' } };
    const conflict = api.request({ method: 'PUT', path: `${maps}/twice`, body: stale });
    await expect(conflict).rejects.toMatchObject({ code: 'FAILED_PRECONDITION', details: { reason: 'Conflict' } });
    cutter.sever();
    await expect(viaCutter.request({ path: maps })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    cutter.mend();
  });
});
