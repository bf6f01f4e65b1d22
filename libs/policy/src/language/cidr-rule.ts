// SPDX-License-Identifier: Apache-2.0
import { type Cidr, cidrContainsCidr, cidrOfAddress, formatCidr, parseCidr, tryParseIpAddress } from '@weir/model';
import { WeirError } from '@weir/errors';
import { notEnforced } from '../document/not-enforced.ts';
import { descend, fieldPath, type Place, reportProblem } from '../document/place.ts';
import {
  listReader,
  objectReader,
  type ObjectSchema,
  type Reader,
  readString,
  refineReader,
} from '../document/readers.ts';
import { createSelectorSpec, type Requirement, type SelectorSpec } from '../selector-spec.ts';

function readPrefixText(text: string, place: Place): Cidr | undefined {
  try {
    const prefix = parseCidr(text, { hostBits: 'clear' });
    const written = tryParseIpAddress(text.slice(0, text.indexOf('/')));
    if (written !== undefined && prefix.address.some((byte, index) => byte !== written[index])) {
      const message = `"${text}" has bits set after its prefix; taken as "${formatCidr(prefix)}"`;
      reportProblem(place, message, { severity: 'warning' });
    }
    return prefix;
  } catch (thrown) {
    return reportProblem(place, WeirError.from(thrown).message);
  }
}

/** Reads `address/length`. Bits after the prefix are cleared, with a warning. */
export const readPrefix: Reader<Cidr> = refineReader(readString, readPrefixText);

/** Reads a prefix, or an address that stands for itself alone. */
const readAddressOrPrefix: Reader<Cidr> = refineReader(readString, (text, place) => {
  const address = tryParseIpAddress(text);
  return address === undefined ? readPrefixText(text, place) : cidrOfAddress(address);
});

/** An item of `fromCIDRSet`, or the `ipBlock` of Kubernetes. */
export interface CidrRule {
  readonly cidr: Cidr;
  readonly except?: readonly Cidr[];
}

/** What an exception may be: an item that is not narrower than its parent would leave nothing, or say nothing. */
export function checkExceptions({ cidr, except = [] }: Partial<CidrRule>, place: Place): void {
  if (cidr === undefined) return;
  for (const [index, inner] of except.entries()) {
    if (cidrContainsCidr({ outer: cidr, inner })) continue;
    const at = descend(place, ['except', index]);
    reportProblem(at, `"${formatCidr(inner)}" does not lie in "${formatCidr(cidr)}", of which it is an exception`);
  }
}

/** An item of `fromCIDRSet` and `toCIDRSet`. */
export const cidrRuleSchema: ObjectSchema<CidrRule> = {
  fields: { cidr: readPrefix, except: listReader(readPrefix) },
  refused: {
    cidrGroupRef: notEnforced('groups of prefixes'),
    cidrGroupSelector: notEnforced('groups of prefixes'),
  },
  check(rule, place) {
    const isNamed = place.node.fields.some(({ key }) => key.startsWith('cidr'));
    const path = fieldPath(place.path, 'cidr');
    if (!isNamed) reportProblem(place, 'Field "cidr" is missing', { path, value: '' });
    checkExceptions(rule, place);
  },
};

/** Reads `fromCIDR` and `toCIDR`. */
export const readCidrs: Reader<readonly CidrRule[]> = listReader(
  refineReader(readAddressOrPrefix, (cidr): CidrRule => ({ cidr })),
);

/** Reads `fromCIDRSet` and `toCIDRSet`. */
export const readCidrSet: Reader<readonly CidrRule[]> = listReader(objectReader(cidrRuleSchema));

const lies = (prefix: Cidr, operator: Requirement['operator']): Requirement => ({
  source: 'cidr',
  key: formatCidr(prefix),
  operator,
  values: [],
});

/** Selects the identities of prefixes that lie in the rule's and in none of its exceptions. */
export function cidrSelector({ cidr, except = [] }: CidrRule): SelectorSpec {
  return createSelectorSpec([lies(cidr, 'Exists'), ...except.map((inner) => lies(inner, 'DoesNotExist'))]);
}
