// SPDX-License-Identifier: Apache-2.0
import { littleEndian } from './byte-order.ts';
import { createMessageWriter } from './message-writer.ts';

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString('hex')
    .replace(/(.{8})(?!$)/g, '$1 ');
const onLittleEndian = littleEndian ? it : it.skip;

describe('createMessageWriter()', () => {
  onLittleEndian('writes header, fixed part and attributes, each padded to four bytes', () => {
    const writer = createMessageWriter({ type: 16, flags: 0x600 });
    writer.raw(Uint8Array.of(1, 2, 3, 4, 5));
    writer.uint8(1, 0xab);
    writer.uint16NetworkOrder(2, 0x2118);
    writer.uint32(3, 0xdeadbeef);
    writer.text(4, 'eth0');
    writer.bytes(5, Uint8Array.of(9));
    writer.flag(6);
    expect(hex(writer.finish())).toBe(
      [
        '48000000 10000506 00000000 00000000', // length 72, RTM_NEWLINK, EXCL|CREATE|ACK|REQUEST
        '01020304 05000000',
        '05000100 ab000000',
        '06000200 21180000',
        '08000300 efbeadde',
        '09000400 65746830 00000000',
        '05000500 09000000',
        '04000600',
      ].join(' '),
    );
  });

  onLittleEndian('gives a nested attribute the length of all that is in it, and the flag that says so', () => {
    const writer = createMessageWriter({ type: 16 });
    writer.nested(18, () => {
      writer.text(1, 'veth');
      writer.nested(2, () => {
        writer.flag(7);
      });
    });
    writer.flag(3);
    expect(hex(writer.finish()).slice('30000000 10000500 00000000 00000000 '.length)).toBe(
      '18001280 09000100 76657468 00000000 08000280 04000700 04000300',
    );
  });

  it('grows beyond its first buffer without losing anything', () => {
    const writer = createMessageWriter({ type: 16 });
    for (let i = 0; i < 1000; i++) writer.uint32(i, i);
    const message = writer.finish();
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    expect(view.getUint32(0, littleEndian)).toBe(16 + 8000);
    for (let i = 0; i < 1000; i++) expect(view.getUint32(16 + i * 8 + 4, littleEndian)).toBe(i);
  });

  it('refuses an attribute whose length does not fit 16 bits', () => {
    const writer = createMessageWriter({ type: 16 });
    writer.bytes(1, new Uint8Array(0xffff - 4));
    expect(() => {
      writer.bytes(1, new Uint8Array(0xffff - 3));
    }).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
    expect(() => {
      writer.nested(2, () => {
        writer.bytes(1, new Uint8Array(0xffff - 4));
      });
    }).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });
});
