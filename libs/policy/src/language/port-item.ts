// SPDX-License-Identifier: Apache-2.0
import { isPortName, portMax, portProtocols, protocolNumber } from '@weir/model';
import { notEnforced } from '../document/not-enforced.ts';
import { descend, type Place, reportProblem } from '../document/place.ts';
import {
  createReader,
  integerReader,
  objectReader,
  type ObjectSchema,
  type Reader,
  readString,
  refineReader,
} from '../document/readers.ts';
import { portPrefixes, portPrefixOf } from '../port-prefix.ts';
import type { NamedPortMatch, PortMatch } from '../rule.ts';

/** What a policy may write as `protocol`, in any case; absent or empty means ANY. */
export type PortProtocol = 'TCP' | 'UDP' | 'SCTP' | 'ANY';

/** An item of `ports`, as it is written. */
export interface PortFields {
  /** A number, where 0 is every port, or the name of a port in lower case. */
  readonly port: number | string;
  /** The last port of a range; 0 is none. */
  readonly endPort?: number;
  readonly protocol?: PortProtocol;
}

const portExpectation = `(0–${portMax}; 0 is every port)`;

/** The text of a port. "70000 is not a port" helps more than being told to quote it. */
function portText(place: Place): string | undefined {
  const { node } = place;
  const isWrongNumber =
    node.kind === 'scalar' && typeof node.value === 'number' && !(node.value >= 0 && node.value <= portMax);
  return isWrongNumber ? node.text : readString(place);
}

/** Reads the name of a port, which must be one that Kubernetes gives. */
export function readPortName(text: string, place: Place): string | undefined {
  if (!isPortName(text)) {
    const expected = '(1–15 letters, digits and inner hyphens, at least one letter)';
    return reportProblem(place, `"${text}" is neither a port ${portExpectation} nor the name of one ${expected}`);
  }
  return place.features.has('namedPorts')
    ? text.toLowerCase()
    : reportProblem(place, notEnforced(`"${text}" as the name of a port; write its number`));
}

// A number in one of its forms, or a name; which numbers and which names is for the reader to say.
const portPattern = '^[0-9A-Za-z-]{1,15}$';

const readPort: Reader<number | string> = createReader({ type: 'string', pattern: portPattern }, (place) => {
  const text = portText(place);
  if (text === undefined) return undefined;
  if (/^(0|[1-9]\d{0,4}|0[xX][0-9a-fA-F]{1,4})$/.test(text) && Number(text) <= portMax) return Number(text);
  if (/^0\d+$/.test(text))
    return reportProblem(place, `"${text}" is octal to some and decimal to others; write it without leading zeros`);
  if (/[a-z]/i.test(text)) return readPortName(text, place);
  return reportProblem(place, `"${text}" is not a port ${portExpectation}`);
});

const protocols: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP', 'ANY'];
const anyCase = (word: string): string => [...word].map((letter) => `[${letter}${letter.toLowerCase()}]`).join('');

const readProtocol: Reader<PortProtocol> = refineReader(
  readString,
  (text, place) => {
    const upper = text === '' ? 'ANY' : text.toUpperCase();
    const known = protocols.find((protocol) => protocol === upper);
    return known ?? reportProblem(place, `"${text}" is not a protocol (one of ${protocols.join(', ')})`);
  },
  { pattern: `^(${protocols.map(anyCase).join('|')})?$` },
);

/** Checks that a range is one; `place` is that of the item. */
export function checkRange({ port, endPort = 0 }: Pick<Partial<PortFields>, 'port' | 'endPort'>, place: Place): void {
  if (endPort === 0 || port === undefined) return;
  const at = descend(place, ['endPort']);
  if (typeof port === 'string') {
    reportProblem(at, `Range from "${port}" to ${endPort} begins with a name; expected a number`);
  } else if (endPort < port) {
    reportProblem(at, `Range ends with ${endPort}, before its first port ${port}`);
  }
}

/** An item of `ports`. */
export const portSchema: ObjectSchema<PortFields> = {
  fields: { port: readPort, endPort: integerReader(portMax), protocol: readProtocol },
  required: ['port'],
  needs: { endPort: { feature: 'portRanges', what: 'port ranges' } },
  check: checkRange,
};

/** Reads an item of `ports`. */
export const readPortItem = objectReader(portSchema);

const protocolsOf = (protocol: PortProtocol): readonly number[] =>
  protocol === 'ANY' ? portProtocols : [protocolNumber[protocol]];

/** The keys that a port stands for in the datapath: ANY with a port is one for each protocol that has ports. */
export function portMatches({ port, endPort = 0, protocol = 'ANY' }: PortFields): PortMatch[] {
  if (typeof port === 'string') return [];
  const spans = endPort > port ? portPrefixes({ first: port, last: endPort }) : [portPrefixOf(port)];
  const isEverything = protocol === 'ANY' && spans.some(({ prefixLength }) => prefixLength === 0);
  if (isEverything) return [{ protocol: 0, port: 0, prefixLength: 0 }];
  return protocolsOf(protocol).flatMap((number) => spans.map((span) => ({ protocol: number, ...span })));
}

/** The name that a port stands for. */
export function namedPortMatch({ port, protocol = 'ANY' }: PortFields): NamedPortMatch[] {
  if (typeof port !== 'string') return [];
  return [{ name: port, protocol: protocol === 'ANY' ? 0 : protocolNumber[protocol] }];
}
