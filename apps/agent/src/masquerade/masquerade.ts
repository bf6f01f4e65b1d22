// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import type { MasqueradeCounts, MasqueradeDatapath, MasqueradeRange } from '@weir/datapath-maps';
import { type Cidr, formatIpAddress } from '@weir/model';
import type { Logger } from '@weir/telemetry';
import type { HostAddresses, LinkAddresses } from '../node/host-addresses.ts';

/** Ports that flows of pods are given, the last one included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** What pods send out of the cluster in this node's name. */
export interface Masquerade {
  /** Resolves when the programs know the addresses of the uplinks and which ranges are not masqueraded. */
  start(): Promise<void>;
  /** Forgets flows that are over, and says so when ports have run out since the last time. */
  sweep(): Promise<void>;
  state(): MasqueradeState;
  stop(): void;
}

/** What there is to say of it; `warning` when something is not as it should be. */
export interface MasqueradeState {
  readonly ports: PortRange | undefined;
  readonly addresses: readonly string[];
  readonly counts: MasqueradeCounts;
  readonly warning: string | undefined;
}

export interface MasqueradeOptions {
  readonly datapath: MasqueradeDatapath;
  readonly addresses: Pick<HostAddresses, 'byUplink' | 'onChange'>;
  /** Undefined: pods keep their addresses. */
  readonly ports: PortRange | undefined;
  readonly excluded: readonly Cidr[];
  readonly logger: Logger;
  /** The ports that the host's own sockets are given. */
  readonly hostPorts?: () => PortRange | undefined;
}

/** The kernel's `ip_local_port_range`; undefined where it cannot be read. */
function readHostPorts(): PortRange | undefined {
  try {
    const [first, last] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')
      .trim()
      .split(/\s+/)
      .map(Number);
    return first === undefined || last === undefined ? undefined : { first, last };
  } catch {
    // Only a warning depends on it.
    return undefined;
  }
}

const portsText = ({ first, last }: PortRange): string => `${first}-${last}`;

function overlapOf(ports: PortRange, host: PortRange | undefined): string | undefined {
  if (host === undefined || ports.last < host.first || host.last < ports.first) return undefined;
  return `ports ${portsText(ports)} are also given to sockets of this host (ip_local_port_range ${portsText(host)})`;
}

/** A device without any address: what pods send out of it is dropped. Many have addresses of one family only. */
function gapOf(links: readonly LinkAddresses[]): string | undefined {
  const bare = links.find(({ ipv4, ipv6 }) => ipv4 === undefined && ipv6 === undefined);
  return bare && `${bare.name} has no address, so that nothing of pods leaves through it`;
}

/** Makes the keeper of what the programs need; it is the same in overlays and without. */
export function createMasquerade(options: MasqueradeOptions): Masquerade {
  const { datapath, addresses, ports, excluded, logger, hostPorts = readHostPorts } = options;
  let links: readonly LinkAddresses[] = [];
  let exhausted = 0;
  let exhaustedLately = 0;
  let stopListening = (): void => undefined;
  let last: Promise<void> = Promise.resolve();

  const update = async (): Promise<void> => {
    links = await addresses.byUplink();
    datapath.setUplinks(links);
  };
  const updateSoon = (): void => {
    last = last.then(update).catch((error: unknown) => {
      logger.error({ error }, 'Addresses that pods speak in the name of could not be updated');
    });
  };
  const warningOf = (range: PortRange): string | undefined =>
    exhaustedLately > 0
      ? `${exhaustedLately} packets of pods have lately been dropped for want of a free port`
      : (gapOf(links) ?? overlapOf(range, hostPorts()));

  return {
    async start() {
      const ranges: MasqueradeRange[] = excluded.map((range) => ({
        address: range.address,
        length: range.prefixLength,
      }));
      datapath.setExcluded(ranges);
      if (ports === undefined) {
        datapath.setUplinks([]);
        return;
      }
      exhausted = datapath.counts().exhausted;
      await update();
      stopListening = addresses.onChange(updateSoon);
      const overlap = overlapOf(ports, hostPorts());
      if (overlap !== undefined) logger.warn({ reason: overlap }, 'Pods and the host may want the same ports');
    },
    async sweep() {
      const { exhausted: now } = datapath.counts();
      exhaustedLately = now - exhausted;
      exhausted = now;
      if (exhaustedLately > 0)
        logger.warn({ count: exhaustedLately }, 'Packets of pods were dropped for want of a free port');
      await datapath.sweep();
    },
    state: () => ({
      ports,
      addresses: links
        .flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6])
        .flatMap((address) => (address === undefined ? [] : [formatIpAddress(address)])),
      counts: datapath.counts(),
      warning: ports && warningOf(ports),
    }),
    stop: () => stopListening(),
  };
}
