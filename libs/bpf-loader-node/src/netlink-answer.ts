// SPDX-License-Identifier: Apache-2.0
import { endianness } from 'node:os';
import { WeirError } from '@weir/errors';
import type { NativeReplies } from './socket-binding.ts';

/** One message from the kernel. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  /** What follows the 16 bytes of the message header. */
  readonly body: Uint8Array;
}

/** What became of one message of a request. */
export interface NetlinkAnswer {
  /** 0 if the kernel did what was asked, else a positive errno. */
  readonly errno: number;
  /** What the kernel said about it in words (its "extended acknowledgement"), also as a warning with errno 0. */
  readonly extendedAck?: string;
  /** Something changed while a dump was being made: it may lack or repeat entries. */
  readonly interrupted: boolean;
  /** The answers themselves, without acknowledgement and end marker. */
  readonly messages: readonly NetlinkMessage[];
}

const headerBytes = 16;
const errorType = 2;
const doneType = 3;
const flags = { dumpInterrupted: 0x10, capped: 0x100, hasAttributes: 0x200 } as const;
const extendedAckText = 1;
const attributeTypeMask = 0x3fff;
const littleEndian = endianness() === 'LE';

const align = (length: number): number => (length + 3) & ~3;

interface NumberedMessage extends NetlinkMessage {
  readonly sequence: number;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Splits a run of netlink messages; throws INTERNAL if one reaches beyond the end. */
export function splitMessages(bytes: Uint8Array): NumberedMessage[] {
  const view = viewOf(bytes);
  const messages: NumberedMessage[] = [];
  let at = 0;
  while (at + headerBytes <= bytes.length) {
    const length = view.getUint32(at, littleEndian);
    if (length < headerBytes || length > bytes.length - at) {
      throw new WeirError(
        'INTERNAL',
        `Malformed netlink message: length ${length} at offset ${at}, ${bytes.length - at} bytes are left`,
      );
    }
    messages.push({
      type: view.getUint16(at + 4, littleEndian),
      flags: view.getUint16(at + 6, littleEndian),
      sequence: view.getUint32(at + 8, littleEndian),
      body: bytes.subarray(at + headerBytes, at + length),
    });
    at += align(length);
  }
  return messages;
}

function findText(attributes: Uint8Array): string | undefined {
  const view = viewOf(attributes);
  let at = 0;
  while (at + 4 <= attributes.length) {
    const length = view.getUint16(at, littleEndian);
    if (length < 4 || length > attributes.length - at) return undefined;
    if ((view.getUint16(at + 2, littleEndian) & attributeTypeMask) === extendedAckText) {
      return new TextDecoder().decode(attributes.subarray(at + 4, at + length)).replace(/\0.*$/su, '');
    }
    at += align(length);
  }
  return undefined;
}

/** Errno and text of the message that ends an answer: an acknowledgement, an error, or the end of a dump. */
function readEnd(message: NetlinkMessage): { errno: number; extendedAck?: string } {
  const { body } = message;
  const errno = body.length >= 4 ? Math.abs(viewOf(body).getInt32(0, littleEndian)) : 0;
  if ((message.flags & flags.hasAttributes) === 0) return { errno };
  let attributesAt = 4;
  if (message.type === errorType && body.length >= 4 + headerBytes) {
    // The message it is about comes first: its header and, unless the answer is capped, all of it.
    const echoed = (message.flags & flags.capped) === 0 ? viewOf(body).getUint32(4, littleEndian) : headerBytes;
    attributesAt += align(echoed);
  }
  const extendedAck = findText(body.subarray(attributesAt));
  return extendedAck === undefined ? { errno } : { errno, extendedAck };
}

/** Sorts the replies to a request by the message they answer; throws INTERNAL if one is malformed. */
export function answersFromReplies({ firstSequence, count, replies }: NativeReplies): NetlinkAnswer[] {
  const byMessage = Array.from({ length: count }, (): NetlinkMessage[] => []);
  for (const message of splitMessages(replies)) byMessage[(message.sequence - firstSequence) >>> 0]?.push(message);
  return byMessage.map((messages) => {
    const interrupted = messages.some((message) => (message.flags & flags.dumpInterrupted) !== 0);
    const end = messages.find(({ type }) => type === errorType || type === doneType);
    return {
      ...(end === undefined ? { errno: 0 } : readEnd(end)),
      interrupted,
      messages: messages.filter((message) => message !== end),
    };
  });
}
