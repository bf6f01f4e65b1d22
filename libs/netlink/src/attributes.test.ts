// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import fc from 'fast-check';
import { parseAttributes, splitBody } from './attributes.ts';
import { littleEndian } from './byte-order.ts';
import { createMessageWriter, type MessageWriter } from './message-writer.ts';

function written(fill: (writer: MessageWriter) => void): Uint8Array {
  const writer = createMessageWriter({ type: 1 });
  fill(writer);
  return writer.finish().subarray(16);
}

function attribute(length: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint16(0, length, littleEndian);
  return bytes;
}

const internal = (text: string): Error =>
  expect.objectContaining({ code: 'INTERNAL', message: expect.stringContaining(text) }) as Error;

describe('parseAttributes()', () => {
  const attributes = parseAttributes(
    written((writer) => {
      writer.uint8(1, 200);
      writer.uint16NetworkOrder(2, 8472);
      writer.uint32(3, 0xffff_fffe);
      writer.text(4, 'weir0');
      writer.bytes(5, Uint8Array.of(10, 0, 0, 1));
      writer.bytes(
        6,
        Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? 1 : i === 0 ? 0xfd : 0)),
      );
      writer.flag(7);
      writer.nested(8, () => {
        writer.uint32(1, 7);
      });
      writer.uint8(9, 1);
      writer.uint8(9, 2);
    }),
  );

  it('gives back what was written, as the type that is asked for', () => {
    expect(attributes.uint8(1)).toBe(200);
    expect(attributes.uint16NetworkOrder(2)).toBe(8472);
    expect(attributes.uint32(3)).toBe(0xffff_fffe);
    expect(attributes.int32(3)).toBe(-2);
    expect(attributes.text(4)).toBe('weir0');
    expect(attributes.ip(5)).toBe('10.0.0.1');
    expect(attributes.ip(6)).toBe('fd00::1');
    expect([attributes.has(7), attributes.has(70)]).toEqual([true, false]);
    expect(attributes.nested(8)?.uint32(1)).toBe(7);
  });

  it('takes the last one where a type repeats, as the kernel does', () => {
    expect(attributes.uint8(9)).toBe(2);
  });

  it('gives undefined for what is not there', () => {
    for (const get of ['uint8', 'uint16NetworkOrder', 'uint32', 'int32', 'text', 'ip', 'bytes', 'nested'] as const) {
      expect(attributes[get](99)).toBeUndefined();
    }
  });

  it('refuses an attribute of another length than its type has', () => {
    expect(() => attributes.uint32(1)).toThrow(internal('attribute 1 has 1 bytes, expected 4'));
    expect(() => attributes.uint8(3)).toThrow(internal('attribute 3 has 4 bytes, expected 1'));
    expect(() => attributes.ip(4)).toThrow(internal('attribute 4 has 6 bytes, expected an address'));
  });

  it.each([0, 3, 9, 0xffff])('refuses an attribute whose length field is %i where 8 bytes are left', (length) => {
    expect(() => parseAttributes(attribute(length))).toThrow(internal(`attribute at offset 0 has length ${length}`));
  });

  it('ignores trailing padding of less than a header', () => {
    expect(parseAttributes(attribute(5)).bytes(0)).toEqual(Uint8Array.of(0));
    expect(parseAttributes(new Uint8Array(3)).has(0)).toBe(false);
  });

  it('throws a WeirError or gives an answer, whatever the bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.nat(20), (bytes, type) => {
        try {
          const parsed = parseAttributes(bytes);
          for (const get of ['uint8', 'uint32', 'text', 'ip', 'bytes', 'nested'] as const) parsed[get](type);
        } catch (error) {
          expect(error).toBeInstanceOf(WeirError);
        }
      }),
      { numRuns: 5000 },
    );
  });
});

describe('splitBody()', () => {
  it('refuses a body that is shorter than its fixed part', () => {
    expect(() => splitBody(new Uint8Array(11), 12)).toThrow(internal('body has 11 bytes, expected at least 12'));
  });
});
