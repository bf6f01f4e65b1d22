// SPDX-License-Identifier: Apache-2.0
import { splitBody, type Attributes } from './attributes.ts';
import { littleEndian } from './byte-order.ts';
import { invalidField, wholeNumber } from './field.ts';
import {
  familyName,
  familyNumber,
  familyOfBytes,
  ipBytes,
  ipText,
  networkBytes,
  type AddressFamily,
} from './ip-bytes.ts';
import { linkIndex } from './link-message.ts';
import { createMessageWriter, type MessageWriter } from './message-writer.ts';
import { nothing, tolerating, type Operation } from './operation.ts';
import { withoutUndefined } from './without-undefined.ts';
import { AF, NLM_F, RTA, RTAX, RTM, RTN, RTNH_F, RTPROT, RT_SCOPE, RT_TABLE } from './rtnetlink-constants.ts';
import { scopeName, scopeNumber, type Scope } from './scope.ts';

/** What happens to a packet the route matches: it is forwarded, delivered here, or refused in one of three ways. */
export type RouteType = 'unicast' | 'local' | 'blackhole' | 'unreachable' | 'prohibit';

/** A route: given to the kernel and read from it. */
export interface Route {
  /** The prefix whose packets take the route, host bits zero; `0.0.0.0/0` and `::/0` are the default routes. */
  readonly destination: string;
  /** Default: unicast. */
  readonly type?: RouteType;
  /** Default: main (254). */
  readonly table?: number;
  /** Default: host for a local route, link for one without a gateway, global otherwise. IPv6 routes have none. */
  readonly scope?: Scope;
  /** The next hop; it may be of the other family. */
  readonly gateway?: string;
  /** The gateway is on the link even though no address of the link says so. */
  readonly onLink?: boolean;
  readonly linkIndex?: number;
  readonly preferredSource?: string;
  /** Lower ones win. Default: 0 for IPv4, which is the best; 1024 for IPv6. */
  readonly metric?: number;
  /** Path MTU in bytes. */
  readonly mtu?: number;
  /** Largest TCP segment to advertise to the other end, in bytes. */
  readonly advertisedMss?: number;
  /** Who made the route: a number from 5 to 255 of the maker's choice. Default: static (4). */
  readonly protocol?: number;
}

/** A route as the kernel reports it. */
export interface RouteState extends Route {
  readonly family: AddressFamily;
  readonly type: RouteType;
  readonly table: number;
  readonly scope: Scope;
  readonly protocol: number;
}

/** Which routes to list; what is left out does not restrict. */
export interface RouteFilter {
  readonly family?: AddressFamily;
  readonly table?: number;
  readonly linkIndex?: number;
  readonly protocol?: number;
}

/** Which route to delete: the first one that has everything that is given. */
export type RouteKey = Pick<Route, 'destination' | 'table' | 'metric' | 'linkIndex' | 'gateway' | 'protocol'>;

const headerBytes = 12;

const typeNumbers: Readonly<Record<RouteType, number>> = {
  unicast: RTN.UNICAST,
  local: RTN.LOCAL,
  blackhole: RTN.BLACKHOLE,
  unreachable: RTN.UNREACHABLE,
  prohibit: RTN.PROHIBIT,
};

interface RouteHeader {
  readonly family: number;
  readonly lengthBits?: number;
  readonly table?: number;
  readonly protocol?: number;
  readonly scope?: number;
  readonly type?: number;
  readonly flags?: number;
}

function writeHeader(writer: MessageWriter, header: RouteHeader): void {
  const { table = RT_TABLE.UNSPEC } = header;
  const bytes = new DataView(new ArrayBuffer(headerBytes));
  bytes.setUint8(0, header.family);
  bytes.setUint8(1, header.lengthBits ?? 0);
  bytes.setUint8(4, table <= 0xff ? table : RT_TABLE.UNSPEC);
  bytes.setUint8(5, header.protocol ?? RTPROT.UNSPEC);
  bytes.setUint8(6, header.scope ?? RT_SCOPE.UNIVERSE);
  bytes.setUint8(7, header.type ?? RTN.UNSPEC);
  bytes.setUint32(8, header.flags ?? 0, littleEndian);
  writer.raw(new Uint8Array(bytes.buffer));
  if (table !== RT_TABLE.UNSPEC) writer.uint32(RTA.TABLE, table);
}

