// SPDX-License-Identifier: Apache-2.0
import { WeirError, type ErrorCode } from '@weir/errors';

/** The error object of the CNI specification. Codes below 100 are the specification's. */
export interface CniErrorObject {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

const cniCodes: Partial<Record<ErrorCode, number>> = {
  INVALID_ARGUMENT: 7,
  NOT_FOUND: 3,
  UNAVAILABLE: 11,
  TIMEOUT: 11,
  CANCELLED: 11,
};

/** An error for which the specification has a code that says more than ours: put it into the details. */
export const cniDetail = {
  incompatibleVersion: { cniCode: 1 },
  notAvailable: { cniCode: 50 },
} as const;

/** What a runtime is told: 7 for a configuration that it must not try again, 11 for what may pass, above 100 for the rest. */
export function cniErrorOf(thrown: unknown, cniVersion: string): CniErrorObject {
  const error = WeirError.from(thrown);
  const { cniCode } = error.details;
  const cause = error.cause instanceof Error ? error.cause.message : undefined;
  return {
    cniVersion,
    code: typeof cniCode === 'number' ? cniCode : (cniCodes[error.code] ?? 100),
    msg: error.message,
    ...(cause === undefined || cause === error.message ? {} : { details: cause }),
  };
}
