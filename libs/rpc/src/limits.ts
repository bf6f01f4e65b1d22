// SPDX-License-Identifier: Apache-2.0

/** The largest message that a server or a client takes or sends, unless told otherwise. */
export const messageBytesMaxDefault = 4 * 1024 * 1024;
