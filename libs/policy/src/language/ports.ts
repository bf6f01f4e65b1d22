// SPDX-License-Identifier: Apache-2.0
import { portMax, portProtocols, protocolNumber } from '@weir/model';
import { policyLimits } from '../limits.ts';
import { descend, fieldPath, type Place, reportProblem } from '../document/place.ts';
import { listReader, objectReader, type ObjectSchema, type Reader, readString } from '../document/readers.ts';
import type { HttpRule, PortMatch } from '../rule.ts';
import { httpPatternProblem } from './http-pattern.ts';
import { allNotEnforced, notEnforced } from './not-enforced.ts';

interface PortFields {
  readonly port: number;
  readonly protocol?: PortProtocol;
}

/** What a policy may write as `protocol`, in any case; absent or empty means ANY. */
type PortProtocol = 'TCP' | 'UDP' | 'SCTP' | 'ANY';

/** An item of `toPorts`, as it is written. */
export interface PortRule {
  readonly ports: readonly PortFields[];
  readonly rules?: { readonly http?: readonly HttpRule[] };
}

const portExpectation = `(0–${portMax}; 0 is every port)`;

const readPort: Reader<number> = (place) => {
  const { node } = place;
  // "70000 is not a port" helps more than being told to quote it.
  const isWrongNumber =
    node.kind === 'scalar' && typeof node.value === 'number' && !(node.value >= 0 && node.value <= portMax);
  const text = isWrongNumber ? node.text : readString(place);
  if (text === undefined) return undefined;
  if (/^(0|[1-9]\d{0,4}|0[xX][0-9a-fA-F]{1,4})$/.test(text) && Number(text) <= portMax) return Number(text);
  if (/^0\d+$/.test(text))
    return reportProblem(place, `"${text}" is octal to some and decimal to others; write it without leading zeros`);
  if (/[a-zA-Z]/.test(text) && /^[a-zA-Z0-9-]{1,63}$/.test(text)) {
    return reportProblem(place, notEnforced(`"${text}" as the name of a port; write its number`));
  }
  return reportProblem(place, `"${text}" is not a port ${portExpectation}`);
};

const readProtocol: Reader<PortProtocol> = (place) => {
  const text = readString(place);
  if (text === undefined) return undefined;
  switch (text.toUpperCase()) {
    case '':
    case 'ANY':
      return 'ANY';
    case 'TCP':
      return 'TCP';
    case 'UDP':
      return 'UDP';
    case 'SCTP':
      return 'SCTP';
    default:
      return reportProblem(place, `"${text}" is not a protocol (one of TCP, UDP, SCTP, ANY)`);
  }
};

const readPattern: Reader<string> = (place) => {
  const pattern = readString(place);
  const problem = pattern === undefined ? undefined : httpPatternProblem(pattern);
  return problem === undefined ? pattern : reportProblem(place, problem);
};

/** An item of `ports`. */
export const portSchema: ObjectSchema<PortFields> = {
  fields: { port: readPort, protocol: readProtocol },
  required: ['port'],
  refused: allNotEnforced({ endPort: 'port ranges' }),
};

/** An item of `rules.http`. */
export const httpRuleSchema: ObjectSchema<HttpRule> = {
  fields: { method: readPattern, path: readPattern, host: readPattern },
  refused: allNotEnforced({
    headers: 'conditions on headers other than Host',
    headerMatches: 'conditions on headers other than Host',
  }),
};

/** The `rules` of an item of `toPorts`. */
export const layer7Schema: ObjectSchema<NonNullable<PortRule['rules']>> = {
  fields: { http: listReader(objectReader(httpRuleSchema), { itemsMax: policyLimits.httpRulesPerPortRuleMax }) },
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

const readPorts = listReader(objectReader(portSchema), {
  itemsMax: policyLimits.portsPerRuleMax,
  emptyProblem: 'List of ports is empty; leave toPorts out to mean every port',
});

/** An item of `toPorts` of an allowing rule. */
export const portRuleSchema: ObjectSchema<PortRule> = {
  fields: { ports: readPorts, rules: objectReader(layer7Schema) },
  required: ['ports'],
  refused: allNotEnforced({
    listener: 'listeners of another proxy',
    originatingTLS: 'TLS of the proxy to the server',
    serverNames: 'conditions on the name in a TLS handshake',
    terminatingTLS: 'TLS of the client to the proxy',
  }),
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

/** What a port stands for in the datapath: ANY with a port is one key for each protocol that has ports. */
export function portMatches(rule: PortRule): PortMatch[] {
  return rule.ports.flatMap(({ port, protocol = 'ANY' }) => {
    if (protocol !== 'ANY') return [{ protocol: protocolNumber[protocol], port }];
    return port === 0 ? [{ protocol: 0, port: 0 }] : portProtocols.map((number) => ({ protocol: number, port }));
  });
}

/** Rules in canonical form: sorted, without duplicates and empty conditions. One without conditions stands for all. */
export function canonicalHttpRules(rules: readonly HttpRule[]): HttpRule[] {
  const byText = new Map<string, HttpRule>();
  for (const { method, path, host } of rules) {
    const rule: HttpRule = { ...(method && { method }), ...(path && { path }), ...(host && { host }) };
    byText.set(JSON.stringify(rule), rule);
  }
  return byText.has('{}') ? [{}] : [...byText.keys()].sort().flatMap((text) => byText.get(text) ?? []);
}
