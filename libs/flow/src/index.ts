// SPDX-License-Identifier: Apache-2.0
// What flows mean to everybody who handles them: which of them a filter wants, what a field mask leaves, their JSON form and
// how they are printed. Knows nothing of where flows come from.
export { compileFilters, type FilterLists } from './filter/compile-filters.ts';
export type { Flow, FlowEndpoint, Predicate } from './filter/predicate.ts';
export { compileFieldMask, type FieldMask } from './field-mask.ts';
export {
  monitorType,
  monitorTypes,
  observationPoint,
  policyMatchTypes,
  socketPoints,
  tracePoints,
} from './event-types.ts';
export { messageToJson } from './json/format-message.ts';
export { messageFromJson } from './json/parse-message.ts';
export { formatTimestamp, parseTimestamp, timestampMs, timestampOf, type Timestamp } from './json/well-known.ts';
export { createFlowPrinter, flowFormats, type FlowFormat, type FlowPrinter, type Printed } from './print/printer.ts';
export { hostText, identityText, summaryText, typeText, verdictText } from './print/flow-text.ts';
export { dropReasonText } from './print/drop-reason-texts.ts';
export { timeFormats, type TimeFormat } from './print/time-format.ts';