function defaultScope({ type = 'unicast', gateway }: Route): Scope {
  if (type === 'local') return 'host';
  return type === 'unicast' && gateway === undefined ? 'link' : 'global';
}

function writeGateway(writer: MessageWriter, { family, gateway }: { family: number; gateway: string }): void {
  const bytes = ipBytes('route gateway', gateway);
  const gatewayFamily = familyOfBytes(bytes);
  if (gatewayFamily === family) {
    writer.bytes(RTA.GATEWAY, bytes);
    return;
  }
  const via = new Uint8Array(2 + bytes.length);
  new DataView(via.buffer).setUint16(0, gatewayFamily, littleEndian);
  via.set(bytes, 2);
  writer.bytes(RTA.VIA, via);
}

function writeAttributes(writer: MessageWriter, { route, family }: { route: Route; family: number }): void {
  const { gateway, linkIndex: index, preferredSource, metric, mtu, advertisedMss } = route;
  if (gateway !== undefined) writeGateway(writer, { family, gateway });
  if (index !== undefined) writer.uint32(RTA.OIF, linkIndex('route linkIndex', index));
  if (preferredSource !== undefined) {
    const bytes = ipBytes('route preferredSource', preferredSource);
    if (familyOfBytes(bytes) !== family) {
      throw invalidField('route preferredSource', {
        value: preferredSource,
        expected: `an ${familyName(family)} address`,
      });
    }
    writer.bytes(RTA.PREFSRC, bytes);
  }
  if (metric !== undefined) writer.uint32(RTA.PRIORITY, wholeNumber('route metric', metric));
  if (mtu === undefined && advertisedMss === undefined) return;
  writer.nested(RTA.METRICS, () => {
    if (mtu !== undefined) writer.uint32(RTAX.MTU, wholeNumber('route mtu', mtu, { min: 1, max: 0xffff }));
    if (advertisedMss !== undefined) {
      writer.uint32(RTAX.ADVMSS, wholeNumber('route advertisedMss', advertisedMss, { min: 1, max: 0xffff }));
    }
  });
}

function title({ destination, table }: RouteKey): string {
  return `route to "${destination}"${table === undefined ? '' : ` in table ${table}`}`;
}

function makeRoute(route: Route, flags: number): Uint8Array {
  const { type = 'unicast', table = RT_TABLE.MAIN, protocol = RTPROT.STATIC } = route;
  const { family, bytes, lengthBits } = networkBytes('route destination', route.destination);
  const typeNumber: number | undefined = typeNumbers[type];
  if (typeNumber === undefined) {
    throw invalidField('route type', { value: type, expected: `one of ${Object.keys(typeNumbers).join(', ')}` });
  }
  const scope = scopeNumber('route scope', route.scope ?? defaultScope(route));
  const writer = createMessageWriter({ type: RTM.NEWROUTE, flags: NLM_F.CREATE | flags });
  writeHeader(writer, {
    family,
    lengthBits,
    table: wholeNumber('route table', table, { min: 1 }),
    protocol: wholeNumber('route protocol', protocol, { min: 1, max: 0xff }),
    scope: family === AF.INET ? scope : RT_SCOPE.UNIVERSE,
    type: typeNumber,
    flags: route.onLink === true ? RTNH_F.ONLINK : 0,
  });
  writer.bytes(RTA.DST, bytes);
  writeAttributes(writer, { route, family });
  return writer.finish();
}

/** Adds a route; fails with `ALREADY_EXISTS` if there is one to the same destination with the same table and metric. */
export function addRoute(route: Route): Operation<void> {
  const message = makeRoute(route, NLM_F.EXCL);
  return { description: `Adding ${title(route)}`, message, isDump: false, decode: nothing };
}

/** Makes the route the one to its destination in its table and metric, whether or not there was one before. */
export function replaceRoute(route: Route): Operation<void> {
  const message = makeRoute(route, NLM_F.REPLACE);
  return { description: `Replacing ${title(route)}`, message, isDump: false, decode: nothing };
}

