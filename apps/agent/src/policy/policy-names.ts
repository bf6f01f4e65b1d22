// SPDX-License-Identifier: Apache-2.0
import type { EntryOrigin } from '@weir/policy';

/** What people call a policy: its key without the kind. */
export const policyName = (key: string): string => key.split('/').slice(1).filter(Boolean).join('/');

/** What of a rule names its policy. */
export type Origin = Pick<EntryOrigin, 'policy'>;

/** The policies behind an entry, each once. */
export const originNames = (origins: readonly Origin[]): string[] => [
  ...new Set(origins.map(({ policy }) => policyName(policy))),
];
