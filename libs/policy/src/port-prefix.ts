// SPDX-License-Identifier: Apache-2.0

/** Ports that share their first bits: a range as policy maps know it. */
export interface PortPrefix {
  /** The lowest of them; 0 for every port. */
  readonly port: number;
  /** How many of the 16 bits they share: 16, one port; 0, every port. */
  readonly prefixLength: number;
}

/** How many bits a port has. */
export const portBits = 16;

const portCount = 1 << portBits;

/** How many ports share the first bits. */
export const portPrefixSize = (prefixLength: number): number => 1 << (portBits - prefixLength);

/** The fewest prefixes that together are a range of ports, ascending. `first` is not above `last`. */
export function portPrefixes(range: { readonly first: number; readonly last: number }): PortPrefix[] {
  const prefixes: PortPrefix[] = [];
  let port = range.first;
  while (port <= range.last) {
    let size = port === 0 ? portCount : port & -port;
    while (port + size - 1 > range.last) size >>= 1;
    prefixes.push({ port, prefixLength: portBits - Math.log2(size) });
    port += size;
  }
  return prefixes;
}

/** The prefix of one port, where 0 stands for every port. */
export const portPrefixOf = (port: number): PortPrefix => ({ port, prefixLength: port === 0 ? 0 : portBits });

/** Whether all ports of one prefix are among those of another. */
export function portPrefixContains(pair: { readonly outer: PortPrefix; readonly inner: PortPrefix }): boolean {
  const { outer, inner } = pair;
  const shift = portBits - outer.prefixLength;
  return inner.prefixLength >= outer.prefixLength && inner.port >> shift === outer.port >> shift;
}

/** A span of ports of a protocol; protocol 0 is every protocol. */
interface ProtocolSpan extends Partial<PortPrefix> {
  readonly protocol: number;
  readonly port: number;
}

const spanKey = (protocol: number, { port, prefixLength }: PortPrefix): number =>
  (protocol * portCount + port) * (portBits + 1) + prefixLength;

/** The prefix of a span, which may be left out where the port says it. */
export const prefixOf = ({ port, prefixLength }: ProtocolSpan): PortPrefix =>
  prefixLength === undefined ? portPrefixOf(port) : { port, prefixLength };

/** A number for a span: equal for equal spans only. */
export const portSpanKey = (span: ProtocolSpan): number => spanKey(span.protocol, prefixOf(span));

/** The spans that no other one of them contains, each once. */
export function distinctPorts<S extends ProtocolSpan>(spans: readonly S[]): S[] {
  const byKey = new Map(spans.map((span) => [portSpanKey(span), span]));
  const isCovered = (span: S): boolean => {
    if (span.protocol !== 0 && byKey.has(spanKey(0, { port: 0, prefixLength: 0 }))) return true;
    const { port, prefixLength } = prefixOf(span);
    for (let length = 0; length < prefixLength; length++) {
      const wider = { port: port & -portPrefixSize(length), prefixLength: length };
      if (byKey.has(spanKey(span.protocol, wider))) return true;
    }
    return false;
  };
  return [...byKey.values()].filter((span) => !isCovered(span));
}

/** Whether one span has all ports of another. */
export function portSpanContains(pair: { readonly outer: ProtocolSpan; readonly inner: ProtocolSpan }): boolean {
  const { outer, inner } = pair;
  if (outer.protocol !== inner.protocol) return outer.protocol === 0;
  return portPrefixContains({ outer: prefixOf(outer), inner: prefixOf(inner) });
}
