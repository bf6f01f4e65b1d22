// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { V1Node } from '@kubernetes/client-node';
import { createBackoff } from '@weir/clock';
import { WeirError } from '@weir/errors';
import type { KubernetesApi } from '@weir/kubernetes';
import { type Cidr, formatCidr, isIpv4Cidr, parseCidr } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { PodRanges } from '../ipam/acquire-pod-ranges.ts';
import { prepareFile, readIfPresent } from '../state-file.ts';

/** What Kubernetes says of the node that this agent is on. */
export interface OwnNode {
  readonly podCidrs: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface OwnNodeOptions {
  readonly api: Pick<KubernetesApi, 'request'>;
  readonly node: string;
  /** Whether a node without pod ranges is not known well enough. */
  readonly needsRanges: boolean;
  /** Where it is kept: `<state-dir>/kubernetes-node.json`. */
  readonly path: string;
  readonly logger: Logger;
  /** 200 ms at first, then up to 5 s, by default. */
  readonly retryMs?: { readonly initialMs: number; readonly maxMs: number };
}

const retryMsDefault = { initialMs: 200, maxMs: 5_000 } as const;
const deadlineMs = 5_000;

/**
 * Asks Kubernetes for the node. While the server is away, what it said before holds; a node that it has never said anything of
 * waits, also for its pod ranges.
 */
export async function acquireOwnNode(options: OwnNodeOptions): Promise<OwnNode> {
  const { api, node, needsRanges, path, logger } = options;
  const known = await load(path, logger);
  const backoff = createBackoff(options.retryMs ?? retryMsDefault);
  for (let reported = ''; ; await sleep(backoff.nextMs())) {
    try {
      const { metadata, spec } = await api.request<V1Node>({ path: `/api/v1/nodes/${node}`, deadlineMs });
      const podCidrs = spec?.podCIDRs ?? (spec?.podCIDR === undefined ? [] : [spec.podCIDR]);
      if (podCidrs.length === 0 && needsRanges) {
        throw new WeirError(
          'FAILED_PRECONDITION',
          `Kubernetes has given the node "${node}" no pod range (spec.podCIDRs)`,
        );
      }
      const found = { podCidrs, labels: metadata?.labels ?? {} };
      const file = await prepareFile(path, `${JSON.stringify(found)}\n`, { durable: true });
      await file.commit();
      return found;
    } catch (error) {
      if (known !== undefined) {
        logger.warn(
          { error, range: known.podCidrs.join(' ') },
          'Kubernetes does not say what this node is, what it said before goes on',
        );
        return known;
      }
      const { message } = WeirError.from(error);
      if (message !== reported)
        logger.warn({ error }, 'Kubernetes does not say yet what this node is, the agent waits for it');
      reported = message;
    }
  }
}

async function load(path: string, logger: Logger): Promise<OwnNode | undefined> {
  try {
    const text = await readIfPresent(path);
    const { podCidrs, labels } = JSON.parse(text ?? '{}') as Partial<OwnNode>;
    return podCidrs === undefined || labels === undefined ? undefined : { podCidrs, labels };
  } catch (error) {
    logger.warn({ path, error }, 'What Kubernetes said before of this node cannot be read, it is asked again');
    return undefined;
  }
}

/**
 * The pod ranges of a node. Where Kubernetes gives none of IPv6, one is made of the IPv4 range, so that no two nodes have the
 * same: pods use it among themselves, and nobody has to know it.
 */
export function podRangesOf({ podCidrs }: OwnNode): PodRanges {
  const cidrs = podCidrs.map((text) => parseCidr(text));
  const ipv4 = cidrs.find(isIpv4Cidr);
  if (ipv4 === undefined) {
    throw new WeirError('NOT_SUPPORTED', `The pod ranges ${podCidrs.join(', ')} of this node have none of IPv4`);
  }
  return { ipv4, ipv6: cidrs.find((cidr) => !isIpv4Cidr(cidr)) ?? ipv6Of(ipv4) };
}

function ipv6Of(ipv4: Cidr): Cidr {
  const [address = ''] = formatCidr(ipv4).split('/');
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  const group = (high: number, low: number): string => (high * 256 + low).toString(16);
  return parseCidr(`fd00:${group(a, b)}:${group(c, d)}::/64`);
}
