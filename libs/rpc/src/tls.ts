// SPDX-License-Identifier: Apache-2.0
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import { experimental, type ChannelCredentials, type ServerCredentials } from '@grpc/grpc-js';
import { WeirError } from '@weir/errors';
import type { Logger } from '@weir/telemetry';

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

interface Material {
  readonly ca: Buffer;
  readonly certificate: Buffer;
  readonly key: Buffer;
}

type Provider = Parameters<typeof experimental.createCertificateProviderServerCredentials>[0];
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

const checkIntervalMs = 1_000;

/** Reads the files. FAILED_PRECONDITION names the file that cannot be used, and why. */
export function openTlsIdentity(files: TlsFiles, log?: Logger): TlsIdentity {
  let material = readMaterial(files);
  let stamp = stampOf(files);
  const caListeners = new Set<CaListener>();
  const identityListeners = new Set<IdentityListener>();
  const tellCa = (listener: CaListener): void => listener({ caCertificate: material.ca });
  const tellIdentity = (listener: IdentityListener): void =>
    listener({ certificate: material.certificate, privateKey: material.key });
  const check = (): void => {
    const found = stampOf(files);
    if (found === stamp) return;
    // Half-written files are looked at again at the next change.
    stamp = found;
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
  const timer = setInterval(check, checkIntervalMs).unref();
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
    close: () => clearInterval(timer),
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

const stampOf = (files: TlsFiles): string =>
  [files.ca, files.certificate, files.key]
    .map((path) => {
      const stat = statSync(path, { throwIfNoEntry: false });
      return stat === undefined ? 'none' : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
    })
    .join();

function readMaterial(files: TlsFiles): Material {
  const read = <Parsed>(path: string, parse: (text: Buffer) => Parsed): { text: Buffer; parsed: Parsed } => {
    try {
      const text = readFileSync(path);
      return { text, parsed: parse(text) };
    } catch (error) {
      throw unusable(path, (error as Error).message);
    }
  };
  const ca = read(files.ca, (text) => new X509Certificate(text));
  const certificate = read(files.certificate, (text) => new X509Certificate(text));
  const key = read(files.key, (text) => createPrivateKey(text));
  for (const [path, { parsed }] of [
    [files.ca, ca],
    [files.certificate, certificate],
  ] as const) {
    if (parsed.validToDate.getTime() < Date.now()) throw unusable(path, `it expired on ${parsed.validTo}`);
  }
  if (!certificate.parsed.checkPrivateKey(key.parsed))
    throw unusable(files.key, `it does not fit "${files.certificate}"`);
  return { ca: ca.text, certificate: certificate.text, key: key.text };
}

const unusable = (path: string, reason: string): WeirError =>
  new WeirError('FAILED_PRECONDITION', `Cannot use "${path}" for TLS: ${reason}`, { details: { path } });
