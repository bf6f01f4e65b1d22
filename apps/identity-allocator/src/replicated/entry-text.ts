// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { deltaOf } from '../cluster/announcement-delta.ts';
import type { Announcement } from '../cluster/cluster-directory.ts';
import type { StoredState } from '../store/identity-state.ts';
import { changeFromWire, changeToWire, type StateChange } from '../store/state-change.ts';

// Anything but ASCII is escaped, so that a character is a byte and a text may be cut anywhere.
const asciiJson = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[^\x00-\x7f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Changes as an entry of the log. */
export const entryFromChanges = (changes: readonly StateChange[]): string => asciiJson(changes.map(changeToWire));

/** Reads what {@link entryFromChanges} made. CORRUPT_STATE names what is something else. */
export function changesFromEntry(entry: string): StateChange[] {
  const parsed = parseJson(entry);
  if (!Array.isArray(parsed))
    throw new WeirError('CORRUPT_STATE', `"${entry.slice(0, 64)}" is not an entry of the log`);
  return (parsed as unknown[]).map(changeFromWire);
}

/** The whole state as one text, which reads like an entry that makes it out of nothing. */
export const snapshotFromState = (
  { identities, references }: StoredState,
  announcements: Iterable<Announcement>,
): string =>
  entryFromChanges([
    ...[...identities].map((identity): StateChange => ({ kind: 'identity', identity })),
    ...[...references].map((reference): StateChange => ({ kind: 'hold', ...reference })),
    ...[...announcements].flatMap((all): StateChange[] => {
      const announcement = deltaOf(all, undefined);
      return announcement === undefined ? [] : [{ kind: 'announce', announcement }];
    }),
  ]);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
