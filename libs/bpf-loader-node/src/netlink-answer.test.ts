// SPDX-License-Identifier: Apache-2.0
import { endianness } from 'node:os';
import { WeirError } from '@weir/errors';
import fc from 'fast-check';
import { answersFromReplies, splitMessages } from './netlink-answer.ts';

const littleEndian = endianness() === 'LE';

interface Fields {
  readonly type: number;
  readonly sequence: number;
  readonly flags?: number;
  readonly body?: readonly number[];
}

function message({ type, sequence, flags = 0, body = [] }: Fields): Buffer {
  const bytes = Buffer.alloc((16 + body.length + 3) & ~3);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(0, 16 + body.length, littleEndian);
  view.setUint16(4, type, littleEndian);
  view.setUint16(6, flags, littleEndian);
  view.setUint32(8, sequence, littleEndian);
  bytes.set(body, 16);
  return bytes;
}

function int32(value: number): number[] {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, littleEndian);
  return [...bytes];
}

const uint16 = (value: number): number[] => int32(value).slice(0, 2);

/** NLMSGERR_ATTR_MSG. */
function textAttribute(text: string): number[] {
  const bytes = [...Buffer.from(`${text}\0`)];
  const padding = new Array<number>((4 - (bytes.length % 4)) % 4).fill(0);
  return [...uint16(4 + bytes.length), ...uint16(1), ...bytes, ...padding];
}

const echoedHeader = [...int32(48), ...new Array<number>(12).fill(0)];
const ERROR = 2;
const DONE = 3;
const NEWLINK = 16;

describe('answersFromReplies()', () => {
  it('sorts replies by the message they answer, across the wrap of the sequence numbers', () => {
    const replies = Buffer.concat([
      message({ type: NEWLINK, sequence: 0xffff_ffff, body: [1, 2, 3] }),
      message({ type: ERROR, sequence: 0xffff_ffff, body: [...int32(0), ...echoedHeader] }),
      message({ type: ERROR, sequence: 0, body: [...int32(-17), ...echoedHeader] }),
    ]);
    const [first, second] = answersFromReplies({ firstSequence: 0xffff_ffff, count: 2, replies });
    expect(first).toMatchObject({ errno: 0, interrupted: false });
    expect(first?.messages.map(({ type, body }) => [type, [...body]])).toEqual([[NEWLINK, [1, 2, 3]]]);
    expect(second).toEqual({ errno: 17, interrupted: false, messages: [] });
  });

  it('finds the words of the kernel behind the echoed header of a capped error', () => {
    const body = [...int32(-22), ...echoedHeader, ...textAttribute('Nexthop has invalid gateway')];
    const replies = message({ type: ERROR, sequence: 7, flags: 0x300, body });
    expect(answersFromReplies({ firstSequence: 7, count: 1, replies })).toEqual([
      { errno: 22, extendedAck: 'Nexthop has invalid gateway', interrupted: false, messages: [] },
    ]);
  });

  it('finds the words of the kernel behind the whole echoed message of an error that is not capped', () => {
    const echoed = [...echoedHeader, ...new Array<number>(32).fill(0xff)];
    const body = [...int32(-1), ...echoed, ...textAttribute('no')];
    const replies = message({ type: ERROR, sequence: 7, flags: 0x200, body });
    expect(answersFromReplies({ firstSequence: 7, count: 1, replies })[0]).toMatchObject({
      errno: 1,
      extendedAck: 'no',
    });
  });

  it('takes the error of a dump from its end marker', () => {
    const replies = message({ type: DONE, sequence: 3, flags: 0x202, body: [...int32(-2), ...textAttribute('gone')] });
    expect(answersFromReplies({ firstSequence: 3, count: 1, replies })[0]).toMatchObject({
      errno: 2,
      extendedAck: 'gone',
    });
  });

  it('says that a dump was interrupted if any of its messages says so', () => {
    const replies = Buffer.concat([
      message({ type: NEWLINK, sequence: 1, flags: 0x12 }),
      message({ type: DONE, sequence: 1, flags: 2, body: int32(0) }),
    ]);
    expect(answersFromReplies({ firstSequence: 1, count: 1, replies })[0]?.interrupted).toBe(true);
  });

  it('returns or throws a WeirError whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(4), (replies, count) => {
        try {
          answersFromReplies({ firstSequence: 0, count, replies });
        } catch (error) {
          expect(error).toBeInstanceOf(WeirError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('splitMessages()', () => {
  it.each([0, 15, 17])('refuses a message whose length field is %i in 16 bytes', (length) => {
    const bytes = message({ type: 1, sequence: 0 });
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, length, littleEndian);
    expect(() => splitMessages(bytes)).toThrow(`length ${length} at offset 0, 16 bytes are left`);
  });
});
