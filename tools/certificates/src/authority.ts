// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WeirError } from '@weir/errors';

export interface AuthorityOptions {
  /** Where keys and certificates are; made when it is not there. */
  readonly directory: string;
  /** What the authority calls itself; `Weir` by default. */
  readonly name?: string;
}

export interface IssueOptions {
  /** How long it is valid, in days from now; 365 by default. */
  readonly days?: number;
  /** What its files are called; the first name by default. */
  readonly file?: string;
}

/** Paths of a certificate, its key, and the authority's certificate. */
export interface CertificateFiles {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Issues certificates that services show to each other. */
export interface Authority {
  /** Writes a certificate for the names, and its key; replaces what is there, the certificate last. */
  issue(names: readonly [string, ...string[]], options?: IssueOptions): CertificateFiles;
}

const namePattern = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/;
const authorityDays = 3650;
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'] as const;

/** Opens the authority in a directory, or makes one (`ca.crt`, `ca.key`). FAILED_PRECONDITION says what openssl objects to. */
export function createAuthority({ directory, name = 'Weir' }: AuthorityOptions): Authority {
  mkdirSync(directory, { recursive: true, mode: 0o750 });
  const at = (file: string): string => join(directory, file);
  const ca = { certificate: at('ca.crt'), key: at('ca.key') };
  if (!existsSync(ca.certificate) || !existsSync(ca.key)) {
    const subject = ['-subj', `/CN=${name}`, '-days', String(authorityDays)];
    const usage = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
    openssl(['req', '-x509', ...newKey, '-keyout', ca.key, '-out', ca.certificate, ...subject, ...usage]);
    chmodSync(ca.key, 0o600);
  }
  return {
    issue(names, { days = 365, file = names[0] } = {}) {
      const wrong = names.find((each) => !namePattern.test(each));
      if (wrong !== undefined) throw new WeirError('INVALID_ARGUMENT', `"${wrong}" is not a name for a certificate`);
      const [request, extensions] = [at(`${file}.csr`), at(`${file}.ext`)];
      const files = { ca: ca.certificate, certificate: at(`${file}.crt`), key: at(`${file}.key`) };
      const alternatives = names.map((each) => `DNS:${each}`).join(',');
      writeFileSync(extensions, `subjectAltName=${alternatives}\nextendedKeyUsage=serverAuth,clientAuth\n`);
      try {
        openssl([
          'req',
          '-new',
          ...newKey,
          '-keyout',
          files.key,
          '-out',
          request,
          '-subj',
          `/CN=${names[0].slice(0, 64)}`,
        ]);
        chmodSync(files.key, 0o600);
        const signer = ['-CA', ca.certificate, '-CAkey', ca.key, '-CAcreateserial', '-days', String(days)];
        openssl(['x509', '-req', '-in', request, ...signer, '-extfile', extensions, '-out', files.certificate]);
      } finally {
        rmSync(request, { force: true });
        rmSync(extensions, { force: true });
      }
      return files;
    },
  };
}

function openssl(args: readonly string[]): void {
  try {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (error) {
    const { stderr } = error as { stderr?: Buffer };
    const reason = stderr?.toString().trim() ?? (error as Error).message;
    throw new WeirError('FAILED_PRECONDITION', `openssl ${args[0] ?? ''} fails: ${reason}`, { cause: error });
  }
}
