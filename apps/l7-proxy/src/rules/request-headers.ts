// SPDX-License-Identifier: Apache-2.0
import { fieldsStart, type HeaderField, readHeaderFields } from '../http/header-fields.ts';
import type { RequestHead } from '../http/request-head.ts';

/** The headers of a request, as rules see them and put them right. */
export interface RequestHeaders {
  /** The fields of a header joined by commas, as any recipient may join them; undefined when there is none. */
  valueOf(name: string): string | undefined;
  /**
   * Whether `Connection` names the header, so that the next recipient takes it out: then no rule can vouch for it, nor put
   * it right (RFC 9110 7.6.1).
   */
  isHopByHop(name: string): boolean;
  remove(name: string): void;
  add(name: string, value: string): void;
  /** The head with all that has been changed; undefined when nothing has. */
  rewritten(): Buffer | undefined;
}

/** Reads the headers of a head that lies in `bytes`. Nothing of it is kept for longer than the bytes lie there. */
export function readRequestHeaders(head: RequestHead, bytes: Buffer): RequestHeaders {
  const fields = readHeaderFields(head, bytes);
  // Whatever the request line says counts, as it does for the server.
  const host: HeaderField[] = [
    { name: 'host', value: bytes.toString('latin1', head.hostStart, head.hostEnd), start: 0, end: 0 },
  ];
  const hopByHop = new Set(
    fields
      .filter(({ name }) => name === 'connection')
      .flatMap(({ value }) => value.split(','))
      .map((option) => option.trim().toLowerCase()),
  );
  const removed = new Set<string>();
  const added: { readonly name: string; readonly value: string }[] = [];

  return {
    valueOf(name) {
      const original = name === 'host' ? host : fields;
      const kept = removed.has(name) ? [] : original.filter((field) => field.name === name);
      const values = [...kept, ...added.filter((field) => field.name === name)].map(({ value }) => value);
      return values.length === 0 ? undefined : values.join(',');
    },
    isHopByHop: (name) => hopByHop.has(name),
    remove(name) {
      removed.add(name);
      for (let i = added.length - 1; i >= 0; i--) if (added[i]?.name === name) added.splice(i, 1);
    },
    add: (name, value) => void added.push({ name, value }),
    rewritten() {
      if (removed.size + added.length === 0) return undefined;
      const kept = fields.filter(({ name }) => !removed.has(name)).map(({ start, end }) => bytes.subarray(start, end));
      const lines = added.map(({ name, value }) => `${name}: ${value}\r\n`).join('');
      const line = bytes.subarray(head.start, fieldsStart(head));
      return Buffer.concat([line, ...kept, Buffer.from(`${lines}\r\n`, 'latin1')]);
    },
  };
}
