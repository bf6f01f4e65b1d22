// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type NamedPort, parseNamedPort } from '@weir/model';
import { InvalidArgumentError } from 'commander';
import type { LabelChanges } from '../lab/lab-pods.ts';

/** Reads `k=v,k=v`; several such texts add up. */
export function parseLabels(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const entries = text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => splitLabel(part, 'KEY=VALUE'));
  return { ...previous, ...Object.fromEntries(entries) };
}

/** Reads `name=port/protocol,…`; several such texts add up. */
export function parseNamedPorts(text: string, previous: readonly NamedPort[] = []): readonly NamedPort[] {
  try {
    return [...previous, ...text.split(',').map(parseNamedPort)];
  } catch (error) {
    throw new InvalidArgumentError(`${WeirError.from(error).message}.`);
  }
}

/** Reads `node2:k=v,k=v`: the labels of a node of the lab, by its name. */
export function parseNodeLabels(
  text: string,
  previous: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const [, node, labels] = /^(node\d+):(.+)$/.exec(text) ?? [];
  if (node === undefined || labels === undefined) {
    throw new InvalidArgumentError(`"${text}" says no labels of a node: expected NODE:KEY=VALUE, as in node2:pool=db.`);
  }
  parseLabels(labels);
  return { ...previous, [node]: labels };
}

/** Adds a change to those before it: `k=v` sets a label, `k-` removes it. */
export function parseLabelChange(text: string, previous: LabelChanges = {}): LabelChanges {
  const { set = {}, remove = [] } = previous;
  const isRemoval = !text.includes('=') && text.endsWith('-') && text.length > 1;
  if (isRemoval) return { set, remove: [...remove, text.slice(0, -1)] };
  return { set: { ...set, ...Object.fromEntries([splitLabel(text, 'KEY=VALUE or KEY-')]) }, remove };
}

function splitLabel(text: string, expected: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError(`"${text}" is not a label: expected ${expected}.`);
  return [text.slice(0, at), text.slice(at + 1)];
}
