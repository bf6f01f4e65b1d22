// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { closedHandle } from './native.ts';
import { splitMessages, type NetlinkMessage } from './netlink-answer.ts';
import type { NetnsReference } from './netns-path.ts';
import { useNamespace } from './network-namespace.ts';
import { socketAddon, type WatchHandle } from './socket-binding.ts';

/** What to listen to and whom to tell. */
export interface NetlinkSubscriptionOptions {
  /** Numbers of multicast groups, 1 to 255, such as `RTNLGRP_LINK` (1). */
  readonly groups: readonly number[];
  /** Everything that has been announced since the last call, in order; never empty. */
  readonly onMessages: (messages: readonly NetlinkMessage[]) => void;
  /** Announcements were lost, because they came faster than they were read: whatever is known must be read anew. */
  readonly onLost: () => void;
  /** A `NETLINK_*` number. Default: NETLINK_ROUTE (0). */
  readonly protocol?: number;
  /** Default: the namespace of this process. */
  readonly netns?: NetnsReference;
  /** How much the kernel keeps for us, in bytes. Default: 4 MiB. */
  readonly receiveBytes?: number;
}

/** A running subscription; it keeps the process alive. */
export interface NetlinkSubscription extends Disposable {
  /** Ends it: nothing is called any more. Closing twice is harmless. */
  close(): void;
}

const receiveBytesDefault = 4 << 20;
const groupMax = 255;

/** Subscribes to multicast groups. What is announced from this call on is delivered. */
export function subscribeNetlink(options: NetlinkSubscriptionOptions): NetlinkSubscription {
  const { groups, onMessages, onLost, protocol = 0, netns, receiveBytes = receiveBytesDefault } = options;
  for (const group of groups) {
    if (!Number.isInteger(group) || group < 1 || group > groupMax) {
      throw new WeirError(
        'INVALID_ARGUMENT',
        `Invalid netlink group ${group}: expected a number from 1 to ${groupMax}`,
      );
    }
  }
  const native = socketAddon();
  const onBatch = (batch: Uint8Array, lost: boolean): void => {
    if (batch.length > 0) onMessages(splitMessages(batch));
    if (lost && handle !== closedHandle) onLost();
  };
  let handle = useNamespace(netns, (place) =>
    native.netlinkSubscribe(place, protocol, Uint8Array.from(groups), receiveBytes, onBatch),
  );
  const close = (): void => {
    native.close(handle);
    handle = closedHandle as WatchHandle;
  };
  return { close, [Symbol.dispose]: close };
}
