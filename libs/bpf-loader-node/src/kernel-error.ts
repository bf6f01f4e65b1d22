// SPDX-License-Identifier: Apache-2.0
import { WeirError, type ErrorCode } from '@weir/errors';
import { findVerdict, firstComplaint, type VerifierVerdict } from './verifier-log.ts';

/** What the addon says about a failure; `code` is set only when no errno decides it. */
export interface NativeFailure {
  readonly code?: ErrorCode;
  readonly message: string;
  readonly operation?: string;
  readonly errno?: number;
  readonly errnoName?: string;
  readonly errnoText?: string;
  readonly log?: string;
  readonly processed?: number;
}

const codeOfErrno: Readonly<Record<string, ErrorCode>> = {
  EPERM: 'PERMISSION_DENIED',
  EACCES: 'PERMISSION_DENIED',
  ENOENT: 'NOT_FOUND',
  ENODEV: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
  E2BIG: 'RESOURCE_EXHAUSTED',
  ENOSPC: 'RESOURCE_EXHAUSTED',
  ENOMEM: 'RESOURCE_EXHAUSTED',
  EMFILE: 'RESOURCE_EXHAUSTED',
  ENFILE: 'RESOURCE_EXHAUSTED',
  EOPNOTSUPP: 'NOT_SUPPORTED',
  ENOTSUPP: 'NOT_SUPPORTED',
  ENOSYS: 'NOT_SUPPORTED',
  ENOBUFS: 'RESOURCE_EXHAUSTED',
  ECONNREFUSED: 'UNAVAILABLE',
  ECONNRESET: 'UNAVAILABLE',
  EHOSTUNREACH: 'UNAVAILABLE',
  ENETUNREACH: 'UNAVAILABLE',
  ETIMEDOUT: 'TIMEOUT',
};

/** The kernel refused an operation: carries the errno, its name and the operation, also in `details`. */
export class KernelError extends WeirError {
  /** Positive errno, e.g. 2. */
  readonly errno: number;
  /** e.g. "ENOENT". */
  readonly errnoName: string;
  /** The system call or libbpf operation, e.g. "bpf_link_create". */
  readonly operation: string;
  /** All that libbpf and the verifier said, whole; empty if they said nothing. */
  readonly log: string;

  constructor(failure: NativeFailure, code?: ErrorCode) {
    const { errno = 0, errnoName = 'unknown', operation = 'unknown', processed } = failure;
    super(code ?? codeOfErrno[errnoName] ?? 'SYSTEM_CALL_FAILED', describeFailure(failure), {
      details: { operation, errno, errnoName, ...(processed === undefined ? {} : { processed }) },
    });
    this.name = 'KernelError';
    this.errno = errno;
    this.errnoName = errnoName;
    this.operation = operation;
    this.log = failure.log ?? '';
  }
}

/** The verifier refused a program. The message has its reason, `log` all of what it said. */
export class VerifierError extends KernelError {
  readonly verdict: VerifierVerdict;

  constructor(failure: NativeFailure, verdict: VerifierVerdict) {
    const { program, reason, source } = verdict;
    const where = source === undefined ? '' : ` at "${source}"`;
    const message = `${failure.message}: the verifier refused "${program}"${where}: ${reason}`;
    // Its errno (EACCES, EINVAL …) says nothing about rights or arguments.
    super({ ...failure, message }, 'SYSTEM_CALL_FAILED');
    this.name = 'VerifierError';
    this.verdict = verdict;
  }
}

/** Turns what the addon reports into the error that is thrown. */
export function errorFromNative(failure: NativeFailure): WeirError {
  if (failure.code !== undefined) return new WeirError(failure.code, failure.message);
  const verdict = findVerdict(failure.log ?? '');
  if (verdict !== undefined) return new VerifierError(failure, verdict);
  const complaint = firstComplaint(failure.log ?? '');
  return new KernelError(
    complaint === undefined ? failure : { ...failure, message: `${failure.message}: ${complaint}` },
  );
}

function describeFailure({ message, errnoText, errnoName }: NativeFailure): string {
  return errnoName === undefined ? message : `${message}: ${errnoText} (${errnoName})`;
}
