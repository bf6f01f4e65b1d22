// SPDX-License-Identifier: Apache-2.0
import { icmpPort, icmpTypeOf, type IcmpFamily, protocolNumber } from '@weir/model';
import { policyLimits } from '../limits.ts';
import { descend, fieldPath, type Place, reportProblem } from '../document/place.ts';
import {
  createReader,
  listReader,
  objectReader,
  type ObjectSchema,
  type Reader,
  wordReader,
} from '../document/readers.ts';
import type { PortMatch } from '../rule.ts';

interface IcmpFields {
  readonly family?: IcmpFamily;
  /** As it is written: a number, or a name of the family. */
  readonly type: string;
}

/** An item of `icmps`. */
export interface IcmpRule {
  readonly fields?: readonly IcmpFields[];
}

const readType: Reader<string> = createReader({ 'x-kubernetes-int-or-string': true }, (place) => {
  const { node } = place;
  const isType = node.kind === 'scalar' && (typeof node.value === 'string' || typeof node.value === 'number');
  if (isType) return String(node.value);
  return reportProblem(place, 'Type of ICMP message is neither a number 0–255 nor a name such as EchoRequest');
});

/** An item of `icmps[].fields`. */
export const icmpFieldSchema: ObjectSchema<IcmpFields> = {
  fields: { family: wordReader<IcmpFamily>(['IPv4', 'IPv6'], 'a family'), type: readType },
  required: ['type'],
  check({ family = 'IPv4', type }, place) {
    if (type === undefined || icmpTypeOf(family, type) !== undefined) return;
    const message = `"${type}" is not a type of ICMP message of ${family} (0–255, or a name such as EchoRequest)`;
    reportProblem(descend(place, ['type']), message);
  },
};

/** An item of `icmps`. */
export const icmpRuleSchema: ObjectSchema<IcmpRule> = {
  fields: { fields: listReader(objectReader(icmpFieldSchema), { itemsMax: policyLimits.icmpFieldsMax }) },
};

/** Reads `icmps`. */
export const readIcmps: Reader<readonly IcmpRule[]> = listReader(objectReader(icmpRuleSchema), {
  emptyProblem: 'List of ICMP rules is empty; leave it out to mean every port and protocol',
});

/** The keys under which the datapath looks ICMP messages up. */
export function icmpMatches({ fields = [] }: IcmpRule): PortMatch[] {
  return fields.flatMap(({ family = 'IPv4', type }) => {
    const number = icmpTypeOf(family, type);
    const protocol = family === 'IPv4' ? protocolNumber.ICMP : protocolNumber.ICMPv6;
    return number === undefined ? [] : [{ protocol, port: icmpPort(number), prefixLength: 16 }];
  });
}

/** Names of ports and types of message cannot both be meant by one item. */
export function checkPortsOrIcmps(place: Place): void {
  if (place.node.kind !== 'map') return;
  const icmps = place.node.fields.find(({ key }) => key === 'icmps');
  if (icmps === undefined || !place.node.fields.some(({ key }) => key === 'toPorts')) return;
  const path = fieldPath(place.path, 'icmps');
  reportProblem(place, 'Only one of toPorts, icmps may be in one item; write two items', { span: icmps.keySpan, path });
}
