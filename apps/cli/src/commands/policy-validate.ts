// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { defaultFeatures, formatProblem, parsePolicyFiles, type PolicyFeature, policyFeatures } from '@weir/policy';
import { outputOption, type OutputFormat, print, progress, table } from '@weir/terminal';
import type { Command } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { withAgent } from '../agent.ts';
import { readFiles } from '../read-files.ts';

interface ValidateFlags {
  /** Undefined: an agent is asked when there is one. */
  readonly agent?: boolean;
  readonly output: OutputFormat;
}

/** Who would enforce the policies, and what of the language. */
interface Enforcer {
  readonly kind: 'agent' | 'built-in';
  readonly version: string;
  readonly features: readonly PolicyFeature[];
}

const builtIn: Enforcer = {
  ...{ kind: 'built-in', version: packageJson.version, features: [...defaultFeatures].sort() },
};

// Whoever did not ask for an agent does not wait for one.
const askTimeoutMs = 1_000;
// An agent that is not there, is not this user's to ask, or knows no such question.
const noAnswer = new Set(['UNAVAILABLE', 'PERMISSION_DENIED', 'NOT_SUPPORTED', 'TIMEOUT']);

async function enforcerOf(self: Command, wanted: boolean | undefined): Promise<Enforcer> {
  if (wanted === false) return builtIn;
  const deadline = wanted === true ? {} : { deadlineMs: askTimeoutMs };
  try {
    const { features, version } = await withAgent(self, (agent) => agent.getPolicyFeatures({}, deadline));
    // One that this program does not know it cannot read, either.
    return { kind: 'agent', version, features: policyFeatures.filter((feature) => features.includes(feature)) };
  } catch (error) {
    if (wanted === true || !noAnswer.has(WeirError.from(error).code)) throw error;
    return builtIn;
  }
}

/** Adds `policy validate`. */
export function addPolicyValidate(policy: Command): void {
  policy
    .command('validate')
    .description('say all that is wrong with policy files; needs no agent and no rights')
    .argument('<file...>', 'YAML or JSON; - is standard input')
    .option('--agent', 'by what the agent of this node enforces; fails without one. Default: if there is one')
    .option('--no-agent', 'by what agents of this version enforce')
    .addOption(outputOption())
    .action(async (names: string[], { agent, output }: ValidateFlags, self: Command) => {
      const enforcer = await enforcerOf(self, agent);
      const { policies, problems, warnings } = parsePolicyFiles(await readFiles(names), {
        supports: enforcer.features,
      });
      const whose = enforcer.kind === 'agent' ? 'the agent, which has version' : 'agents of version';
      progress(`Judged by what is enforced by ${whose} ${enforcer.version}`);
      for (const warning of warnings) process.stderr.write(`${formatProblem(warning)} (warning)\n`);
      for (const problem of problems) process.stderr.write(`${formatProblem(problem)}\n`);
      if (problems.length > 0) process.exitCode = 1;
      const valid = policies.map(({ key, source, rules }) => ({ key, file: source.file, rules: rules.length }));
      if (output === 'json') print(output, { policies: valid, problems, warnings, enforcer }, String);
      if (problems.length > 0 || output === 'json') return;
      const rows = valid.map(({ key, file, rules }) => [key, file, String(rules)]);
      process.stdout.write(table(['POLICY', 'FILE', 'RULES'], rows));
    });
}
