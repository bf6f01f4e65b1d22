// SPDX-License-Identifier: Apache-2.0

/** A GET request with Host and these fields. */
export const get = (path: string, ...fields: string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: h', ...fields, '', ''].join('\r\n');

/** A POST request with Host, these fields and no framing of its own. */
export const post = (path: string, ...fields: string[]): string => get(path, ...fields).replace('GET', 'POST');

/** A response with Content-Length. */
export const ok = (body: string, ...fields: string[]): string =>
  ['HTTP/1.1 200 OK', `Content-Length: ${body.length}`, ...fields, '', body].join('\r\n');

/** Long enough for what must not happen to happen. */
export const soon = (delayMs = 40): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));
