// SPDX-License-Identifier: Apache-2.0
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { WeirError } from '@weir/errors';
import { watchFiles } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';

/** Why a request is not answered. */
export interface Refusal {
  readonly status: 401 | 403;
  readonly message: string;
}

/** Who may have flows. */
export interface PageAccess {
  /** Undefined: whoever asks may. */
  refusal(request: IncomingMessage): Refusal | undefined;
  close(): void;
}

const tokenLengthMin = 16;
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

function readToken(path: string): string {
  const unusable = (reason: string, cause?: unknown): WeirError =>
    new WeirError('FAILED_PRECONDITION', `Cannot use "${path}" of --page-token-file: ${reason}`, { cause });
  try {
    const token = readFileSync(path, 'utf8').trim();
    if (token.length >= tokenLengthMin && /^[\x21-\x7e]+$/.test(token)) return token;
    throw unusable(`a token has ${tokenLengthMin} printable characters or more, and no blanks`);
  } catch (error) {
    if (error instanceof WeirError) throw error;
    throw unusable((error as Error).message, error);
  }
}

/** Whoever shows the token. One that has changed holds from then on, also for streams that are open: `onChange`. */
function accessByToken(path: string, { onChange, logger }: { onChange: () => void; logger: Logger }): PageAccess {
  let expected = digest(readToken(path));
  const close = watchFiles([path], () => {
    try {
      expected = digest(readToken(path));
    } catch (error) {
      return logger.warn({ error }, 'Cannot use the new token, the old one stays');
    }
    logger.info({ path }, 'Token of the page read again');
    onChange();
  });
  return {
    refusal({ headers: { authorization = '' } }) {
      const shown = /^Bearer (\S+)$/i.exec(authorization)?.[1];
      if (shown === undefined) return { status: 401, message: 'This page needs a token' };
      return timingSafeEqual(digest(shown), expected) ? undefined : { status: 401, message: 'This is not the token' };
    },
    close,
  };
}

const loopbackHost = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/;

/**
 * Whoever is on this machine. The name by which a browser has found us must be one of this machine's: a page of somebody
 * else's, under a name that leads here, would be of our origin.
 */
const accessByMachine: PageAccess = {
  refusal({ headers: { host = '' } }) {
    if (loopbackHost.test(host)) return undefined;
    return { status: 403, message: 'Without a token this page is for addresses of this machine: use 127.0.0.1' };
  },
  close: () => undefined,
};

/** Makes the check. FAILED_PRECONDITION for a file of a token that cannot be used. */
export const createPageAccess = (
  tokenFile: string | undefined,
  options: { readonly onChange: () => void; readonly logger: Logger },
): PageAccess => (tokenFile === undefined ? accessByMachine : accessByToken(tokenFile, options));
