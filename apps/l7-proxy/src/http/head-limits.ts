// SPDX-License-Identifier: Apache-2.0

/** How much a head may hold. */
export interface HeadLimits {
  /** Field lines. */
  readonly fieldsMax: number;
  /** From the first byte of the head, or of the empty lines before it, to the last. */
  readonly headBytesMax: number;
}
