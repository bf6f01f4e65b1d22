// SPDX-License-Identifier: Apache-2.0
import { type Cidr, cidrOfLabel, createCidr, directions, formatCidr, isIpv4Cidr, parseCidr } from '@weir/model';
import type { Policy } from './rule.ts';
import type { SelectorSpec } from './selector-spec.ts';

// IPv4 addresses are kept as ::ffff:a.b.c.d. Without an identity of all of IPv4 they would fall to that of ::/0.
const everyIpv4 = parseCidr('0.0.0.0/0');

/** Whether a prefix of IPv6 would, as bytes go, hold IPv4 addresses. */
function holdsMappedAddresses(prefix: Cidr): boolean {
  if (isIpv4Cidr(prefix) || prefix.prefixLength > everyIpv4.prefixLength) return false;
  return formatCidr(createCidr(everyIpv4.address, prefix.prefixLength)) === formatCidr(prefix);
}

const namedIn = ({ requirements }: SelectorSpec): Cidr[] => requirements.flatMap((named) => cidrOfLabel(named) ?? []);

/** The prefixes with those that they cannot do without, each once. */
export function completePrefixes(prefixes: Iterable<Cidr>): Cidr[] {
  const byName = new Map<string, Cidr>();
  for (const prefix of prefixes) {
    byName.set(formatCidr(prefix), prefix);
    if (holdsMappedAddresses(prefix)) byName.set(formatCidr(everyIpv4), everyIpv4);
  }
  return [...byName.keys()].sort().flatMap((name) => byName.get(name) ?? []);
}

/**
 * The prefixes that must have identities before a policy is applied: all that it names, exceptions among them, since an
 * address is of the identity of the longest prefix that holds it. Addresses of services come with the services.
 */
export function policyPrefixes(policy: Policy): Cidr[] {
  const selectors = policy.rules.flatMap((rule) =>
    directions.flatMap((direction) => {
      const { grants, required, requiredOfDenied } = rule[direction];
      const peers = grants.flatMap(({ peers: named }) => (named === 'any' ? [] : named));
      return [...peers, ...(required ? [required] : []), ...(requiredOfDenied ? [requiredOfDenied] : [])];
    }),
  );
  return completePrefixes(selectors.flatMap(namedIn));
}
