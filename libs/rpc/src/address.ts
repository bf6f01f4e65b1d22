// SPDX-License-Identifier: Apache-2.0
import { isIP } from 'node:net';
import { WeirError } from '@weir/errors';

/** Where a service listens or is reached. */
export type RpcAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly loopback: boolean };

// sun_path holds 108 bytes with its final zero (unix(7)).
const unixPathBytesMax = 107;
const loopbackPattern = /^(localhost|::1|127(\.\d+){3})$/;

const malformed = (text: string, expected: string): WeirError =>
  new WeirError('INVALID_ARGUMENT', `Address "${text}" ${expected}`, { details: { address: text } });

/**
 * Reads `unix:/absolute/path` or `host:port`, where the host is a name, an IPv4 address or an IPv6 address in brackets.
 * INVALID_ARGUMENT says what is wrong with anything else.
 */
export function parseRpcAddress(text: string): RpcAddress {
  if (text.startsWith('unix:')) return parseUnix(text, text.slice('unix:'.length));
  const match = /^(?:\[(?<v6>[^\]]*)\]|(?<host>[^:]+)):(?<port>\d{1,5})$/.exec(text);
  if (match === null) throw malformed(text, 'is neither "unix:/absolute/path" nor "host:port"');
  const port = Number(match.groups?.port);
  if (port > 65535) throw malformed(text, `has port ${port}, expected 0–65535`);
  const v6 = match.groups?.v6;
  if (v6 !== undefined && isIP(v6) !== 6) throw malformed(text, `has "${v6}" in brackets, expected an IPv6 address`);
  const host = v6 ?? match.groups?.host ?? '';
  return { kind: 'tcp', host, port, loopback: loopbackPattern.test(host) };
}

/** Reads `host:port`, of what is not served over unix sockets. Throws INVALID_ARGUMENT. */
export function parseTcpAddress(text: string): { readonly host: string; readonly port: number } {
  const address = parseRpcAddress(text);
  if (address.kind === 'tcp') return { host: address.host, port: address.port };
  throw new WeirError('INVALID_ARGUMENT', `Address "${text}" is a unix socket, expected "host:port"`);
}

function parseUnix(text: string, path: string): RpcAddress {
  if (!path.startsWith('/')) throw malformed(text, 'needs an absolute path after "unix:"');
  if (path.endsWith('/')) throw malformed(text, 'names a directory, expected a socket');
  const bytes = Buffer.byteLength(path);
  if (bytes > unixPathBytesMax) {
    throw malformed(text, `has a path of ${bytes} bytes; the kernel takes ${unixPathBytesMax} at most`);
  }
  return { kind: 'unix', path };
}

/** The address in the form that grpc-js resolves. */
export function grpcTarget(address: RpcAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
