// SPDX-License-Identifier: Apache-2.0
// What policies mean, read a second time from the reference alone, and random policies with a world that they are about.
// Shares no code with libs/policy, so that a mistake of one is not a mistake of both. For tests only.
export { evaluateNaively } from './naive-evaluator.ts';
export { judgeRequests } from './naive-requests.ts';
export { arbitraryHttpRule } from './arbitrary-ports.ts';
export type {
  NaiveEnd,
  NaiveFlow,
  NaiveOutcome,
  NaivePort,
  NaiveRequest,
  NaiveService,
  NaiveSetting,
} from './naive-flow.ts';
export { arbitraryDocuments, withoutDefaultAllow } from './arbitrary-policy.ts';
export {
  addresses,
  arbitraryNamedPorts,
  arbitraryPod,
  arbitraryServices,
  type ArbitraryPod,
} from './arbitrary-world.ts';
export { createReplay, type Replay } from './replay.ts';
export type {
  WrittenCidrRule,
  WrittenDocument,
  WrittenHttpRule,
  WrittenItem,
  WrittenNetworkPolicy,
  WrittenObject,
  WrittenPort,
  WrittenRule,
  WrittenSelector,
  WrittenService,
} from './policy-document.ts';
