// SPDX-License-Identifier: Apache-2.0
import type { Attributes } from '@opentelemetry/api';
import type { ReadableLogRecord } from '@opentelemetry/sdk-logs';
import { dropReasonText, type Flow, typeText } from '@weir/flow';
import { flow } from '@weir/proto';
import { createResources, endAttributes, hrTimeOf, instrumentationScope, verdictAttributes } from './flow-origin.ts';
import { ownContext, parentOf } from './trace-parent.ts';

const { Verdict, FlowType } = flow;

// Numbers of the log data model.
const severities = {
  info: { severityNumber: 9, severityText: 'INFO' },
  warn: { severityNumber: 13, severityText: 'WARN' },
};

function networkAttributes({ IP, l4 }: Flow): Attributes {
  const ports = l4?.TCP ?? l4?.UDP ?? l4?.SCTP;
  const transport = l4?.TCP ? 'tcp' : l4?.UDP ? 'udp' : undefined;
  return {
    'source.address': IP?.source ?? '',
    'destination.address': IP?.destination ?? '',
    ...(ports && { 'source.port': ports.sourcePort ?? 0, 'destination.port': ports.destinationPort ?? 0 }),
    ...(transport && { 'network.transport': transport }),
    'network.type': IP?.source?.includes(':') ? 'ipv6' : 'ipv4',
  };
}

/** Makes log records out of flows; what was refused is a warning. */
export function createLogRecords() {
  const resourceOf = createResources();
  return (each: Flow): ReadableLogRecord => {
    const isRefused = each.verdict === Verdict.DROPPED || each.verdict === Verdict.ERROR;
    const parent = parentOf(each);
    const time = hrTimeOf(each);
    return {
      ...{ hrTime: time, hrTimeObserved: time, body: each.Summary ?? '', eventName: 'weir.flow' },
      ...(isRefused ? severities.warn : severities.info),
      // A call's log leads to its trace.
      ...(each.Type === FlowType.L7 && { spanContext: parent ?? ownContext(each, undefined) }),
      resource: resourceOf(each.source, each),
      instrumentationScope,
      attributes: {
        ...{ 'weir.flow.type': typeText(each), 'weir.flow.uuid': each.uuid ?? '' },
        ...networkAttributes(each),
        ...endAttributes('source', each.source),
        ...endAttributes('destination', each.destination),
        ...verdictAttributes(each),
        ...(each.dropReason && { 'weir.drop_reason': dropReasonText(each.dropReason) }),
      },
      droppedAttributesCount: 0,
    };
  };
}
