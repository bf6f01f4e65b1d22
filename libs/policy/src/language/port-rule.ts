// SPDX-License-Identifier: Apache-2.0
import { portMax } from '@weir/model';
import { policyLimits } from '../limits.ts';
import { notEnforced, allNotEnforced } from '../document/not-enforced.ts';
import { descend, fieldPath, type Place, reportProblem } from '../document/place.ts';
import { listReader, objectReader, type ObjectSchema, type Reader } from '../document/readers.ts';
import type { HttpRule } from '../rule.ts';
import { readHttpRules } from './http-rule.ts';
import { type PortFields, readPortItem } from './port-item.ts';

/** An item of `toPorts`, as it is written. */
export interface PortRule {
  readonly ports: readonly PortFields[];
  readonly rules?: { readonly http?: readonly HttpRule[] };
}

/** The `rules` of an item of `toPorts`. */
export const layer7Schema: ObjectSchema<NonNullable<PortRule['rules']>> = {
  fields: { http: readHttpRules },
  refused: allNotEnforced({
    dns: 'rules for DNS',
    kafka: 'rules for Kafka',
    l7: 'rules for a named parser',
    l7proto: 'rules for a named parser',
  }),
};

/** HTTP runs over TCP, and the proxy is told which ports to take: `rules.http` needs both spelt out. */
function checkLayer7(rule: Partial<PortRule>, place: Place): void {
  if (rule.rules?.http === undefined) return;
  for (const [index, { port, protocol }] of (rule.ports ?? []).entries()) {
    const at = descend(place, ['ports', index]);
    if (protocol !== 'TCP') {
      const path = fieldPath(at.path, 'protocol');
      reportProblem(descend(at, ['protocol']), 'HTTP rules need the protocol TCP', { path, value: protocol ?? '' });
    }
    if (port === 0) reportProblem(descend(at, ['port']), `"0" is not a port for HTTP rules (1–${portMax})`);
  }
}

const readPorts = listReader(readPortItem, {
  itemsMax: policyLimits.portsPerRuleMax,
  emptyProblem: 'List of ports is empty; leave toPorts out to mean every port',
});

/** An item of `toPorts` of an allowing rule. */
export const portRuleSchema: ObjectSchema<PortRule> = {
  fields: { ports: readPorts, rules: objectReader(layer7Schema) },
  required: ['ports'],
  refused: {
    listener: notEnforced('listeners of another proxy'),
    originatingTLS: notEnforced('TLS of the proxy to the server'),
    serverNames: notEnforced('conditions on the name in a TLS handshake'),
    terminatingTLS: notEnforced('TLS of the client to the proxy'),
  },
  check: checkLayer7,
};

/** An item of `toPorts` of a denying rule: ports and nothing else. */
export const denyPortRuleSchema: ObjectSchema<Pick<PortRule, 'ports'>> = {
  fields: { ports: readPorts },
  required: ['ports'],
  refused: { rules: 'Denying rules say whole ports; deny requests by allowing only the others' },
};

const emptyToPorts = 'List of port rules is empty; leave it out to mean every port';

/** Reads `toPorts` of an allowing rule. */
export const readPortRules: Reader<readonly PortRule[]> = listReader(objectReader(portRuleSchema), {
  emptyProblem: emptyToPorts,
});

/** Reads `toPorts` of a denying rule. */
export const readDenyPortRules: Reader<readonly PortRule[]> = listReader(objectReader(denyPortRuleSchema), {
  emptyProblem: emptyToPorts,
});
