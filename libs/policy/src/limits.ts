// SPDX-License-Identifier: Apache-2.0

/** What an import may hold. Beyond a limit the file is refused with a problem that names the limit. */
export const policyLimits = {
  /** Length of one file. */
  fileBytesMax: 1024 * 1024,
  /** YAML documents in one file. */
  documentsPerFileMax: 1000,
  /** Values in one file, counted after aliases are expanded. */
  nodesPerFileMax: 200_000,
  /** Lists and mappings inside each other. */
  nestingMax: 32,
  /** Rules of one policy: items of `specs` or of a rule list. */
  rulesPerPolicyMax: 1000,
  /** Items of `toPorts[].ports`. */
  portsPerRuleMax: 40,
  /** Items of `icmps[].fields`. */
  icmpFieldsMax: 40,
  /** Items of `toPorts[].rules.http`. */
  httpRulesPerPortRuleMax: 1000,
  /** Characters of a regular expression. */
  patternCharactersMax: 1024,
  /** Instructions that a regular expression may compile to. */
  patternInstructionsMax: 2000,
  /** Items of `headers`, and of `headerMatches`, of one HTTP rule. */
  headersPerHttpRuleMax: 100,
  /** Characters of the value of a header. */
  headerValueCharactersMax: 4096,
  /** Characters of a description. */
  descriptionCharactersMax: 4096,
  /** Problems reported for one import; what comes after is counted only. */
  problemsPerImportMax: 200,
} as const;
