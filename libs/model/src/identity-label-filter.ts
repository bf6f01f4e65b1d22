// SPDX-License-Identifier: Apache-2.0
import { RE2JS, RE2JSSyntaxException } from 're2js';
import { WeirError } from '@weir/errors';
import { type Label, type LabelSource, splitSource } from './label.ts';
import { createLabelSet, type LabelSet } from './label-set.ts';

interface FilterEntry {
  readonly source: LabelSource;
  readonly include: boolean;
  /** Matched from the start of the key on. */
  readonly pattern: RE2JS;
}

/** Decides which labels make a pod's identity; the others are information only. */
export interface IdentityLabelFilter {
  isRelevant(label: Label): boolean;
  /** The relevant labels of a set. */
  select(set: LabelSet): LabelSet;
}

// Labels that change with every rollout or restart would give every pod an identity of its own.
const defaultExclusions = [
  'io\\.kubernetes',
  'kubernetes\\.io',
  'statefulset\\.kubernetes\\.io/pod-name',
  'apps\\.kubernetes\\.io/pod-index',
  'batch\\.kubernetes\\.io/job-completion-index',
  'batch\\.kubernetes\\.io/controller-uid',
  'beta\\.kubernetes\\.io',
  'k8s\\.io',
  'pod-template-generation',
  'pod-template-hash',
  'controller-revision-hash',
  'annotation.*',
  'controller-uid',
  'etcd_node',
];

// What policies are scoped by belongs to the identity under every configuration.
const alwaysIncluded = [
  'reserved:.*',
  'io\\.kubernetes\\.pod\\.namespace',
  'io\\.cilium\\.k8s\\.namespace\\.labels',
  'io\\.cilium\\.k8s\\.policy\\.cluster',
  'app\\.kubernetes\\.io',
];

function parseEntry(text: string): FilterEntry {
  const { source, rest } = splitSource(text, 'any');
  const include = !rest.startsWith('!');
  const expression = include ? rest : rest.slice(1);
  if (expression === '') {
    throw new WeirError(
      'INVALID_ARGUMENT',
      `"${text}" in the labels option has no regular expression ([source:][!]regex)`,
    );
  }
  try {
    return { source, include, pattern: RE2JS.compile(expression) };
  } catch (cause) {
    if (!(cause instanceof RE2JSSyntaxException)) throw cause;
    throw new WeirError('INVALID_ARGUMENT', `"${text}" in the labels option: ${cause.message}`, { cause });
  }
}

/** How many characters of the label's key an entry matches; 0 when it does not match. */
function matchLength(entry: FilterEntry, label: Label): number {
  if (entry.source !== 'any' && entry.source !== label.source) return 0;
  const matcher = entry.pattern.matcher(label.key);
  return matcher.lookingAt() ? Math.max(1, matcher.end()) : 0;
}

const longestMatch = (entries: readonly FilterEntry[], label: Label): number =>
  entries.reduce((longest, entry) => Math.max(longest, matchLength(entry, label)), 0);

/**
 * Makes the filter of the `--labels` option: entries `[source:][!]regex` (RE2, from the start of the key on) separated by
 * spaces. Without an entry that includes, every label is relevant but those that the defaults or an entry exclude. The
 * first that includes turns the option into an allow-list; of an inclusion and an exclusion the longer match wins.
 * Throws INVALID_ARGUMENT.
 */
export function createIdentityLabelFilter(option = ''): IdentityLabelFilter {
  const entries = option.split(/\s+/).filter(Boolean).map(parseEntry);
  const inclusions = entries.filter((entry) => entry.include);
  const isAllowList = inclusions.length > 0;
  const exclusions = [
    ...(isAllowList ? [] : defaultExclusions.map((expression) => parseEntry(`!${expression}`))),
    ...entries.filter((entry) => !entry.include),
  ];
  const always = alwaysIncluded.map(parseEntry);

  const isRelevant = (label: Label): boolean => {
    if (longestMatch(always, label) > 0) return true;
    const excluded = longestMatch(exclusions, label);
    const included = longestMatch(inclusions, label);
    return isAllowList ? included > 0 && included >= excluded : excluded === 0;
  };
  return { isRelevant, select: (set) => createLabelSet(set.labels.filter(isRelevant)) };
}
