// SPDX-License-Identifier: Apache-2.0
import { directionNames, dropReason, dropReasonNames } from '@weir/datapath-layout';
import { assert } from '@weir/errors';
import { parsePacket, type ParsedPacket } from '../packet/parse-packet.ts';
import type { Count } from './metrics.ts';
import { gatewayMac, pods } from './scene.ts';

const tcActOk = 0;
const tcActShot = 2;
const tcActRedirect = 7;
const markToProxy = 0x200;
/** Of a pod's packet that is to get the node's address where it leaves, see bpf/lib/packet.h. */
export const markMasquerade = 0x400;
/** Of a packet from outside to a backend elsewhere, and of an answer to such a caller. */
export const markToBackend = 0x500;
export const markOfService = 0x600;

/** What a program did with a packet. */
export interface Outcome {
  /**
   * `to client` (into that pod, or back to it), `back to the host` or `the proxy` (which has sent it), `to proxy`, `to stack`, `to outside` (to the stack, to get the node's
   * address where it leaves), `to backend` (the same for a caller from outside), `to caller` (to get a service's), `untouched` (as if there were no program), or
   * `dropped: policyDenied egress`, with the reason and the direction that were counted.
   */
  readonly verdict: string;
  readonly packet: ParsedPacket;
  readonly bytes: Uint8Array;
}

/** What went in and came out of one run. */
export interface RunRecord {
  readonly sent: Uint8Array;
  readonly result: { readonly retval: number; readonly data: Uint8Array };
  /** The mark that the packet had, and has. */
  readonly marks: readonly [before: number, after: number];
  /** What the metrics rose by. */
  readonly counted: readonly Count[];
}

// What the overlay's device would take for a loop is told by this from what it is to send: TUNNEL_SOURCE_MAC in bpf/lib.
const tunnelSourceMac = 'ee:ee:ee:ee:ee:ef';

function redirected(packet: ParsedPacket): string {
  const { source, destination } = packet.ethernet;
  if (source === tunnelSourceMac && destination === gatewayMac) return 'to overlay';
  if (source === gatewayMac && destination === gatewayMac) return 'back to the host';
  assert(source === gatewayMac, `a packet to a pod comes from the gateway's MAC address, found ${source}`);
  return `to ${pods.find(({ mac }) => mac === destination)?.name ?? destination}`;
}

function verdictOf({ sent, result, marks, counted }: RunRecord): string {
  const isUnchanged = Buffer.compare(sent, result.data) === 0;
  const [count, ...more] = counted;
  assert(more.length === 0, `one packet is counted at most once, found ${JSON.stringify(counted)}`);
  if (count === undefined) {
    assert(result.retval === tcActOk, `a packet that is not counted is left alone, found action ${result.retval}`);
    assert(isUnchanged && marks[0] === marks[1], 'a packet that is left alone does not change');
    return 'untouched';
  }
  const length = result.retval === tcActShot ? sent.length : result.data.length;
  const isExact = count.packets === 1 && count.bytes === length;
  assert(isExact, `one packet of ${length} bytes is counted, found ${JSON.stringify(count)}`);
  if (result.retval === tcActShot) {
    const reason = dropReasonNames[count.reason] ?? count.reason;
    return `dropped: ${reason} ${directionNames[count.direction] ?? count.direction}`;
  }
  const isAudited = count.reason === dropReason.audited;
  assert(
    count.reason === dropReason.forwarded || isAudited,
    `a packet that is not dropped counts as forwarded or audited, found ${JSON.stringify(count)}`,
  );
  return `${isAudited ? 'audited, ' : ''}${placeOf({ sent, result, marks, counted })}`;
}

/** A backend has taken the place of a service; all else, such as the TTL, is the stack's to change. */
function isTranslated(sent: Uint8Array, after: Uint8Array): boolean {
  const [before, now] = [parsePacket(sent).ip, parsePacket(after).ip];
  return JSON.stringify({ ...before, destination: now?.destination }) === JSON.stringify(now);
}

/** Where a packet went that was not dropped. */
function placeOf({ sent, result, marks }: RunRecord): string {
  const isUnchanged = Buffer.compare(sent, result.data) === 0;
  if (result.retval === tcActRedirect) {
    if (marks[0] !== 0 && marks[1] === markToProxy) return 'back to the proxy';
    assert(marks[1] === 0, `a packet to a pod has no mark, found ${marks[1].toString(16)}`);
    return redirected(parsePacket(result.data));
  }
  assert(result.retval === tcActOk, `no program returns action ${result.retval}`);
  assert(isUnchanged || isTranslated(sent, result.data), 'a packet to the stack changes only in its receiver');
  if (marks[1] === markToProxy) return 'to proxy';
  if (marks[1] === markMasquerade) return 'to outside';
  if (marks[1] === markToBackend) return 'to backend';
  if (marks[1] === markOfService) return 'to caller';
  assert(marks[1] === 0, `a packet to the stack has no mark, found ${marks[1].toString(16)}`);
  return 'to stack';
}

/** Puts into words what a program did; throws when it did something that no program may do with any packet. */
export function outcomeOf(record: RunRecord): Outcome {
  const bytes = record.result.data;
  return { verdict: verdictOf(record), packet: parsePacket(bytes), bytes };
}
