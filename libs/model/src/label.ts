// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Where labels come from. `any` is for selectors only: no label has it. */
export const labelSources = [
  'any',
  'cidr',
  'cidrgroup',
  'container',
  'fqdn',
  'ingress',
  'k8s',
  'mesos',
  'node',
  'reserved',
  'unspec',
] as const;

/** One of the known label sources. */
export type LabelSource = (typeof labelSources)[number];

/** A label: `source:key=value`. An empty value is written without `=`. */
export interface Label {
  readonly source: LabelSource;
  readonly key: string;
  readonly value: string;
}

/** How long labels may be, in bytes of UTF-8. Kubernetes' own keys and values are always shorter. */
export const labelLimits = { keyBytesMax: 512, valueBytesMax: 1024 } as const;

// `;` ends a label in the key of a label set, so no label may hold one: it could pretend to be another label.
const keyPattern = /^[^\s=;\p{Cc}]+$/u;
const valuePattern = /^[^;\p{Cc}]*$/u;

const encoder = new TextEncoder();

/** Whether a text is one of the known label sources. */
export function isLabelSource(text: string): text is LabelSource {
  return (labelSources as readonly string[]).includes(text);
}

/** Why a text cannot be the key of a label, or undefined when it can. */
export function labelKeyProblem(key: string): string | undefined {
  if (!key.isWellFormed() || !keyPattern.test(key)) {
    return `"${key}" is not a label key (1–${labelLimits.keyBytesMax} bytes without white space, "=", ";" or control characters)`;
  }
  const bytes = encoder.encode(key).length;
  return bytes > labelLimits.keyBytesMax
    ? `Label key "${key.slice(0, 40)}…" has ${bytes} bytes; expected at most ${labelLimits.keyBytesMax}`
    : undefined;
}

/** Why a text cannot be the value of a label, or undefined when it can. */
export function labelValueProblem(value: string): string | undefined {
  if (!value.isWellFormed() || !valuePattern.test(value)) {
    return `"${value}" is not a label value (0–${labelLimits.valueBytesMax} bytes without ";" or control characters)`;
  }
  const bytes = encoder.encode(value).length;
  return bytes > labelLimits.valueBytesMax
    ? `Label value "${value.slice(0, 40)}…" has ${bytes} bytes; expected at most ${labelLimits.valueBytesMax}`
    : undefined;
}

/** Checks a label's parts and returns it. Throws INVALID_ARGUMENT that names the part. */
export function createLabel(label: Label): Label {
  if (label.source === 'any') {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `Label "any:${label.key}" has the source "any", which is for selectors only`,
    );
  }
  const problem = labelKeyProblem(label.key) ?? labelValueProblem(label.value);
  if (problem !== undefined) throw new WeirError('INVALID_ARGUMENT', problem);
  return { source: label.source, key: label.key, value: label.value };
}

/**
 * Splits `[source:]key` at its source, which is `fallback` when there is none. A text before the first colon that is
 * not a known source is refused (INVALID_ARGUMENT), so that a misspelt source never becomes part of a key.
 */
export function splitSource(text: string, fallback: LabelSource): { source: LabelSource; rest: string } {
  const colon = text.indexOf(':');
  if (colon < 0) return { source: fallback, rest: text };
  const source = text.slice(0, colon);
  if (!isLabelSource(source)) {
    const known = labelSources.join(', ');
    throw new WeirError('INVALID_ARGUMENT', `"${source}" in "${text}" is not a label source (one of ${known})`);
  }
  return { source, rest: text.slice(colon + 1) };
}

/** Reads `[source:]key[=value]`; without a source it is `unspec`. Throws INVALID_ARGUMENT. */
export function parseLabel(text: string): Label {
  const equals = text.indexOf('=');
  const name = equals < 0 ? text : text.slice(0, equals);
  const { source, rest } = splitSource(name, 'unspec');
  return createLabel({ source, key: rest, value: equals < 0 ? '' : text.slice(equals + 1) });
}

/** Writes `source:key=value`, or `source:key` when the value is empty. */
export function formatLabel(label: Label): string {
  return label.value === '' ? `${label.source}:${label.key}` : `${label.source}:${label.key}=${label.value}`;
}
