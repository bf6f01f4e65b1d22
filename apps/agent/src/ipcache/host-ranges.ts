// SPDX-License-Identifier: Apache-2.0
import type { CancelTimer, Clock } from '@weir/clock';
import { type Cidr, formatIpAddress, type IpAddress, reservedIdentity } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { HostAddresses } from '../node/host-addresses.ts';
import type { PolicyController } from '../policy/policy-controller.ts';
import { type DesiredIpcache, rangesOf } from './desired-ipcache.ts';

export interface HostRangesOptions {
  readonly ipcache: DesiredIpcache;
  readonly controller: PolicyController;
  readonly addresses: Pick<HostAddresses, 'current' | 'onChange'>;
  /** What pods of this node get their addresses from: an address of it that nobody has is no part of the world. */
  readonly podRanges: readonly Cidr[];
  readonly clock: Clock;
  readonly logger: Logger;
}

const retryDelayMs = 1_000;

/**
 * Keeps the identity `host` on the node's own addresses, as they come and go, and `unmanaged` on its pod ranges. Resolves
 * when the kernel knows the present ones.
 */
export async function keepHostAddresses(options: HostRangesOptions): Promise<{ stop(): void }> {
  const { ipcache, controller, addresses, podRanges, clock, logger } = options;
  const ranges = podRanges.map((range) => ({ range, identity: reservedIdentity.unmanaged }));
  let known = new Map<string, IpAddress>();
  let last: Promise<void> = Promise.resolve();
  let cancelRetry: CancelTimer | undefined;

  const update = async (): Promise<void> => {
    const current = new Map((await addresses.current()).map((address) => [formatIpAddress(address), address]));
    const gone = [...known].filter(([text]) => !current.has(text)).map(([, address]) => address);
    const host = rangesOf([...current.values()]).map((range) => ({ range, identity: reservedIdentity.host }));
    await controller.commit({
      datapath: () => ipcache.change({ upsert: [...host, ...ranges], remove: rangesOf(gone) }),
    });
    known = current;
  };
  /** One after the other, so that the newest addresses are written last. */
  const updateSoon = (): void => {
    cancelRetry?.();
    last = last.then(update).catch((error: unknown) => {
      logger.error({ error }, 'Addresses of this host could not be updated');
      cancelRetry = clock.schedule(retryDelayMs, updateSoon);
    });
  };

  await update();
  const stopListening = addresses.onChange(updateSoon);
  return {
    stop() {
      stopListening();
      cancelRetry?.();
    },
  };
}
