// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { Command } from 'commander';

/** What the flags of {@link addTlsFlags} say. */
export interface TlsFlags {
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

/** Paths of PEM files. */
export interface TlsFilePaths {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Adds `--tls-ca`, `--tls-cert` and `--tls-key`. */
export function addTlsFlags(command: Command): Command {
  return command
    .option('--tls-ca <file>', 'authority of all services: everything over TCP is mutual TLS')
    .option('--tls-cert <file>', 'certificate of this service; read again when it changes')
    .option('--tls-key <file>', 'key of the certificate');
}

/** The three files; undefined without any of them. INVALID_ARGUMENT names the one that is missing. */
export function tlsFromFlags({ tlsCa: ca, tlsCert: certificate, tlsKey: key }: TlsFlags): TlsFilePaths | undefined {
  if (ca !== undefined && certificate !== undefined && key !== undefined) return { ca, certificate, key };
  if (ca === undefined && certificate === undefined && key === undefined) return undefined;
  const missing = Object.entries({ '--tls-ca': ca, '--tls-cert': certificate, '--tls-key': key }).flatMap(
    ([flag, value]) => (value === undefined ? [flag] : []),
  );
  throw new WeirError('INVALID_ARGUMENT', `${missing.join(' and ')} is missing: all three of the TLS files are needed`);
}
