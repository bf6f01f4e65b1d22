// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { createMemoryMasquerade } from '@weir/datapath-testing';
import { formatIpAddress, parseCidr, parseIpAddress } from '@weir/model';
import type { LinkAddresses } from '../node/host-addresses.ts';
import { silent } from '../testing/test-agent.ts';
import { createMasquerade, type MasqueradeOptions } from './masquerade.ts';

const ports = { first: 10_000, last: 10_099 };
const link = (ipv4: string | undefined, ipv6?: string): LinkAddresses => ({
  ...{ name: 'eth0', ifindex: 2 },
  ipv4: ipv4 === undefined ? undefined : parseIpAddress(ipv4),
  ipv6: ipv6 === undefined ? undefined : parseIpAddress(ipv6),
});

function setUp(more: Partial<MasqueradeOptions> = {}) {
  const datapath = createMemoryMasquerade();
  let links = [link('192.0.2.1', '2001:db8::1')];
  let callback: (() => void) | undefined;
  const masquerade = createMasquerade({
    ...{ datapath, ports, excluded: [parseCidr('10.0.0.0/8')], logger: silent, hostPorts: () => undefined },
    addresses: {
      byUplink: async () => links,
      onChange: (given) => {
        callback = given;
        return () => (callback = undefined);
      },
    },
    ...more,
  });
  return {
    ...{ datapath, masquerade },
    isListening: () => callback !== undefined,
    async change(to: LinkAddresses[]): Promise<void> {
      links = to;
      callback?.();
      await new Promise(setImmediate);
    },
  };
}

describe('createMasquerade()', () => {
  it('tells the programs of ranges and addresses, and of other addresses when they change', async () => {
    const { datapath, masquerade, change, isListening } = setUp();
    await masquerade.start();
    expect(datapath.excluded).toMatchObject([{ length: 104 }]);
    expect(datapath.uplinks).toMatchObject([{ ifindex: 2, ipv4: parseIpAddress('192.0.2.1') }]);
    await change([link('192.0.2.7')]);
    expect(datapath.uplinks.map(({ ipv4, ipv6 }) => [ipv4 && formatIpAddress(ipv4), ipv6])).toEqual([
      ['192.0.2.7', undefined],
    ]);
    expect(masquerade.state()).toMatchObject({ ports, addresses: ['192.0.2.7'], warning: undefined });
    masquerade.stop();
    expect(isListening()).toBe(false);
  });

  it('gives the programs nothing where it is off', async () => {
    const { datapath, masquerade, isListening } = setUp({ ports: undefined });
    await masquerade.start();
    expect([datapath.uplinks, isListening()]).toEqual([[], false]);
    expect(masquerade.state()).toMatchObject({ ports: undefined, warning: undefined });
  });

  it('warns of an uplink without any address', async () => {
    const { masquerade, change } = setUp();
    await masquerade.start();
    await change([link(undefined)]);
    expect(masquerade.state().warning).toBe('eth0 has no address, so that nothing of pods leaves through it');
  });

  it.each([
    [{ first: 10_099, last: 20_000 }, true],
    [{ first: 1, last: 10_000 }, true],
    [{ first: 10_100, last: 20_000 }, false],
    [{ first: 1, last: 9_999 }, false],
  ])('compares its ports with those of the host, %j', async (range, overlaps) => {
    const { masquerade } = setUp({ hostPorts: () => range });
    await masquerade.start();
    expect(masquerade.state().warning !== undefined).toBe(overlaps);
  });

  it('warns while ports run out, and not of what was before it', async () => {
    const { datapath, masquerade } = setUp();
    const count = (exhausted: number) => datapath.setCounts({ mapped: 9, retries: 9, exhausted });
    count(5);
    await masquerade.start();
    await masquerade.sweep();
    expect(masquerade.state().warning).toBeUndefined();
    count(7);
    await masquerade.sweep();
    expect(masquerade.state().warning).toBe('2 packets of pods have lately been dropped for want of a free port');
    await masquerade.sweep();
    expect(masquerade.state().warning).toBeUndefined();
  });
});
