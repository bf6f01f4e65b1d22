// SPDX-License-Identifier: Apache-2.0

/** What the certificate of every relay carries: it says what it is, not where it runs. */
export const relayServerName = 'monitor-relay.weir';

/** What the certificate of a node carries. */
export const nodeServerName = (node: string): string => `${node}.node.weir`;
