// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { type CustomResourceDefinition, schemaVersionLabel } from '@weir/custom-resources';
import { WeirError } from '@weir/errors';
import { hasStatus, type KubernetesApi } from '@weir/kubernetes';
import type { Logger } from '@weir/telemetry';

/** A definition as Kubernetes has it. */
interface StoredDefinition {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>>; readonly [field: string]: unknown };
  readonly spec: { readonly conversion?: unknown; readonly [field: string]: unknown };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

export interface RegisterOptions {
  readonly api: KubernetesApi;
  readonly definitions: readonly CustomResourceDefinition[];
  readonly logger: Logger;
  readonly signal?: AbortSignal;
}

const collection = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const conflictsMax = 5;
const establishDeadlineMs = 60_000;
const pollMs = 100;

/**
 * Brings the definitions in Kubernetes in line, and waits until objects can be made. One that a newer version has written, as
 * its label says, stays as it is. Somebody who changes the same one at the same time is read again, not overwritten.
 */
export async function registerDefinitions(options: RegisterOptions): Promise<void> {
  for (const definition of options.definitions) {
    const did = await registerOne(options, definition);
    if (did !== 'kept')
      options.logger.info({ path: definition.metadata.name, state: did }, 'Definition of a kind of object');
  }
  for (const { metadata } of options.definitions) await whenEstablished(options, metadata.name);
}

type Outcome = 'kept' | 'made' | 'brought up to date';

async function registerOne({ api, signal }: RegisterOptions, definition: CustomResourceDefinition): Promise<Outcome> {
  const common = signal === undefined ? {} : { signal };
  const path = `${collection}/${definition.metadata.name}`;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const stored = await read(api, path, signal);
      if (stored === undefined) {
        await api.request({ ...common, method: 'POST', path: collection, body: definition });
        return 'made';
      }
      if (isNewer(stored, definition) || isInLine(stored, definition)) return 'kept';
      await api.request({ ...common, method: 'PUT', path, body: merged(stored, definition) });
      return 'brought up to date';
    } catch (error) {
      if (!hasStatus(error, 409) || attempt >= conflictsMax) throw error;
    }
  }
}

async function read(api: KubernetesApi, path: string, signal?: AbortSignal): Promise<StoredDefinition | undefined> {
  try {
    return await api.request<StoredDefinition>({ path, ...(signal && { signal }) });
  } catch (error) {
    if (hasStatus(error, 404)) return undefined;
    throw error;
  }
}

const numbers = (version: string): number[] => version.split(/[.+-]/).slice(0, 3).map(Number);

/** Whether a newer version of Weir has written it. */
function isNewer({ metadata }: StoredDefinition, { metadata: ours }: CustomResourceDefinition): boolean {
  const [theirs, own] = [metadata.labels?.[schemaVersionLabel], ours.labels?.[schemaVersionLabel]];
  if (theirs === undefined || own === undefined) return false;
  const [a, b] = [numbers(theirs), numbers(own)];
  const differing = a.findIndex((number, index) => number !== b[index]);
  return differing >= 0 && (a[differing] ?? 0) > (b[differing] ?? 0);
}

/** Whether it says all that we would write; Kubernetes adds defaults to it. */
function isInLine(stored: StoredDefinition, { metadata, spec }: CustomResourceDefinition): boolean {
  const label = metadata.labels?.[schemaVersionLabel];
  return stored.metadata.labels?.[schemaVersionLabel] === label && includes(stored.spec, spec);
}

function includes(stored: unknown, wanted: unknown): boolean {
  if (typeof wanted !== 'object' || wanted === null) return stored === wanted;
  if (typeof stored !== 'object' || stored === null) return false;
  if (Array.isArray(wanted) && (!Array.isArray(stored) || stored.length !== wanted.length)) return false;
  return Object.entries(wanted).every(([key, value]) => includes((stored as Record<string, unknown>)[key], value));
}

/** Ours, with what others have added to it: labels, annotations, and how versions are converted. */
const merged = (stored: StoredDefinition, { metadata, spec, ...rest }: CustomResourceDefinition): object => ({
  ...rest,
  metadata: { ...stored.metadata, labels: { ...stored.metadata.labels, ...metadata.labels } },
  spec: { ...spec, ...(stored.spec.conversion !== undefined && { conversion: stored.spec.conversion }) },
});

async function whenEstablished({ api, signal }: RegisterOptions, name: string): Promise<void> {
  const untilMs = performance.now() + establishDeadlineMs;
  for (;;) {
    const stored = await read(api, `${collection}/${name}`, signal);
    const conditions = stored?.status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === 'Established' && status === 'True')) return;
    if (performance.now() > untilMs) {
      throw new WeirError('TIMEOUT', `Kubernetes does not establish "${name}" within ${establishDeadlineMs} ms`);
    }
    await sleep(pollMs, undefined, signal === undefined ? {} : { signal });
  }
}
