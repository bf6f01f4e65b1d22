// SPDX-License-Identifier: Apache-2.0
// A collector for tests: takes OTLP over gRPC and HTTP, and Zipkin's spans, and remembers what it got. No part of a node.
export { startOtlpReceiver, type OtlpReceiver, type ReceivedLog, type ReceivedSpan } from './otlp-receiver.ts';
