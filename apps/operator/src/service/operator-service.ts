// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { type Cidr, formatCidr, isIpv4Cidr, parseCidr } from '@weir/model';
import { OperatorDefinition, type weir } from '@weir/proto';
import { refuseOtherNode, rpcService, type RpcService } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { LeaderElection } from '../leader/leader-election.ts';
import type { AbsentNodes } from '../ranges/absent-nodes.ts';
import type { NodePodRanges } from '../ranges/range-change.ts';
import type { RangeGiver } from '../ranges/range-giver.ts';
import type { RangeLedger } from '../ranges/range-ledger.ts';

export interface OperatorServiceOptions {
  readonly election: Pick<LeaderElection, 'isLeader' | 'leader' | 'away'>;
  readonly ledger: Pick<RangeLedger, 'table'>;
  readonly giver: RangeGiver;
  /** Who gives nodes their ranges, if not this operator. */
  readonly otherGiver?: string;
  readonly absent: Pick<AbsentNodes, 'touch'>;
  readonly status: () => Promise<weir.operator.v1.GetStatusResponse.$Properties>;
  readonly log: Logger;
}

const nodePattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;

/** Ranges as the API shows them. */
export const rangesMessage = ({ ipv4, ipv6 }: NodePodRanges): weir.operator.v1.PodRanges.$Properties => ({
  ipv4: formatCidr(ipv4),
  ipv6: formatCidr(ipv6),
});

/** Makes the gRPC service. */
export function createOperatorService(options: OperatorServiceOptions): RpcService {
  const { election, ledger, giver, absent, log } = options;
  return rpcService(OperatorDefinition, {
    async acquirePodRanges(request, call) {
      const node = readNode(request.node);
      const known = readKnown(request.known);
      refuseOtherNode(node, call);
      refuseWhereOthersGive(options.otherGiver);
      refuseUnlessLeading(election);
      const isNew = ledger.table.get(node) === undefined;
      const ranges = rangesMessage(await giver.give(node, known));
      absent.touch(node);
      if (isNew) log.info({ node, range: `${ranges.ipv4} ${ranges.ipv6}` }, 'Node has pod ranges');
      return { ranges };
    },
    getStatus: () => options.status(),
  });
}

function refuseWhereOthersGive(giver: string | undefined): void {
  if (giver === undefined) return;
  throw new WeirError(
    'FAILED_PRECONDITION',
    `This operator gives no ranges: ${giver} does, expected an agent that asks it`,
  );
}

function refuseUnlessLeading({ isLeader, leader, away }: OperatorServiceOptions['election']): void {
  if (isLeader) return;
  if (away !== undefined) throw new WeirError('UNAVAILABLE', `The store is away: ${away}`);
  throw new WeirError('UNAVAILABLE', `This operator does not lead: ask ${leader === '' ? 'again' : `"${leader}"`}`);
}

const invalid = (field: string, problem: string): WeirError =>
  new WeirError('INVALID_ARGUMENT', `${field}: ${problem}`, { details: { field } });

function readNode(node: string): string {
  if (nodePattern.test(node)) return node;
  throw invalid('node', `"${node.slice(0, 64)}" is not a node name (1–253 letters, digits, "-", "." or "_")`);
}

function readKnown(known: weir.operator.v1.PodRanges.$Properties | null | undefined): Partial<NodePodRanges> {
  const read = (family: 'ipv4' | 'ipv6'): Cidr | undefined => {
    const text = known?.[family] ?? '';
    if (text === '') return undefined;
    try {
      const cidr = parseCidr(text);
      if (isIpv4Cidr(cidr) === (family === 'ipv4')) return cidr;
    } catch {
      // Said below.
    }
    throw invalid(`known.${family}`, `"${text.slice(0, 64)}" is not a prefix of this family`);
  };
  const [ipv4, ipv6] = [read('ipv4'), read('ipv6')];
  return { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}
