// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { parseRpcAddress, parseTcpAddress, type TlsFiles } from '@weir/rpc';
import { checkedFlag, choiceFlag } from '@weir/service';
import { Option } from 'commander';

/** Where the page is served, and to whom. */
export interface PageOptions {
  readonly host: string;
  readonly port: number;
  /** What the server shows; undefined: it speaks in clear text. */
  readonly tls: Pick<TlsFiles, 'certificate' | 'key'> | undefined;
  /** Whoever wants flows must show what this file holds; undefined: anybody on this machine may have them. */
  readonly tokenFile: string | undefined;
}

/** What the flags of {@link pageFlags} say. */
export interface PageFlags {
  readonly pageListen?: string;
  readonly pageTokenFile?: string;
  readonly pageTlsCert?: string;
  readonly pageTlsKey?: string;
  readonly pagePlaintext: 'loopback' | 'anywhere';
}

const refuse = (message: string): WeirError => new WeirError('INVALID_ARGUMENT', message);

/** The page that people look at. */
export const pageFlags = (): readonly Option[] => [
  new Option('--page-listen <address>', 'host:port of a page that shows services and flows (default: none)').argParser(
    checkedFlag((text) => (parseTcpAddress(text), text)),
  ),
  new Option('--page-token-file <file>', 'what a reader of the page must know; read again when it changes'),
  new Option('--page-tls-cert <file>', 'certificate of the page; read again when it changes'),
  new Option('--page-tls-key <file>', 'key of that certificate'),
  choiceFlag('--page-plaintext <where>', 'where the page may be served in clear text', ['loopback', 'anywhere']),
];

function tlsOf({ pageTlsCert, pageTlsKey }: PageFlags): PageOptions['tls'] {
  if (pageTlsCert !== undefined && pageTlsKey !== undefined) return { certificate: pageTlsCert, key: pageTlsKey };
  if (pageTlsCert === undefined && pageTlsKey === undefined) return undefined;
  throw refuse(`--page-tls-${pageTlsCert === undefined ? 'cert' : 'key'} is missing: both files are needed`);
}

/**
 * Where the page is served; undefined: nowhere. INVALID_ARGUMENT names the flag without which others than this machine would
 * see flows.
 */
export function pageFromFlags(flags: PageFlags): PageOptions | undefined {
  const { pageListen, pageTokenFile: tokenFile, pagePlaintext } = flags;
  const tls = tlsOf(flags);
  if (pageListen === undefined) {
    if (tls === undefined && tokenFile === undefined) return undefined;
    throw refuse(`${tls === undefined ? '--page-token-file' : '--page-tls-cert'} needs --page-listen`);
  }
  const address = parseRpcAddress(pageListen);
  const isLoopback = address.kind === 'tcp' && address.loopback;
  const elsewhere = `--page-listen "${pageListen}" can be reached from other machines`;
  if (!isLoopback && tokenFile === undefined) throw refuse(`${elsewhere}: it needs --page-token-file`);
  if (!isLoopback && tls === undefined && pagePlaintext === 'loopback') {
    throw refuse(`${elsewhere}: it needs --page-tls-cert and --page-tls-key, or --page-plaintext anywhere`);
  }
  return { ...parseTcpAddress(pageListen), tls, tokenFile };
}
