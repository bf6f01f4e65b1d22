// SPDX-License-Identifier: Apache-2.0
import type { ProblemList } from '../problem.ts';
import { describeNode, type DocumentNode, type MapField, type Span } from './document-node.ts';
import type { FeatureSet } from '../feature.ts';
import type { ReadFile } from './read-documents.ts';

/** Where a reader stands in a document: the value, the path to it, and where to report what is wrong with it. */
export interface Place<N extends DocumentNode = DocumentNode> {
  readonly node: N;
  /** `spec.ingress[0]`; empty for the document itself. */
  readonly path: string;
  readonly file: ReadFile;
  readonly sink: PlaceSink;
  /** What may be asked for. */
  readonly features: FeatureSet;
}

/** Where the findings of one import go. Warnings do not keep a policy from being imported. */
export interface PlaceSink {
  readonly problems: ProblemList;
  readonly warnings: ProblemList;
}

/** Path of a field: `matchLabels.app`, `matchLabels["k8s:app"]`. */
export function fieldPath(path: string, key: string): string {
  if (!/^[A-Za-z_][\w-]*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

/** The place of a mapping's field. */
export function fieldPlace(place: Place, field: MapField): Place {
  return { ...place, node: field.value, path: fieldPath(place.path, field.key) };
}

/** The place of a list's item. */
export function itemPlace(place: Place, item: DocumentNode, index: number): Place {
  return { ...place, node: item, path: `${place.path}[${index}]` };
}

/** Line of the first or the last character of a place's value. */
export function placeLine(place: Place, edge: 'first' | 'last'): number {
  const { start, end } = place.node.span;
  return place.file.position(edge === 'first' ? start : Math.max(start, end - 1)).line;
}

/** What {@link reportProblem} may be told besides the message. */
export interface ReportOptions {
  /** Where to point instead of at the value. */
  readonly span?: Span;
  /** What to call the value instead of how it is written. */
  readonly value?: string;
  readonly path?: string;
  /** Default `problem`. */
  readonly severity?: 'problem' | 'warning';
}

/** Reports something about a place. Gives undefined, which is what a reader then returns. */
export function reportProblem(place: Place, message: string, options: ReportOptions = {}): undefined {
  const list = options.severity === 'warning' ? place.sink.warnings : place.sink.problems;
  list.add({
    file: place.file.name,
    ...place.file.position((options.span ?? place.node.span).start),
    path: options.path ?? place.path,
    value: options.value ?? describeNode(place.node),
    message,
  });
  return undefined;
}

/** The place that a way of field names and list positions leads to, or the last place on it that exists. */
export function descend(place: Place, steps: readonly (string | number)[]): Place {
  let here = place;
  for (const step of steps) {
    const { node } = here;
    if (node.kind === 'list' && typeof step === 'number') {
      const item = node.items[step];
      if (item === undefined) return here;
      here = itemPlace(here, item, step);
    } else if (node.kind === 'map') {
      const field = node.fields.find((candidate) => candidate.key === step);
      if (field === undefined) return here;
      here = fieldPlace(here, field);
    } else {
      return here;
    }
  }
  return here;
}
