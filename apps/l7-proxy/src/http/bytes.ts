// SPDX-License-Identifier: Apache-2.0

/** Bytes that the grammar of HTTP gives a meaning to. */
export const Byte = {
  HTAB: 0x09,
  LF: 0x0a,
  CR: 0x0d,
  SPACE: 0x20,
  PERCENT: 0x25,
  ASTERISK: 0x2a,
  COMMA: 0x2c,
  SLASH: 0x2f,
  ZERO: 0x30,
  NINE: 0x39,
  COLON: 0x3a,
  SEMICOLON: 0x3b,
  QUESTION_MARK: 0x3f,
  BRACKET_OPEN: 0x5b,
  BRACKET_CLOSE: 0x5d,
} as const;

const classOf = (belongs: (byte: number) => boolean): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => (belongs(byte) ? 1 : 0));

const inString = (characters: string): ((byte: number) => boolean) => {
  const codes = new Set(Buffer.from(characters, 'latin1'));
  return (byte) => codes.has(byte);
};

const isAlphanumeric = (byte: number): boolean => /[0-9A-Za-z]/.test(String.fromCharCode(byte));
const isTokenMark = inString("!#$%&'*+-.^_`|~");
const isHostMark = inString("-._~!$&'()*+,;=%");

/** 1 for the bytes of a token: methods and field names (RFC 9110 5.6.2). */
export const tokenBytes = classOf((byte) => isAlphanumeric(byte) || isTokenMark(byte));

/** 1 for the bytes of a field value, obs-text included (RFC 9110 5.5). */
export const fieldValueBytes = classOf((byte) => byte === Byte.HTAB || (byte >= 0x20 && byte !== 0x7f));

/**
 * 1 for the bytes of a request target: visible ASCII without `#`. A fragment never goes over the wire, and servers do not
 * agree on what one means.
 */
export const targetBytes = classOf((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x23);

/** 1 for the bytes of a registered name or an IPv4 address (RFC 3986 3.2.2). */
export const hostNameBytes = classOf((byte) => isAlphanumeric(byte) || isHostMark(byte));

/** 1 for what may stand between the brackets of an IP literal. */
export const ipLiteralBytes = classOf((byte) => isAlphanumeric(byte) || inString(':.%-_~')(byte));

/** The value of a hexadecimal digit, 255 for any other byte. */
export const hexValues = Uint8Array.from({ length: 256 }, (_, byte) => {
  const digit = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(digit) ? 255 : digit;
});

/** True when the bytes at `start` are `lowerCase`, whatever the case of their letters. */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, lowerCase: Uint8Array): boolean {
  for (let i = 0; i < lowerCase.length; i++) {
    const byte = bytes[start + i] as number;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (lower !== lowerCase[i]) return false;
  }
  return true;
}