/** Deletes a route; fails with `NOT_FOUND` if there is none like it. */
export function deleteRoute(key: RouteKey): Operation<void> {
  const { table = RT_TABLE.MAIN, protocol = RTPROT.UNSPEC } = key;
  const { family, bytes, lengthBits } = networkBytes('route destination', key.destination);
  const writer = createMessageWriter({ type: RTM.DELROUTE });
  writeHeader(writer, {
    family,
    lengthBits,
    table: wholeNumber('route table', table, { min: 1 }),
    protocol: wholeNumber('route protocol', protocol, { max: 0xff }),
    scope: RT_SCOPE.NOWHERE,
  });
  writer.bytes(RTA.DST, bytes);
  writeAttributes(writer, { route: key, family });
  return { description: `Deleting ${title(key)}`, message: writer.finish(), isDump: false, decode: nothing };
}

/** The next hop: RTA_GATEWAY, or RTA_VIA, where two bytes of family come first. */
function decodeGateway(attributes: Attributes): string | undefined {
  const via = attributes.bytes(RTA.VIA);
  return via === undefined ? attributes.ip(RTA.GATEWAY) : ipText(via.subarray(2));
}

/** Reads the body of an RTM_NEWROUTE or RTM_DELROUTE message; undefined for routes of other families and types. */
export function decodeRoute(body: Uint8Array): RouteState | undefined {
  const { fixed, attributes } = splitBody(body, headerBytes);
  const family = familyName(fixed.getUint8(0));
  const type = (Object.keys(typeNumbers) as RouteType[]).find((name) => typeNumbers[name] === fixed.getUint8(7));
  if (family === undefined || type === undefined) return undefined;
  const network = attributes.ip(RTA.DST) ?? (family === 'ipv4' ? '0.0.0.0' : '::');
  const metrics = attributes.nested(RTA.METRICS);
  const onLink = (fixed.getUint32(8, littleEndian) & RTNH_F.ONLINK) !== 0;
  return {
    family,
    destination: `${network}/${fixed.getUint8(1)}`,
    type,
    table: attributes.uint32(RTA.TABLE) ?? fixed.getUint8(4),
    scope: scopeName(fixed.getUint8(6)),
    protocol: fixed.getUint8(5),
    ...withoutUndefined({
      gateway: decodeGateway(attributes),
      onLink: onLink ? true : undefined,
      linkIndex: attributes.uint32(RTA.OIF),
      preferredSource: attributes.ip(RTA.PREFSRC),
      metric: attributes.uint32(RTA.PRIORITY),
      mtu: metrics?.uint32(RTAX.MTU),
      advertisedMss: metrics?.uint32(RTAX.ADVMSS),
    }),
  };
}

/** Lists routes of the namespace, those of all tables unless one is named; a table that nobody uses is empty. */
export function listRoutes(filter: RouteFilter = {}): Operation<RouteState[]> {
  const { family, table, linkIndex: index, protocol } = filter;
  const writer = createMessageWriter({ type: RTM.GETROUTE, flags: NLM_F.DUMP });
  writeHeader(writer, {
    family: familyNumber(family),
    ...withoutUndefined({
      table: table === undefined ? undefined : wholeNumber('filter table', table, { min: 1 }),
      protocol: protocol === undefined ? undefined : wholeNumber('filter protocol', protocol, { min: 1, max: 0xff }),
    }),
  });
  if (index !== undefined) writer.uint32(RTA.OIF, linkIndex('filter linkIndex', index));
  // The kernel filters too, but an IPv6 dump of all families may ignore what it was asked.
  const wanted = (route: RouteState | undefined): route is RouteState =>
    route !== undefined &&
    (table === undefined || route.table === table) &&
    (index === undefined || route.linkIndex === index) &&
    (protocol === undefined || route.protocol === protocol);
  const operation: Operation<RouteState[]> = {
    description: 'Listing routes',
    message: writer.finish(),
    isDump: true,
    decode: (bodies) => bodies.map(decodeRoute).filter(wanted),
  };
  return tolerating(operation, { code: 'NOT_FOUND', result: [] });
}
