// SPDX-License-Identifier: Apache-2.0
import { type Cidr, formatIpAddress, type IpAddress, reservedIdentity } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { HostAddresses } from '../node/host-addresses.ts';
import type { PolicyController } from '../policy/policy-controller.ts';
import { type DesiredIpcache, rangesOf } from './desired-ipcache.ts';

export interface HostRangesOptions {
  readonly ipcache: DesiredIpcache;
  readonly controller: PolicyController;
  readonly addresses: HostAddresses;
  /** What pods of this node get their addresses from: an address of it that nobody has is no part of the world. */
  readonly podRanges: readonly Cidr[];
  readonly logger: Logger;
}

/**
 * Keeps the identity `host` on the node's own addresses, as they come and go, and `unmanaged` on its pod ranges. Resolves
 * when the kernel knows the present ones.
 */
export async function keepHostAddresses(options: HostRangesOptions): Promise<{ stop(): void }> {
  const { ipcache, controller, addresses, podRanges, logger } = options;
  let known = new Map<string, IpAddress>();

  const update = async (): Promise<void> => {
    const current = new Map((await addresses.current()).map((address) => [formatIpAddress(address), address]));
    const gone = [...known].filter(([text]) => !current.has(text)).map(([, address]) => address);
    known = current;
    const host = rangesOf([...current.values()]).map((range) => ({ range, identity: reservedIdentity.host }));
    const pods = podRanges.map((range) => ({ range, identity: reservedIdentity.unmanaged }));
    await controller.commit({
      datapath: () => ({
        ipcache: ipcache.upsert([...host, ...pods]),
        ipcacheRemoved: ipcache.remove(rangesOf(gone)),
      }),
    });
  };

  await update();
  return {
    stop: addresses.onChange(() => {
      update().catch((error: unknown) => logger.error({ error }, 'addresses of this host could not be updated'));
    }),
  };
}
