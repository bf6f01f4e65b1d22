// SPDX-License-Identifier: Apache-2.0

/**
 * Every key that a log line may carry. One list for all services, so that a search for `node` or `identity` finds
 * everything; the compiler refuses a key that is not in it. Quantities end in their unit.
 */
export interface LogFields {
  // Who and where.
  readonly node?: string | undefined;
  readonly address?: string | undefined;
  readonly peer?: string | undefined;
  readonly method?: string | undefined;
  readonly path?: string | undefined;
  readonly version?: string | undefined;
  readonly signal?: string | undefined;
  readonly pid?: number | undefined;

  // What it is about.
  readonly endpoint?: number | undefined;
  readonly pod?: string | undefined;
  readonly containerId?: string | undefined;
  readonly range?: string | undefined;
  readonly device?: string | undefined;
  readonly map?: string | undefined;
  readonly program?: string | undefined;
  readonly policy?: string | undefined;
  readonly service?: string | undefined;
  readonly identity?: number | undefined;
  readonly identities?: readonly number[] | undefined;
  readonly labels?: readonly string[] | undefined;
  readonly revision?: number | undefined;
  readonly epoch?: string | undefined;

  // How it went. An Error is written with its code, message, stack and causes.
  readonly error?: unknown;
  readonly reason?: string | undefined;
  readonly state?: string | undefined;
  readonly attempt?: number | undefined;
  readonly count?: number | undefined;
  readonly limit?: number | undefined;
  readonly bytes?: number | undefined;
  readonly durationMs?: number | undefined;
  readonly delayMs?: number | undefined;
}
