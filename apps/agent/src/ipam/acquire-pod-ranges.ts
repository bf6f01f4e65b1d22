// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { createBackoff } from '@weir/clock';
import { WeirError } from '@weir/errors';
import { type Cidr, formatCidr, isIpv4Cidr, parseCidr } from '@weir/model';
import type { OperatorDefinition } from '@weir/proto';
import type { RpcClient } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import { prepareFile, readIfPresent } from '../state-file.ts';

/** The ranges that this node's pods get their addresses from. */
export interface PodRanges {
  readonly ipv4: Cidr;
  readonly ipv6: Cidr;
}

export interface AcquirePodRangesOptions {
  readonly operator: Pick<RpcClient<typeof OperatorDefinition>, 'acquirePodRanges'>;
  readonly node: string;
  /** Where the ranges are kept: `<state-dir>/pod-ranges.json`. */
  readonly path: string;
  readonly logger: Logger;
  /** 200 ms at first, then up to 5 s, by default. */
  readonly retryMs?: { readonly initialMs: number; readonly maxMs: number };
}

const retryMsDefault = { initialMs: 200, maxMs: 5_000 } as const;
const deadlineMs = 3_000;

/**
 * Asks the operator for the node's pod ranges. While it is away, the ranges that the node had before are still its own; a node
 * that never had any waits. Other ranges than before are reported: pods with the old ones are out of reach.
 */
export async function acquirePodRanges(options: AcquirePodRangesOptions): Promise<PodRanges> {
  const { path, node, logger } = options;
  const known = await load(path, logger);
  const request = { node, ...(known && { known: toMessage(known) }) };
  const backoff = createBackoff(options.retryMs ?? retryMsDefault);
  for (let reported = ''; ; await sleep(backoff.nextMs())) {
    try {
      const { ranges } = await options.operator.acquirePodRanges(request, { deadlineMs });
      const acquired = fromTexts(ranges ?? {});
      if (known !== undefined && !isSame(known, acquired)) {
        logger.warn(
          { range: textOf(known) },
          'The pod ranges of this node went to another one; pods in them are out of reach',
        );
      }
      await save(path, acquired);
      logger.info({ range: textOf(acquired) }, 'The operator has given pod ranges');
      return acquired;
    } catch (error) {
      if (known !== undefined) {
        logger.warn({ error, range: textOf(known) }, 'The operator does not answer, the pod ranges from before go on');
        return known;
      }
      const { message } = WeirError.from(error);
      if (message !== reported) logger.warn({ error }, 'No pod ranges yet, this node waits for the operator');
      reported = message;
    }
  }
}

const toMessage = ({ ipv4, ipv6 }: PodRanges) => ({ ipv4: formatCidr(ipv4), ipv6: formatCidr(ipv6) });
const textOf = ({ ipv4, ipv6 }: PodRanges): string => `${formatCidr(ipv4)} ${formatCidr(ipv6)}`;
const isSame = (a: PodRanges, b: PodRanges): boolean => textOf(a) === textOf(b);

function fromTexts(texts: { readonly ipv4?: unknown; readonly ipv6?: unknown }): PodRanges {
  const [ipv4, ipv6] = [parseCidr(String(texts.ipv4)), parseCidr(String(texts.ipv6))];
  if (isIpv4Cidr(ipv4) && !isIpv4Cidr(ipv6)) return { ipv4, ipv6 };
  throw new WeirError('INVALID_ARGUMENT', `${textOf({ ipv4, ipv6 })} are not a range of each family`);
}

async function load(path: string, logger: Logger): Promise<PodRanges | undefined> {
  try {
    const text = await readIfPresent(path);
    return text === undefined ? undefined : fromTexts(JSON.parse(text) as object);
  } catch (error) {
    logger.warn({ path, error }, 'The pod ranges from before cannot be read, the operator is asked for new ones');
    return undefined;
  }
}

async function save(path: string, ranges: PodRanges): Promise<void> {
  const file = await prepareFile(path, `${JSON.stringify(toMessage(ranges))}\n`, { durable: true });
  await file.commit();
}
