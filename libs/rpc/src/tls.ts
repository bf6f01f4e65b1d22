// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import { experimental, type ChannelCredentials, type ServerCredentials } from '@grpc/grpc-js';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';
import { watchFiles } from './watch-files.ts';

/** Paths of PEM files. They are read again when they change; what cannot be used is left alone until it can. */
export interface TlsFiles {
  /** The authorities whose certificates are accepted. */
  readonly ca: string;
  /** What we show, with intermediate certificates after it if there are any. */
  readonly certificate: string;
  readonly key: string;
}

/** Both sides show a certificate that the other's authority has signed. */
export interface TlsIdentity {
  readonly credentials: { client(serverName: string): ChannelCredentials; server(): ServerCredentials };
  /** Stops looking at the files. */
  close(): void;
}

/** A certificate and its key, as PEM. */
export interface KeyPair {
  readonly certificate: Buffer;
  readonly key: Buffer;
}

interface Material extends KeyPair {
  readonly ca: Buffer;
}

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

/** Reads the files. FAILED_PRECONDITION names the file that cannot be used, and why. */
export function openTlsIdentity(files: TlsFiles, log?: Logger): TlsIdentity {
  let material = readMaterial(files);
  const caListeners = new Set<CaListener>();
  const identityListeners = new Set<IdentityListener>();
  const tellCa = (listener: CaListener): void => listener({ caCertificate: material.ca });
  const tellIdentity = (listener: IdentityListener): void =>
    listener({ certificate: material.certificate, privateKey: material.key });
  const readAgain = (): void => {
    try {
      material = readMaterial(files);
    } catch (error) {
      log?.warn({ error }, 'Cannot use the new certificate, the old one stays');
      return;
    }
    caListeners.forEach(tellCa);
    identityListeners.forEach(tellIdentity);
    log?.info({ path: files.certificate }, 'Certificate read again');
  };
  const close = watchFiles([files.ca, files.certificate, files.key], readAgain);
  const provider: Provider = {
    addCaCertificateListener(listener) {
      caListeners.add(listener);
      process.nextTick(tellCa, listener);
    },
    removeCaCertificateListener: (listener) => void caListeners.delete(listener),
    addIdentityCertificateListener(listener) {
      identityListeners.add(listener);
      process.nextTick(tellIdentity, listener);
    },
    removeIdentityCertificateListener: (listener) => void identityListeners.delete(listener),
  };
  return {
    credentials: {
      client: (serverName) =>
        experimental.createCertificateProviderChannelCredentials(provider, provider, {
          checkServerIdentity: (_host, certificate) => refuseOtherName(serverName, certificate),
        }),
      server: () => experimental.createCertificateProviderServerCredentials(provider, provider, true),
    },
    close,
  };
}

/** The DNS names of a certificate. */
export const namesOf = ({ subjectaltname = '' }: { readonly subjectaltname?: string | undefined }): string[] =>
  subjectaltname.split(', ').flatMap((name) => (name.startsWith('DNS:') ? [name.slice('DNS:'.length)] : []));

/** The name is what the service is, not where it runs: addresses come and go. */
function refuseOtherName(serverName: string, certificate: PeerCertificate): Error | undefined {
  const names = namesOf(certificate);
  if (names.includes(serverName)) return undefined;
  const found = names.join(', ') || 'nothing';
  return new WeirError('PERMISSION_DENIED', `the server's certificate is for "${found}", expected "${serverName}"`);
}

function read<Parsed>(path: string, parse: (text: Buffer) => Parsed): { text: Buffer; parsed: Parsed } {
  try {
    const text = readFileSync(path);
    return { text, parsed: parse(text) };
  } catch (error) {
    throw unusable(path, (error as Error).message);
  }
}

function readCertificate(path: string): { text: Buffer; parsed: X509Certificate } {
  const found = read(path, (text) => new X509Certificate(text));
  if (found.parsed.validToDate.getTime() >= Date.now()) return found;
  throw unusable(path, `it expired on ${found.parsed.validTo}`);
}

/** Reads a certificate and its key. FAILED_PRECONDITION names the file that cannot be used, and why. */
export function readKeyPair(files: Pick<TlsFiles, 'certificate' | 'key'>): KeyPair {
  const certificate = readCertificate(files.certificate);
  const key = read(files.key, (text) => createPrivateKey(text));
  if (certificate.parsed.checkPrivateKey(key.parsed)) return { certificate: certificate.text, key: key.text };
  throw unusable(files.key, `it does not fit "${files.certificate}"`);
}

const readMaterial = (files: TlsFiles): Material => ({ ca: readCertificate(files.ca).text, ...readKeyPair(files) });

const unusable = (path: string, reason: string): WeirError =>
  new WeirError('FAILED_PRECONDITION', `Cannot use "${path}" for TLS: ${reason}`, { details: { path } });
