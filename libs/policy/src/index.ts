// SPDX-License-Identifier: Apache-2.0
// The policy language: reads policies, says all that is wrong with them, and resolves them over identities into the
// entries of policy maps. Pure: no I/O, no clock; the same input gives the same output in a test, an agent or a browser.
export { parsePolicyFiles, type ParsedPolicies, type ParseOptions } from './parse-policy-files.ts';
export type { PolicyFile } from './document/read-documents.ts';
export { formatProblem, type PolicyProblem } from './problem.ts';
export { policyLimits } from './limits.ts';
export { allFeatures, defaultFeatures, type FeatureSet, type PolicyFeature, policyFeatures } from './feature.ts';
export type {
  Grant,
  HeaderMismatch,
  HttpHeader,
  HttpHeaderMatch,
  HttpRule,
  NamedPortMatch,
  Policy,
  PolicyKind,
  PortMatch,
  Rule,
  RuleSection,
  ServiceMatch,
} from './rule.ts';
export {
  createSelectorSpec,
  selectorMatches,
  type Requirement,
  type SelectorOperator,
  type SelectorSpec,
} from './selector-spec.ts';
export { createPolicyEngine } from './engine/policy-engine.ts';
export type { EngineOptions } from './engine/engine-state.ts';
export type { EnforcementMode, EnforcementOptions } from './engine/direction-policy.ts';
export type {
  LabelledIdentity,
  PolicyAnswer,
  PolicyChanges,
  PolicyEngine,
  PolicyQuestion,
  PolicySubject,
  PolicyUpdate,
  SelectorUse,
  ServiceDescription,
  ServiceName,
  SubjectChange,
  UnknownPortName,
} from './engine/engine-types.ts';
export type {
  ExplainedEnd,
  ExplainedEntry,
  ExplainQuestion,
  Explanation,
  FlowEnd,
  HttpRequest,
  Miss,
  NearMiss,
  SideExplanation,
} from './explain/explain-types.ts';
export { flowEndForms, parseFlowEnd, parseFlowPort, parseHttpRequest } from './explain/flow-text.ts';
export type { FlowPort, WrittenEnd } from './explain/flow-text.ts';
export { traceReport } from './explain/trace-report.ts';
export type {
  TraceEnd,
  TraceEntry,
  TraceNearMiss,
  TraceOrigin,
  TraceReport,
  TraceSide,
} from './explain/trace-report.ts';
export { formatPorts } from './explain/near-misses.ts';
export { requestPasses } from './explain/request-match.ts';
export type { Enforcement, EntryOrigin, PolicyEntry, PolicyEntryKey, ResolvedPolicy, RuleSet } from './policy-entry.ts';
export { policyNodeLabels } from './policy-node-labels.ts';
export { completePrefixes, policyPrefixes } from './policy-prefixes.ts';
export { isServiceMeant, kubernetesLabels, type KnownServiceName, policyServices } from './policy-services.ts';
export { languageFields, type FieldReference } from './language/fields.ts';
export {
  customResourceKinds,
  policyCustomResource,
  policyObjectSchema,
  type CustomResource,
} from './language/custom-resource.ts';
export type { CustomResourceNames } from './language/custom-resource.ts';
export type { JsonSchema } from './document/json-schema.ts';
