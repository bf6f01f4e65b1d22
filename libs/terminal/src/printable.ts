// SPDX-License-Identifier: Apache-2.0

/** Text from outside with control characters, which a terminal would obey, written out as `\\x1b`. */
export const printable = (text: string): string =>
  text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
