// SPDX-License-Identifier: Apache-2.0

/**
 * Every error code that any part of Weir uses, with a sentence for `docs/errors.md` (a test keeps the two equal).
 * Codes are stable: scripts and alerts hold on to them.
 */
export const errorCatalogue = {
  INTERNAL: 'A bug in Weir: something that was believed impossible has happened',
  INVALID_ARGUMENT: 'A value from outside is malformed; the message names the field, the value and what was expected',
  NOT_FOUND: 'The thing that was named does not exist',
  ALREADY_EXISTS: 'The thing that should be made exists already, and differs',
  FAILED_PRECONDITION: 'The system is not in the state that the operation needs',
  UNAVAILABLE: 'A service that is needed cannot be reached now; trying again later may help',
  TIMEOUT: 'An operation did not finish within its deadline',
  RESOURCE_EXHAUSTED: 'A limit is reached: addresses, identities, map entries, queue space',
  PERMISSION_DENIED: 'The process lacks a capability or the caller a right that the operation needs',
  NOT_SUPPORTED: 'This kernel or machine lacks what the operation needs; the message gives the minimum kernel version',
  CANCELLED: 'The operation was stopped on purpose before it finished',
  SYSTEM_CALL_FAILED: 'The kernel refused a system call; the error carries errno and the operation',
  CORRUPT_STATE: 'A state file or a pinned map is not what this version expects; it was left as it is',
} as const;

/** One of the stable codes of the catalogue. */
export type ErrorCode = keyof typeof errorCatalogue;
