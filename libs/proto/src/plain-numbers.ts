// SPDX-License-Identifier: Apache-2.0
// 64-bit fields are plain numbers in our code: exact to 2^53, and times in nanoseconds to a quarter of a microsecond,
// which is all that anybody reads off them. Must be evaluated before the generated messages are.
import protobuf from 'protobufjs/minimal.js';

(protobuf.util as { Long: unknown }).Long = undefined;
protobuf.configure();
