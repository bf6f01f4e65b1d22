// SPDX-License-Identifier: Apache-2.0
// The addon is called directly here, past the types: whatever it gets, it throws or does what is asked, and lives.
import { closeSync } from 'node:fs';
import { WeirError } from '@weir/errors';
import fc from 'fast-check';
import { createTestNamespaces } from '../testing/namespaces.ts';
import { socketAddon, type SocketBinding } from './socket-binding.ts';

/** Handles of every kind, open and closed: what is right for one function is wrong for the next. */
const addon = socketAddon();
// What noise asks of the kernel happens in a namespace of its own.
const namespaces = createTestNamespaces(['args']);
const netns = addon.netnsOpen(namespaces.path('args'));
const netlink = addon.netlinkOpen(netns.handle, 0);
const closed = addon.netlinkOpen(undefined, 0);
addon.close(closed);
const listener = addon.tcpListen(undefined, '127.0.0.1', 0, new Int32Array(0), 1);
const forwarding = '/proc/sys/net/ipv4/ip_forward';
const getLoopback = Uint8Array.from([
  32,
  0,
  0,
  0,
  18,
  0,
  ...new Array<number>(14).fill(0),
  1,
  ...new Array<number>(11).fill(0),
]);
const callback = (): undefined => undefined;

/** Calls that are right, of which one argument is then replaced. */
const calls = {
  netnsOpen: ['/proc/self/ns/net'],
  netnsWriteFile: [netns.handle, '/proc/self/none', Uint8Array.of(48)],
  netnsReadFile: [netns.handle, forwarding],
  netlinkOpen: [netns.handle, 0],
  netlinkRequest: [netlink, getLoopback],
  netlinkCancel: [netlink],
  netlinkSubscribe: [netns.handle, 0, Uint8Array.of(1), 4096, callback],
  tcpListen: [netns.handle, '127.0.0.1', 0, new Int32Array(0), 1],
  tcpConnect: [netns.handle, '127.0.0.1', 0, '127.0.0.1', 1, new Int32Array(0), callback],
  tcpSetOptions: [listener, new Int32Array(0)],
  tcpAddress: [listener, false],
} as const satisfies Partial<Record<keyof SocketBinding, readonly unknown[]>>;

afterAll(() => {
  closeSync(listener);
  addon.close(netns.handle);
  addon.close(netlink);
  namespaces.remove();
});

const anything = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(netns.handle, netlink, closed, 0, 1, -1, 0.5, Number.NaN, Infinity, 2 ** 53),
  },
  fc.integer(),
  fc.constantFrom(
    undefined,
    null,
    true,
    '',
    '127.0.0.1',
    '::1',
    '/dev/null',
    'x'.repeat(5000),
    Symbol('s'),
    7n,
    {},
    [],
  ),
  fc.constantFrom(() => undefined, Uint8Array.of(1), new Int32Array(3), new Int32Array(300), new Float64Array(2)),
  fc.uint8Array({ maxLength: 64 }),
);

/** Frees what a call that happened to be right has given. */
async function release(result: unknown): Promise<void> {
  const value = await result;
  if (typeof value !== 'object' || value === null) return;
  if ('handle' in value) addon.close(value.handle as number);
  else if ('fd' in value) closeSync(value.fd as number);
}

describe.each(Object.keys(calls) as (keyof typeof calls)[])('%s()', (name) => {
  const right: readonly unknown[] = calls[name];
  const mutated = fc.tuple(fc.nat(right.length - 1), anything).map(([at, value]) => right.with(at, value));
  const noise = fc.array(anything, { maxLength: 8 });

  it('throws a WeirError or works, whatever it is given', async () => {
    const call = addon[name] as (...args: unknown[]) => unknown;
    await fc.assert(
      fc.asyncProperty(fc.oneof(mutated, noise), async (args) => {
        try {
          const result = call(...args);
          if (typeof result !== 'number') await release(result);
          else if (name === 'tcpListen') closeSync(result);
          else addon.close(result);
        } catch (error) {
          expect(error).toBeInstanceOf(WeirError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
