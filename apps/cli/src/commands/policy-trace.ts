// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { cidrIdentityLabels, cidrOfAddress, identityRange } from '@weir/model';
import {
  completePrefixes,
  createPolicyEngine,
  type FlowEnd,
  flowEndForms,
  formatProblem,
  type FlowPort,
  type HttpRequest,
  parseFlowEnd,
  parseFlowPort,
  parseHttpRequest,
  parsePolicyFiles,
  policyPrefixes,
  traceReport,
  type TraceReport,
} from '@weir/policy';
import type { weir } from '@weir/proto';
import { checkedFlag } from '@weir/service';
import { outputOption, type OutputFormat, print, table } from '@weir/terminal';
import { type Command, Option } from 'commander';
import { withAgent } from '../agent.ts';
import { readFiles } from '../read-files.ts';
import { traceText } from '../trace-text.ts';

interface TraceFlags {
  readonly src: string;
  readonly dst: string;
  readonly dport: FlowPort;
  readonly http?: string;
  readonly header?: string[];
  readonly policy?: string[];
  readonly output: OutputFormat;
}

/** An end for which there is no agent to ask. */
function offlineEnd(text: string): FlowEnd {
  const end = parseFlowEnd(text);
  if (end.kind === 'address') return { kind: 'prefix', prefix: cidrOfAddress(end.address) };
  if (end.kind !== 'endpoint') return end;
  const message = `"${text}" can only be found by an agent; with --policy, say labels, as in default/app=web`;
  throw new WeirError('INVALID_ARGUMENT', message);
}

/** Judges a flow by some files alone, as if nobody but its two ends were there. */
async function traceOffline(
  names: readonly string[],
  flags: TraceFlags,
  request: HttpRequest | undefined,
): Promise<TraceReport> {
  const { policies, problems } = parsePolicyFiles(await readFiles(names));
  if (problems.length > 0) throw new WeirError('INVALID_ARGUMENT', problems.map(formatProblem).join('\n'));
  const engine = createPolicyEngine({ defaultAllow: true });
  const prefixes = completePrefixes(policies.flatMap(policyPrefixes));
  const upsertIdentities = prefixes.map((prefix, index) => ({
    id: identityRange.localCidr.min + index,
    labels: cidrIdentityLabels(prefix),
  }));
  engine.apply({ upsertPolicies: policies, upsertIdentities });
  const explanation = engine.explain({
    ...{ source: offlineEnd(flags.src), destination: offlineEnd(flags.dst), ...flags.dport },
    ...(request !== undefined && { request }),
  });
  return traceReport(explanation, policies);
}

function messageOf({ method, path, host = '', headers = [] }: HttpRequest): weir.agent.v1.ITraceRequest {
  return { method, path, host, headers: [...headers] };
}

/** Adds `policy trace`. */
export function addPolicyTrace(policy: Command): void {
  policy
    .command('trace')
    .description('say what becomes of a flow, and which rule decides or what the nearest rules want')
    .addOption(new Option('--src <end>', `who opens it: ${flowEndForms}`).makeOptionMandatory())
    .addOption(new Option('--dst <end>', 'whom it is for: likewise').makeOptionMandatory())
    .addOption(
      new Option('--dport <port>', 'as in 80/tcp, 53/udp, 8/icmp')
        .argParser(checkedFlag(parseFlowPort))
        .makeOptionMandatory(),
    )
    .option('--http <request>', 'a request on it, as in "PUT /v1/x"')
    .option('--header <header...>', 'of the request, as in "Host: example.org"')
    .option('-f, --policy <file...>', 'judge by these files alone, without an agent')
    .addOption(outputOption())
    .action(async (flags: TraceFlags, self: Command) => {
      const { src: source, dst: destination, dport, http, header, output } = flags;
      const request = http === undefined ? undefined : parseHttpRequest(http, header);
      const asked = { source, destination, ...dport };
      const response =
        flags.policy === undefined
          ? await withAgent(self, (agent) =>
              agent.tracePolicy({ ...asked, ...(request !== undefined && { request: messageOf(request) }) }),
            )
          : await traceOffline(flags.policy, flags, request);
      print(output, response, () => traceText(response, { ...asked, ...(request !== undefined && { request }) }));
    });
}

const listOf = (numbers: readonly number[] | null | undefined): string => {
  const shown = (numbers ?? []).slice(0, 8).join(', ');
  const more = (numbers?.length ?? 0) - 8;
  return more > 0 ? `${shown} and ${more} more` : shown;
};

/** Adds `policy selectors`. */
export function addPolicySelectors(policy: Command): void {
  policy
    .command('selectors')
    .description('the selectors of peers that policies in force name, and whom they select')
    .addOption(outputOption())
    .action(async ({ output }: { readonly output: OutputFormat }, self: Command) => {
      const { selectors } = await withAgent(self, (agent) => agent.listSelectors({}));
      const rows = selectors.map(({ selector, policies, endpoints, identities }) => [
        ...[selector ?? '', listOf(identities), listOf(endpoints), (policies ?? []).join(', ')],
      ]);
      print(output, selectors, () => table(['SELECTOR', 'IDENTITIES', 'ENDPOINTS', 'POLICIES'], rows));
    });
}
