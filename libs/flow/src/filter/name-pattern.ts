// SPDX-License-Identifier: Apache-2.0
import { refused } from './predicate.ts';

type Match = (text: string) => boolean;

const allowed = /^[-a-z0-9_.*]*$/;

function matchBody(pattern: string): Match {
  if (!pattern.includes('*')) return (text) => text === pattern;
  const source = pattern.replaceAll('.', '\\.').replaceAll(/\*+/g, '[-.0-9a-z]*');
  // Each star can only end where the next literal begins, so that this stays linear enough for names of 253 characters.
  const expression = new RegExp(`^${source}$`);
  return (text) => text.length <= 1_024 && expression.test(text);
}

/** Puts a pattern into the form in which it is compared. Throws INVALID_ARGUMENT for what is no pattern of a name. */
function canonical(pattern: string): string {
  const trimmed = pattern.trim();
  const name = (trimmed.endsWith('.') ? trimmed.slice(0, -1) : trimmed).toLowerCase();
  if (name.endsWith('.')) throw refused('multiple trailing dots in pattern');
  if (!allowed.test(name)) throw refused(`'${pattern}': invalid rune in pattern`);
  return name;
}

/** Compiles a pattern of DNS names: `*` stands for any part of a name. */
export function compileNamePattern(pattern: string): Match {
  const name = canonical(pattern);
  if (name === '') throw refused('empty pattern');
  return matchBody(name);
}

/** Compiles a pattern of nodes: `node`, `cluster/node`, `cluster/`, `/node`. */
export function compileNodePattern(pattern: string): Match {
  if (pattern.trim() === '') throw refused('empty pattern');
  const parts = pattern.trim().split('/');
  if (parts.length > 2) throw refused('too many slashes in pattern');
  const [cluster, node] = parts.length === 1 ? ['', parts[0] ?? ''] : [parts[0] ?? '', parts[1] ?? ''];
  const inCluster = matchBody(canonical(cluster) || '*');
  const isNode = matchBody(canonical(node) || '*');
  return (text) => {
    if (text === '') return false;
    const slash = text.indexOf('/');
    return inCluster(slash < 0 ? 'default' : text.slice(0, slash)) && isNode(text.slice(slash + 1));
  };
}
