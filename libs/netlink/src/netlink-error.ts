// SPDX-License-Identifier: Apache-2.0
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import { KernelError, type NetlinkAnswer } from '@weir/bpf-loader-node';
import type { ErrorCode } from '@weir/errors';

const codes: Readonly<Record<string, ErrorCode>> = {
  EEXIST: 'ALREADY_EXISTS',
  ENOENT: 'NOT_FOUND',
  ENODEV: 'NOT_FOUND',
  // What the kernel says of a route and of an address, respectively, that is not there.
  ESRCH: 'NOT_FOUND',
  EADDRNOTAVAIL: 'NOT_FOUND',
  EINVAL: 'INVALID_ARGUMENT',
  ERANGE: 'INVALID_ARGUMENT',
  ENETUNREACH: 'FAILED_PRECONDITION',
  EHOSTUNREACH: 'FAILED_PRECONDITION',
  ENETDOWN: 'FAILED_PRECONDITION',
  EBUSY: 'FAILED_PRECONDITION',
  ENOBUFS: 'RESOURCE_EXHAUSTED',
};

/** The error for an operation that the kernel refused: its errno and its own words, under the operation's description. */
export function netlinkError(description: string, { errno, extendedAck }: NetlinkAnswer): KernelError {
  const errnoName = getSystemErrorName(-errno);
  const message = extendedAck === undefined ? `${description} failed` : `${description} failed ("${extendedAck}")`;
  const failure = { message, operation: 'rtnetlink', errno, errnoName, errnoText: getSystemErrorMessage(-errno) };
  return new KernelError(failure, codes[errnoName]);
}
