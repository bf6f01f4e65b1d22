// SPDX-License-Identifier: Apache-2.0
import { OperatorDefinition } from '@weir/proto';
import { createRpcClient, openTlsIdentity } from '@weir/rpc';
import type { Logger } from '@weir/telemetry';
import type { AgentOptions } from '../options.ts';
import { acquirePodRanges } from './acquire-pod-ranges.ts';

// What the certificate of every operator carries.
const operatorName = 'operator.weir';

/** The options with the pod ranges that the operator gives, where there is one; otherwise those of the command line stay. */
export async function withPodRanges(options: AgentOptions, logger: Logger): Promise<AgentOptions> {
  const { operator: address, nodeName: node, stateDir } = options;
  if (address === undefined) return options;
  const identity = options.tls && openTlsIdentity(options.tls, logger);
  const tls = identity && { tls: { identity, serverName: operatorName } };
  const operator = createRpcClient(OperatorDefinition, { address, ...tls });
  try {
    const { ipv4, ipv6 } = await acquirePodRanges({ operator, node, path: `${stateDir}/pod-ranges.json`, logger });
    return { ...options, ipv4Range: ipv4, ipv6Range: ipv6 };
  } finally {
    operator.close();
    identity?.close();
  }
}
