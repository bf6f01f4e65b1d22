// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { identityRange, parseLabelSet, type LabelSet } from '@weir/model';
import type { weir } from '@weir/proto';
import { storeLimits, type HeldIdentity } from '../store/identity-store.ts';

/** How much one label set may weigh, in bytes of `source:key=value;` each. */
export const labelSetBytesMax = 16 * 1024;
const nodeNameBytesMax = 253;
const nodeNamePattern = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/;

const invalid = (field: string, problem: string): WeirError =>
  new WeirError('INVALID_ARGUMENT', `${field}: ${problem}`, { details: { field } });

/** A node's name as Kubernetes knows it: up to 253 letters, digits, `-`, `.` and `_`. */
export function readNode(node: string): string {
  if (node.length <= nodeNameBytesMax && nodeNamePattern.test(node)) return node;
  const shown = node.length > 64 ? `${node.slice(0, 64)}…` : node;
  throw invalid('node', `"${shown}" is not a node name (1–${nodeNameBytesMax} letters, digits, "-", "." or "_")`);
}

/** A label set that can have an identity of its own. INVALID_ARGUMENT names the label and what is wrong with it. */
export function readLabels(labels: readonly string[], field = 'labels'): LabelSet {
  if (labels.length === 0) throw invalid(field, 'is empty, expected at least one label');
  const set = parseSet(labels, field);
  const reserved = set.labels.find(({ source }) => source === 'reserved');
  if (reserved !== undefined) {
    throw invalid(field, `"reserved:${reserved.key}" belongs to a reserved identity, expected labels of a workload`);
  }
  const bytes = Buffer.byteLength(set.key);
  if (bytes > labelSetBytesMax) throw invalid(field, `has ${bytes} bytes, expected at most ${labelSetBytesMax}`);
  return set;
}

function parseSet(labels: readonly string[], field: string): LabelSet {
  try {
    return parseLabelSet(labels);
  } catch (error) {
    throw invalid(field, WeirError.from(error).message);
  }
}

/** A number of the range that is handed out. */
export function readId(id: number, field = 'id'): number {
  const { min, max } = identityRange.cluster;
  if (id >= min && id <= max) return id;
  throw invalid(field, `is ${id}, expected ${min}–${max}`);
}

/** What a node says it holds: numbers of the range, each once, with label sets. */
export function readHeld(held: readonly weir.identity.v1.Identity.$Properties[]): HeldIdentity[] {
  if (held.length > storeLimits.referencesPerNodeMax) {
    throw invalid('held', `has ${held.length} identities, expected at most ${storeLimits.referencesPerNodeMax}`);
  }
  const seen = new Set<number>();
  return held.map((identity, index) => {
    const id = identity.id ?? 0;
    if (seen.has(id)) throw invalid(`held[${index}].id`, `names ${id} again`);
    seen.add(id);
    return { id: readId(id, `held[${index}].id`), labels: readLabels(identity.labels ?? [], `held[${index}].labels`) };
  });
}
