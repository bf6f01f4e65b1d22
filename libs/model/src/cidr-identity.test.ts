// SPDX-License-Identifier: Apache-2.0
import { formatCidr, parseCidr } from './cidr.ts';
import { cidrIdentityLabels, cidrOfLabel } from './cidr-identity.ts';
import { formatLabelSet, parseLabelSet } from './label-set.ts';

describe('cidrIdentityLabels()', () => {
  it.each(['10.0.0.0/8', '0.0.0.0/0', '1.2.3.4/32', 'fd00::/64', '::/0', '::1/128'])(
    'of %s name the prefix, belong to the world, and survive being written and read',
    (text) => {
      const set = cidrIdentityLabels(parseCidr(text));
      expect(formatLabelSet(set)).toEqual([`cidr:${text}`, 'reserved:world']);
      expect(parseLabelSet(formatLabelSet(set)).key).toBe(set.key);
      expect(set.labels.flatMap((label) => cidrOfLabel(label) ?? []).map(formatCidr)).toEqual([text]);
    },
  );
});

describe('cidrOfLabel()', () => {
  it('is nothing for labels of other sources and for what is not a prefix', () => {
    expect(cidrOfLabel({ source: 'k8s', key: '10.0.0.0/8' })).toBeUndefined();
    expect(cidrOfLabel({ source: 'cidr', key: '10.0.0.0' })).toBeUndefined();
  });
});
