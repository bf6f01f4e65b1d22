// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { apiError, hasStatus } from './api-error.ts';
import type { KubernetesApi } from './kubernetes-api.ts';

/** An object as the server gave it, and what tells it from others. */
export interface ListedObject {
  /** `namespace/name`, or `name`. */
  readonly key: string;
  readonly resourceVersion: string;
  readonly object: unknown;
}

/** Which objects. */
export interface Selection {
  readonly api: KubernetesApi;
  readonly path: string;
  readonly selector: { readonly fieldSelector?: string | undefined; readonly labelSelector?: string | undefined };
  readonly signal?: AbortSignal;
}

/** What a watch tells. */
export type ResourceEvent =
  /** The server has taken the request. */
  | { readonly kind: 'open' }
  | { readonly kind: 'put' | 'delete'; readonly object: ListedObject }
  /** Nothing has happened up to its version. */
  | { readonly kind: 'bookmark'; readonly object: Pick<ListedObject, 'resourceVersion'> };

interface Metadata {
  readonly name?: unknown;
  readonly namespace?: unknown;
  readonly resourceVersion?: unknown;
  readonly continue?: unknown;
}

const pageObjects = 500;
const listDeadlineMs = 60_000;
// The server ends a watch after this long, at another time for every one, and we open it again.
const watchSecondsMin = 300;
// It may be late; beyond that nobody is there any more.
const graceMs = 30_000;

const metadataOf = (object: unknown): Metadata => (object as { readonly metadata?: Metadata } | null)?.metadata ?? {};

function listed(object: unknown): ListedObject {
  const { name, namespace, resourceVersion } = metadataOf(object);
  if (typeof name !== 'string' || typeof resourceVersion !== 'string') {
    throw new WeirError('INTERNAL', `Kubernetes sends an object without a name or version: ${excerpt(object)}`);
  }
  const key = typeof namespace === 'string' && namespace !== '' ? `${namespace}/${name}` : name;
  return { key, resourceVersion, object };
}

const excerpt = (value: unknown): string => (JSON.stringify(value) ?? 'nothing').slice(0, 200);

/** A list in pages. */
async function listPages(selection: Selection, resourceVersion: string | undefined) {
  const { api, path, selector, signal } = selection;
  const objects: ListedObject[] = [];
  let token: string | undefined;
  for (;;) {
    const answer = await api.request<{ readonly items?: unknown; readonly metadata?: Metadata }>({
      path,
      query: {
        ...{ ...selector, limit: String(pageObjects), continue: token },
        resourceVersion: token === undefined ? resourceVersion : undefined,
      },
      deadlineMs: listDeadlineMs,
      ...(signal && { signal }),
    });
    const { resourceVersion: version, continue: next } = metadataOf(answer);
    if (!Array.isArray(answer.items) || typeof version !== 'string') {
      throw new WeirError('UNAVAILABLE', `${path}: ${excerpt(answer)} is not a list of Kubernetes`);
    }
    objects.push(...answer.items.map(listed));
    if (typeof next !== 'string' || next === '') return { objects, resourceVersion: version };
    token = next;
  }
}

/**
 * Lists the objects; out of the server's cache unless it must be `isFresh`, since a thousand agents that start at once would
 * be too much for its store.
 */
export async function listResource(
  selection: Selection & { readonly isFresh: boolean },
): Promise<{ readonly objects: readonly ListedObject[]; readonly resourceVersion: string }> {
  try {
    return await listPages(selection, selection.isFresh ? undefined : '0');
  } catch (error) {
    // A list that took so long that its later pages are gone is asked for once more.
    if (!hasStatus(error, 410)) throw error;
    return listPages(selection, undefined);
  }
}

function readEvent(line: string, path: string): ResourceEvent {
  let event: { readonly type?: unknown; readonly object?: unknown };
  try {
    event = JSON.parse(line);
  } catch (cause) {
    throw new WeirError('UNAVAILABLE', `${path}: the watch was cut in the middle of an object`, { cause });
  }
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
      return { kind: 'put', object: listed(event.object) };
    case 'DELETED':
      return { kind: 'delete', object: listed(event.object) };
    case 'BOOKMARK':
      return { kind: 'bookmark', object: { resourceVersion: String(metadataOf(event.object).resourceVersion) } };
    case 'ERROR': {
      const status = Number((event.object as { readonly code?: unknown } | undefined)?.code ?? 500);
      throw apiError(`the watch of ${path}`, { status, body: event.object });
    }
    default:
      throw new WeirError('UNAVAILABLE', `${path}: ${excerpt(event)} is not an event of Kubernetes`);
  }
}

/** Follows the objects from a version on, until the server ends it. */
export async function* watchResource(
  selection: Selection & { readonly resourceVersion: string },
): AsyncIterable<ResourceEvent> {
  const { api, path, selector, signal, resourceVersion } = selection;
  const seconds = Math.round(watchSecondsMin * (1 + Math.random()));
  const late = AbortSignal.timeout(seconds * 1000 + graceMs);
  const lines = await api.open({
    path,
    query: {
      ...{ ...selector, watch: 'true', resourceVersion, allowWatchBookmarks: 'true' },
      timeoutSeconds: String(seconds),
    },
    signal: signal === undefined ? late : AbortSignal.any([signal, late]),
  });
  yield { kind: 'open' };
  for await (const line of lines) yield readEvent(line, path);
}
