// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { SpanContext } from '@opentelemetry/api';
import type { Flow } from '@weir/flow';

const pattern = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const sampledFlag = 1;

/** The span in which a call was made, as its client said. */
export function parentOf({ l7 }: Flow): SpanContext | undefined {
  const header = l7?.http?.headers?.find(({ key }) => key === 'traceparent')?.value ?? '';
  const [, traceId, spanId, flags] = pattern.exec(header) ?? [];
  if (traceId === undefined || spanId === undefined) return undefined;
  return { traceId, spanId, traceFlags: parseInt(flags ?? '0', 16) & sampledFlag, isRemote: true };
}

/** Identifiers out of that of a flow: the same call has the same ones, however often it is exported. */
export function ownContext({ uuid }: Flow, parent: SpanContext | undefined): SpanContext {
  const hash = createHash('sha256')
    .update(uuid ?? '')
    .digest('hex');
  return { traceId: parent?.traceId ?? hash.slice(0, 32), spanId: hash.slice(32, 48), traceFlags: sampledFlag };
}

/**
 * Whether a trace is to be exported: as its client has decided, or a share of those about which nobody has. All relays and
 * all calls of a trace come to the same decision.
 */
export function isSampled(context: SpanContext, parent: SpanContext | undefined, ratio: number): boolean {
  if (parent !== undefined) return (parent.traceFlags & sampledFlag) !== 0;
  return parseInt(context.traceId.slice(-8), 16) < ratio * 2 ** 32;
}
