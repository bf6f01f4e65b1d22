// SPDX-License-Identifier: Apache-2.0
import type { EntryOrigin } from '@weir/policy';

/** What people call a policy: its key without the kind. */
export const policyName = (key: string): string => key.split('/').slice(1).filter(Boolean).join('/');

/** The policies behind an entry, each once. */
export const originNames = (origins: readonly EntryOrigin[]): string[] => [
  ...new Set(origins.map(({ policy }) => policyName(policy))),
];
