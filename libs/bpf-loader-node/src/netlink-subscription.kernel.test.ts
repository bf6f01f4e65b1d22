// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createTestNamespaces, type TestNamespaces } from '../testing/namespaces.ts';
import type { NetlinkMessage } from './netlink-answer.ts';
import { subscribeNetlink, type NetlinkSubscription } from './netlink-subscription.ts';
import { openNetworkNamespace, type NetworkNamespace } from './network-namespace.ts';

const linkGroup = 1;
const ipv4AddressGroup = 5;
const NEWADDR = 20;
const DELADDR = 21;

let namespaces: TestNamespaces;
let netns: NetworkNamespace;
beforeAll(() => {
  namespaces = createTestNamespaces(['sub']);
  netns = openNetworkNamespace(namespaces.path('sub'));
});
afterAll(() => {
  netns.close();
  namespaces.remove();
});

interface Watching {
  readonly messages: NetlinkMessage[];
  readonly subscription: NetlinkSubscription;
  /** Resolves when as many messages have come, or something was lost. */
  until(count: number): Promise<void>;
  lost: number;
}

function watch(options: { groups: readonly number[]; receiveBytes?: number }): Watching {
  const messages: NetlinkMessage[] = [];
  let wake = (): void => undefined;
  const watching: Watching = {
    messages,
    lost: 0,
    subscription: subscribeNetlink({
      ...options,
      netns,
      onMessages: (batch) => {
        expect(batch.length).toBeGreaterThan(0);
        messages.push(...batch);
        wake();
      },
      onLost: () => {
        watching.lost++;
        wake();
      },
    }),
    until: async (count) => {
      while (messages.length < count && watching.lost === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
  return watching;
}

describe('subscribeNetlink()', () => {
  it('delivers what is announced in its namespace to its groups, in order, and nothing else', async () => {
    const addresses = watch({ groups: [ipv4AddressGroup] });
    const links = watch({ groups: [linkGroup] });
    for (const verb of ['add', 'del']) namespaces.ip('sub', `address ${verb} 10.5.5.5/32 dev lo`);
    await addresses.until(2);
    expect(addresses.messages.map(({ type }) => type)).toEqual([NEWADDR, DELADDR]);
    expect(links.messages).toEqual([]);
    addresses.subscription.close();
    links.subscription.close();
  });

  it('says that announcements were lost when they come faster than they are read, and goes on', async () => {
    const watching = watch({ groups: [ipv4AddressGroup], receiveBytes: 4096 });
    // Nothing is read while this runs: the event loop stands still.
    for (let i = 0; i < 30; i++) namespaces.ip('sub', `address add 10.6.0.${i}/32 dev lo`);
    await watching.until(30);
    expect(watching.lost).toBe(1);
    const seen = watching.messages.length;
    expect(seen).toBeLessThan(30);
    watching.lost = 0;
    namespaces.ip('sub', 'address flush dev lo to 10.6.0.0/24');
    await watching.until(seen + 1);
    expect(watching.messages.at(seen)?.type).toBe(DELADDR);
    watching.subscription.close();
  });

  it('calls nothing after close(), which can be called twice and from the callback', async () => {
    let calls = 0;
    const closed = Promise.withResolvers<undefined>();
    const subscription = subscribeNetlink({
      groups: [ipv4AddressGroup],
      netns,
      onMessages: () => {
        calls++;
        subscription.close();
        subscription.close();
        closed.resolve(undefined);
      },
      onLost: () => undefined,
    });
    namespaces.ip('sub', 'address add 10.7.0.1/32 dev lo');
    await closed.promise;
    const other = watch({ groups: [ipv4AddressGroup] });
    namespaces.ip('sub', 'address del 10.7.0.1/32 dev lo');
    await other.until(1);
    other.subscription.close();
    expect(calls).toBe(1);
  });

  it('refuses groups that are none, and none at all', () => {
    const callbacks = { onMessages: () => undefined, onLost: () => undefined };
    for (const groups of [[], new Array<number>(33).fill(1), [0], [256], [1.5]]) {
      expect(() => subscribeNetlink({ groups, ...callbacks })).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      );
    }
  });

  it('ends with the worker thread in which it runs, as do requests that are under way', async () => {
    const library = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
    const source = `
      import { subscribeNetlink } from ${library('netlink-subscription.ts')};
      import { openNetlinkSocket } from ${library('netlink-socket.ts')};
      import { openNetworkNamespace, readFileInNetns } from ${library('network-namespace.ts')};
      import { parentPort } from 'node:worker_threads';
      subscribeNetlink({ groups: [1], onMessages: () => {}, onLost: () => {} });
      const netns = openNetworkNamespace('/proc/self/ns/net');
      const socket = openNetlinkSocket();
      for (let i = 0; i < 20; i++) {
        socket.request(new Uint8Array(20)).catch(() => {});
        readFileInNetns(netns, '/proc/sys/net/core/somaxconn').catch(() => {});
      }
      parentPort.postMessage('ready');`;
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
      await once(worker, 'message');
      await worker.terminate();
    }
  });
});
