// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import {
  announcementFromWire,
  announcementToWire,
  type AnnouncementDelta,
  type WireAnnouncement,
} from '../cluster/announcement-delta.ts';
import { parseLabelSet } from '@weir/model';
import type { StoredIdentity } from './identity-store.ts';

/** One change of the state, as one replica tells it the others. */
export type StateChange =
  | { readonly kind: 'identity'; readonly identity: StoredIdentity }
  | { readonly kind: 'hold'; readonly node: string; readonly id: number }
  | { readonly kind: 'release'; readonly node: string; readonly id: number }
  /** The node's lease ran out: it holds nothing any more. */
  | { readonly kind: 'expire'; readonly node: string }
  /** What is new of what a node says of itself. */
  | { readonly kind: 'announce'; readonly announcement: AnnouncementDelta }
  /** These nodes have renewed their leases. */
  | { readonly kind: 'renewed'; readonly nodes: readonly string[] };

type WireChange =
  | readonly ['identity', number, string, number, 0 | 1]
  | readonly ['hold' | 'release', string, number]
  | readonly ['expire', string]
  | readonly ['announce', WireAnnouncement]
  | readonly ['renewed', ...string[]];

/** A change as JSON writes it. */
export function changeToWire(change: StateChange): WireChange {
  switch (change.kind) {
    case 'identity': {
      const { id, labels, revision, retired } = change.identity;
      return ['identity', id, labels.key, revision, retired ? 1 : 0];
    }
    case 'hold':
    case 'release':
      return [change.kind, change.node, change.id];
    case 'expire':
      return ['expire', change.node];
    case 'announce':
      return ['announce', announcementToWire(change.announcement)];
    case 'renewed':
      return ['renewed', ...change.nodes];
  }
}

/** Reads what {@link changeToWire} made. CORRUPT_STATE names what is something else. */
export function changeFromWire(wire: unknown): StateChange {
  const [kind, ...fields] = Array.isArray(wire) ? (wire as unknown[]) : [];
  switch (kind) {
    case 'identity':
      return { kind, identity: identityFromFields(fields) };
    case 'hold':
    case 'release':
      if (typeof fields[0] === 'string' && Number.isInteger(fields[1])) {
        return { kind, node: fields[0], id: fields[1] as number };
      }
      break;
    case 'expire':
      if (typeof fields[0] === 'string') return { kind, node: fields[0] };
      break;
    case 'announce':
      return { kind, announcement: announcementFromWire(fields[0]) };
    case 'renewed':
      return { kind, nodes: fields.map(String) };
  }
  throw new WeirError('CORRUPT_STATE', `${JSON.stringify(wire)} is not a change of the identity store`);
}

function identityFromFields([id, key, revision, retired]: readonly unknown[]): StoredIdentity {
  try {
    const labels = parseLabelSet(String(key).split(';').slice(0, -1));
    if (labels.key !== key) throw new WeirError('CORRUPT_STATE', `expected "${labels.key}"`);
    return { id: Number(id), labels, revision: Number(revision), retired: retired === 1 };
  } catch (error) {
    const { message } = WeirError.from(error);
    throw new WeirError('CORRUPT_STATE', `Identity ${String(id)} has labels "${String(key)}": ${message}`);
  }
}
