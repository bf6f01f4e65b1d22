// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { WeirError } from '@weir/errors';
import { parseRpcAddress } from '@weir/rpc';
import { createMemoryFlowTable } from './flows/memory-flow-table.ts';
import { isRecord, parseJson, readRuleSetList } from './rules/rule-set-json.ts';
import type { RuleSetSpec } from './rules/rule-set.ts';
import { createPlainSockets, type PlainEndpoint } from './sockets/plain-sockets.ts';
import type { Traffic } from './traffic.ts';

/** What a static file says: `{listen, upstream, egressRuleSet, ingressRuleSet, ruleSets}`. */
interface StaticContent {
  readonly listen: PlainEndpoint;
  readonly upstream: PlainEndpoint;
  readonly egressRuleSet: number;
  readonly ingressRuleSet: number;
  readonly ruleSets: readonly RuleSetSpec[];
}

/**
 * Ordinary sockets, and one policy for all connections: accepts at `listen` and forwards to `upstream`. Also gives the rule
 * sets of the file. INVALID_ARGUMENT names what is wrong with it.
 */
export async function readStaticTraffic(path: string): Promise<Traffic & { ruleSets: readonly RuleSetSpec[] }> {
  const { listen, upstream, egressRuleSet, ingressRuleSet, ruleSets } = await readContent(path);
  return {
    flows: createMemoryFlowTable({ sourceIdentity: 0, destinationIdentity: 0, egressRuleSet, ingressRuleSet }),
    sockets: createPlainSockets({ listen, upstream }),
    announce: () => undefined,
    close: () => undefined,
    ruleSets,
  };
}

async function readContent(path: string): Promise<StaticContent> {
  try {
    const content = parseJson(await readFile(path, 'utf8'));
    if (!isRecord(content)) throw new WeirError('INVALID_ARGUMENT', 'Not a JSON object');
    return {
      listen: endpoint(content, 'listen'),
      upstream: endpoint(content, 'upstream'),
      egressRuleSet: ruleSetId(content, 'egressRuleSet'),
      ingressRuleSet: ruleSetId(content, 'ingressRuleSet'),
      ruleSets: readRuleSetList(content.ruleSets, 'ruleSets'),
    };
  } catch (thrown) {
    const cause = WeirError.from(thrown, 'INVALID_ARGUMENT');
    throw new WeirError(cause.code, `Static configuration "${path}": ${cause.message}`, { cause });
  }
}

function endpoint(content: Record<string, unknown>, field: string): PlainEndpoint {
  const text = content[field];
  const address = typeof text === 'string' ? parseRpcAddress(text) : undefined;
  if (address?.kind === 'tcp') return { host: address.host, port: address.port };
  throw new WeirError('INVALID_ARGUMENT', `"${field}" is ${JSON.stringify(text)}, expected "host:port"`);
}

function ruleSetId(content: Record<string, unknown>, field: string): number {
  const id = content[field] ?? 0;
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0) return id;
  throw new WeirError(
    'INVALID_ARGUMENT',
    `"${field}" is ${JSON.stringify(id)}, expected the number of a rule set or 0`,
  );
}
