// SPDX-License-Identifier: Apache-2.0

/**
 * How much of the running connections of an endpoint is reported, from all to nothing: each packet; packets with flags and
 * one a second; the beginning of the end and one in five seconds; nothing but how connections begin. What is dropped is
 * always reported.
 */
export const flowAggregations = ['none', 'low', 'medium', 'maximum'] as const;
export type FlowAggregation = (typeof flowAggregations)[number];

/** Whether a text is one of them. */
export const isFlowAggregation = (text: unknown): text is FlowAggregation =>
  flowAggregations.includes(text as FlowAggregation);
