// SPDX-License-Identifier: Apache-2.0
import { isAuthority } from './authority.ts';
import { Byte, equalsIgnoringCase } from './bytes.ts';
import { Problem } from './problem.ts';
import type { RequestHead } from './request-head.ts';
import { TargetForm } from './target-form.ts';

const CONNECT = Buffer.from('CONNECT', 'latin1');
const HEAD = Buffer.from('HEAD', 'latin1');
const OPTIONS = Buffer.from('OPTIONS', 'latin1');
const HTTP = Buffer.from('http://', 'latin1');

/** Checks what only shows once the whole head is there, and fills in what follows from it. */
export function checkRequest(head: RequestHead, bytes: Uint8Array): Problem | undefined {
  head.isHead = isMethod(head, bytes, HEAD);
  head.isConnect = isMethod(head, bytes, CONNECT);
  return checkTarget(head, bytes) ?? checkHost(head, bytes) ?? checkFraming(head);
}

// Methods are case-sensitive (RFC 9110 9.1).
function isMethod(head: RequestHead, bytes: Uint8Array, method: Uint8Array): boolean {
  if (head.methodEnd - head.start !== method.length) return false;
  for (let i = 0; i < method.length; i++) {
    if (bytes[head.start + i] !== method[i]) return false;
  }
  return true;
}

/** Finds the form of the target (RFC 9112 3.2), its path, and the authority that it names itself. */
function checkTarget(head: RequestHead, bytes: Uint8Array): Problem | undefined {
  const { targetStart, targetEnd } = head;
  head.pathStart = targetStart;
  if (head.isConnect) {
    head.form = TargetForm.AUTHORITY;
    head.pathStart = targetEnd;
    return isAuthority(bytes, targetStart, targetEnd) && hasPort(bytes, targetStart, targetEnd)
      ? undefined
      : Problem.TARGET_FORM;
  }
  if (bytes[targetStart] === Byte.SLASH) {
    head.form = TargetForm.ORIGIN;
    return undefined;
  }
  if (bytes[targetStart] === Byte.ASTERISK && targetEnd - targetStart === 1) {
    head.form = TargetForm.ASTERISK;
    return isMethod(head, bytes, OPTIONS) ? undefined : Problem.TARGET_FORM;
  }
  const authorityStart = targetStart + HTTP.length;
  if (targetEnd <= authorityStart || !equalsIgnoringCase(bytes, targetStart, HTTP)) return Problem.TARGET_FORM;
  head.form = TargetForm.ABSOLUTE;
  head.pathStart = endOfAuthority(bytes, authorityStart, targetEnd);
  const named = head.pathStart > authorityStart && isAuthority(bytes, authorityStart, head.pathStart);
  return named ? undefined : Problem.TARGET;
}

function endOfAuthority(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && bytes[i] !== Byte.SLASH && bytes[i] !== Byte.QUESTION_MARK) i++;
  return i;
}

/** Of a well-formed authority: whether it ends in `:digits`. */
function hasPort(bytes: Uint8Array, start: number, end: number): boolean {
  let i = end;
  while (i > start && (bytes[i - 1] as number) >= Byte.ZERO && (bytes[i - 1] as number) <= Byte.NINE) i--;
  return i < end && i > start && bytes[i - 1] === Byte.COLON;
}

/** A request has one host: that of `Host`, which is to be identical to the target's own if it names one (RFC 9112 3.2). */
function checkHost(head: RequestHead, bytes: Uint8Array): Problem | undefined {
  const { hostCount, hostStart, hostEnd } = head.fields;
  if (hostCount > 1) return Problem.TWO_HOSTS;
  if (hostCount === 0 && head.minorVersion > 0) return Problem.HOST_MISSING;
  if (!isAuthority(bytes, hostStart, hostEnd)) return Problem.HOST;
  head.hostStart = hostStart;
  head.hostEnd = hostEnd;
  if (head.form !== TargetForm.ABSOLUTE && head.form !== TargetForm.AUTHORITY) return undefined;
  head.hostStart = head.form === TargetForm.ABSOLUTE ? head.targetStart + HTTP.length : head.targetStart;
  head.hostEnd = head.form === TargetForm.ABSOLUTE ? head.pathStart : head.targetEnd;
  if (hostCount === 0) return undefined;
  if (head.hostEnd - head.hostStart !== hostEnd - hostStart) return Problem.HOST_DIFFERS;
  for (let i = 0; i < hostEnd - hostStart; i++) {
    if (bytes[hostStart + i] !== bytes[head.hostStart + i]) return Problem.HOST_DIFFERS;
  }
  return undefined;
}

function checkFraming(head: RequestHead): Problem | undefined {
  const { chunked, contentLength } = head.fields;
  if (chunked && head.minorVersion === 0) return Problem.ENCODING_IN_HTTP_1_0;
  if (head.isConnect && (chunked || contentLength > 0)) return Problem.CONNECT_WITH_BODY;
  return undefined;
}
