// SPDX-License-Identifier: Apache-2.0
// One error class with stable codes. Every library throws this class and no other; nothing here does I/O.
export { errorCatalogue, type ErrorCode } from './catalogue.ts';
export { WeirError, assert, unreachable, type WeirErrorOptions } from './weir-error.ts';
