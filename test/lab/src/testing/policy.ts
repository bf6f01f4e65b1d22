// SPDX-License-Identifier: Apache-2.0
/** Labels of pods, as a selector wants them. */
export type Labels = Readonly<Record<string, string>>;

/** A rule of a section, as the policy language has it. */
export type Rule = Readonly<Record<string, unknown>>;

/** The sections of a policy, each a list of rules. */
export interface Sections {
  readonly ingress?: readonly Rule[];
  readonly egress?: readonly Rule[];
  readonly ingressDeny?: readonly Rule[];
  readonly egressDeny?: readonly Rule[];
}

/** A CiliumNetworkPolicy of the namespace `default` for the pods with these labels. */
export const policy = (name: string, selected: Labels, sections: Sections): object => ({
  apiVersion: 'cilium.io/v2',
  kind: 'CiliumNetworkPolicy',
  metadata: { name },
  spec: { endpointSelector: { matchLabels: selected }, ...sections },
});

/** The peers of a rule. */
export const fromPods = (labels: Labels): Rule => ({ fromEndpoints: [{ matchLabels: labels }] });
export const toPods = (labels: Labels): Rule => ({ toEndpoints: [{ matchLabels: labels }] });
export const fromEntities = (...entities: readonly string[]): Rule => ({ fromEntities: entities });
export const toEntities = (...entities: readonly string[]): Rule => ({ toEntities: entities });

/** The ports of a rule. */
export const onPort = (port: number, protocol = 'TCP'): Rule => ({
  toPorts: [{ ports: [{ port: String(port), protocol }] }],
});

/** A TCP port whose requests must each fit one of the rules. */
export const onHttp = (port: number, ...http: readonly Rule[]): Rule => ({
  toPorts: [{ ports: [{ port: String(port), protocol: 'TCP' }], rules: { http } }],
});

/** A rule that lets nobody in or out, and puts its pods into default deny. */
export const nobody: Rule = {};
