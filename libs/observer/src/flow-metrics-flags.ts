// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { checkedFlag } from '@weir/service';
import { Option } from 'commander';
import { type FlowContext, flowContexts, flowMetricGroups } from './flow-metrics.ts';

/** What the flags of {@link flowMetricsFlags} say. */
export interface FlowMetricsFlags {
  readonly flowMetrics: readonly string[];
  readonly flowMetricsContext: readonly FlowContext[];
}

const someOf = <Choice extends string>(choices: readonly Choice[]) =>
  checkedFlag((text): readonly Choice[] => {
    const names = text.split(',');
    const wrong = names.find((name) => !choices.some((choice) => choice === name));
    if (wrong === undefined) return names as Choice[];
    throw new WeirError('INVALID_ARGUMENT', `"${wrong}" is none of ${choices.join(', ')}`);
  });

/** Which metrics are made out of flows, and what the ends of a flow are called in them. */
export const flowMetricsFlags = (): readonly Option[] => [
  new Option('--flow-metrics <groups>', `metrics out of flows, with commas: ${flowMetricGroups.join(', ')}`)
    .default([], 'none')
    .argParser(someOf(flowMetricGroups)),
  new Option(
    '--flow-metrics-context <names>',
    `labels source and destination, the first that an end has of: ${flowContexts.join(', ')}`,
  )
    .default([], 'no such labels')
    .argParser(someOf(flowContexts)),
];
