// SPDX-License-Identifier: Apache-2.0
import { cidrContainsCidr, parseCidr } from '@weir/model';
import { refused } from './predicate.ts';

interface FlowLabel {
  readonly source: string;
  readonly key: string;
  readonly value: string;
}

/** The value of the label that a requirement is about; undefined: there is none. */
type Lookup = (labels: readonly FlowLabel[]) => string | undefined;
type Requirement = (labels: readonly FlowLabel[]) => boolean;

const dnsPrefix = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const plainName = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const requirementPattern =
  /^\s*(?:(?<absent>!\s*(?<absentKey>[^\s,=!<>()]+))|(?<key>[^\s,=!<>()]+)(?:\s*(?:(?<operator>==|=|!=|<|>)\s*(?<value>[^\s,=!<>()]*)|(?<set>in|notin)\s*\((?<values>[^()]*)\)))?)\s*/;

/** Splits `source:key=value`, where source and value may be missing. */
export function parseFlowLabel(text: string): FlowLabel {
  const equals = text.indexOf('=');
  const name = equals < 0 ? text : text.slice(0, equals);
  const colon = name.indexOf(':');
  return {
    source: colon < 0 ? 'unspec' : name.slice(0, colon),
    key: name.slice(colon + 1),
    value: equals < 0 ? '' : text.slice(equals + 1),
  };
}

function checkName(key: string, text: string): void {
  const qualified = key.replace(':', '.');
  const slash = qualified.indexOf('/');
  const isValid =
    plainName.test(qualified.slice(slash + 1)) &&
    (slash < 0 || dnsPrefix.test(qualified.slice(0, slash).toLowerCase()));
  if (!isValid) throw refused(`invalid label key "${key}" in selector "${text}"`);
}

function checkValue(value: string, text: string): string {
  if (value !== '' && !plainName.test(value)) throw refused(`invalid label value "${value}" in selector "${text}"`);
  return value;
}

const readCidr = (text: string) => {
  try {
    return parseCidr(text.replaceAll('-', ':'), { hostBits: 'clear' });
  } catch {
    return undefined;
  }
};

function lookupOf(name: string, text: string): Lookup {
  checkName(name, text);
  const colon = name.indexOf(':');
  const source = colon < 0 ? 'any' : name.slice(0, colon);
  const key = name.slice(colon + 1);
  const outer = source === 'cidr' ? readCidr(key) : undefined;
  return (labels) =>
    labels.find((label) => {
      if (source !== 'any' && source !== label.source) return false;
      if (label.key === key) return true;
      const inner = outer === undefined || label.source !== 'cidr' ? undefined : readCidr(label.key);
      return outer !== undefined && inner !== undefined && cidrContainsCidr({ outer, inner });
    })?.value;
}

function comparison(lookup: Lookup, match: { operator: string; value: string; text: string }): Requirement {
  const { operator, value, text } = match;
  if (operator === '=' || operator === '==') return (labels) => lookup(labels) === value;
  if (operator === '!=') return (labels) => lookup(labels) !== value;
  if (!/^-?\d+$/.test(value)) throw refused(`for 'Gt', 'Lt' operators, the value must be an integer: "${text}"`);
  const bound = Number(value);
  return (labels) => {
    const found = lookup(labels);
    if (found === undefined || !/^-?\d+$/.test(found)) return false;
    return operator === '>' ? Number(found) > bound : Number(found) < bound;
  };
}

function requirementOf(groups: Readonly<Record<string, string | undefined>>, text: string): Requirement {
  const { absentKey, key = '', operator, value = '', set, values = '' } = groups;
  if (absentKey !== undefined) {
    const lookup = lookupOf(absentKey, text);
    return (labels) => lookup(labels) === undefined;
  }
  const lookup = lookupOf(key, text);
  if (operator !== undefined) return comparison(lookup, { operator, value: checkValue(value, text), text });
  if (set === undefined) return (labels) => lookup(labels) !== undefined;
  const wanted = new Set(values.split(',').map((each) => checkValue(each.trim(), text)));
  if (set === 'in') return (labels) => wanted.has(lookup(labels) ?? '\0');
  return (labels) => !wanted.has(lookup(labels) ?? '\0');
}

/**
 * Compiles a selector in the grammar of Kubernetes, whose keys may name a source (`k8s:app=web`). The result is asked with
 * labels as flows have them. Throws INVALID_ARGUMENT for what is no selector.
 */
export function compileLabelSelector(text: string): (labels: readonly string[]) => boolean {
  const requirements: Requirement[] = [];
  let rest = text.trim();
  while (rest !== '') {
    const match = requirementPattern.exec(rest);
    if (match === null) throw refused(`unable to parse label selector "${text}" at "${rest}"`);
    requirements.push(requirementOf(match.groups ?? {}, text));
    rest = rest.slice(match[0].length);
    if (rest === '') break;
    if (!rest.startsWith(',') || rest.slice(1).trim() === '') {
      throw refused(`unable to parse label selector "${text}": found "${rest}", expected ',' and a requirement`);
    }
    rest = rest.slice(1);
  }
  return (labels) => {
    const parsed = labels.map(parseFlowLabel);
    return requirements.every((requirement) => requirement(parsed));
  };
}
