// SPDX-License-Identifier: Apache-2.0

/**
 * Why a message is not one that two parsers are sure to read alike. Whoever receives it can only answer with an error and
 * close: where the next message would begin is not known.
 */
export type Problem = (typeof Problem)[keyof typeof Problem];

export const Problem = {
  REQUEST_LINE: 'malformed request line',
  STATUS_LINE: 'malformed status line',
  VERSION: 'version is not HTTP/1.0 or HTTP/1.1',
  TARGET: 'malformed request target',
  TARGET_FORM: 'form of the request target does not fit the method',
  BARE_CR: 'carriage return without a line feed',
  BARE_LF: 'line feed without a carriage return',
  CONTROL_BYTE: 'control byte in a field value',
  FIELD_NAME: 'illegal byte in a field name',
  FIELD_WITHOUT_COLON: 'field line without a colon',
  SPACE_BEFORE_COLON: 'space between field name and colon',
  FOLDED_LINE: 'folded field line',
  HEAD_TOO_LARGE: 'head is too large',
  TOO_MANY_FIELDS: 'too many fields',
  CONTENT_LENGTH: 'malformed Content-Length',
  TWO_CONTENT_LENGTHS: 'more than one Content-Length',
  TRANSFER_ENCODING: 'Transfer-Encoding is not "chunked"',
  TWO_TRANSFER_ENCODINGS: 'more than one Transfer-Encoding',
  LENGTH_AND_ENCODING: 'both Content-Length and Transfer-Encoding',
  ENCODING_IN_HTTP_1_0: 'Transfer-Encoding in an HTTP/1.0 message',
  CONNECT_WITH_BODY: 'CONNECT with a body',
  HOST_MISSING: 'HTTP/1.1 request without Host',
  TWO_HOSTS: 'more than one Host',
  HOST: 'malformed Host',
  HOST_DIFFERS: 'Host differs from the request target',
  CHUNK_SIZE: 'malformed chunk size',
  CHUNK_EXTENSION: 'chunk extensions are too long or malformed',
  CHUNK_END: 'chunk is longer than its size',
  TRAILER_FIELD: 'field that is not allowed in a trailer',
  TRAILERS_TOO_LARGE: 'trailers are too large',
  CUT_OFF: 'message is cut off',
  SWITCH_NOT_ASKED: 'switch to a protocol that was not asked for',
  TOO_MANY_INTERIM: 'too many interim responses',
} as const;
