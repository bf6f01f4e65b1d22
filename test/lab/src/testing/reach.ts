// SPDX-License-Identifier: Apache-2.0
import { expect } from '@jest/globals';
import type { SeenEvent } from './events.ts';
import type { Connection, Listener, Puppet, Target } from './puppet.ts';
import type { TestLab } from './use-lab.ts';

/** Says a word at one end of a connection and hears it at the other, in both directions. */
export async function expectTalking(client: Connection, server: Connection): Promise<void> {
  await client.send('question');
  expect(await server.receive(8)).toBe('question');
  await server.send('an answer');
  expect(await client.receive(9)).toBe('an answer');
}

/** Asks an echo over TCP, by a connection of its own. */
export async function expectTcpEcho(client: Puppet, target: Target): Promise<void> {
  const connection = await client.connect(target);
  await connection.send('hello over TCP');
  expect(await connection.receive(14)).toBe('hello over TCP');
  await connection.close();
}

/** Asks an echo over UDP. */
export async function expectUdpEcho(client: Puppet, target: Target): Promise<void> {
  expect(await client.ask(target, 'hello over UDP')).toBe('hello over UDP');
}

/** One who asks, and one who is asked. */
export interface Attempt {
  readonly client: Puppet & { readonly name: string };
  readonly target: Target;
  /** Why the datapath is to drop it. */
  readonly reason?: string;
}

// That the drop is seen is the proof; this is only how long the client is listened to besides.
const silenceMs = 250;

/** Expects that a TCP connection is not made, because the datapath drops its SYN for this reason; returns the event. */
export function expectTcpDropped(test: TestLab, attempt: Attempt): Promise<SeenEvent> {
  return expectDropped(test, { ...attempt, protocol: 'TCP' }, () => attempt.client.connect(attempt.target, silenceMs));
}

/** The same for a datagram and its answer. */
export function expectUdpDropped(test: TestLab, attempt: Attempt): Promise<SeenEvent> {
  return expectDropped(test, { ...attempt, protocol: 'UDP' }, () =>
    attempt.client.ask(attempt.target, 'anybody there?', silenceMs),
  );
}

async function expectDropped(
  test: TestLab,
  { client, target, reason = 'Policy denied', protocol }: Attempt & { readonly protocol: string },
  attempt: () => Promise<unknown>,
): Promise<SeenEvent> {
  const since = test.events.mark();
  const outcome = attempt().then(
    () => 'answered',
    (error: NodeJS.ErrnoException) => error.code,
  );
  const { address, port } = target;
  const drop = await test.events.find(since, { type: 'drop', from: client.name, address, port, protocol });
  expect(drop).toMatchObject({ reason });
  expect(await outcome).toMatch(/^(NOT_CONNECTED|NOTHING_CAME)$/);
  return drop;
}

/** A connection from a client to a listener, both ends of it. */
export async function openConnection(
  client: Puppet,
  { listener, target }: { readonly listener: Listener; readonly target: Target },
): Promise<{ readonly client: Connection; readonly server: Connection }> {
  const [near, far] = await Promise.all([client.connect(target), listener.accept()]);
  return { client: near, server: far };
}

/** Pings once; whether an answer came. */
export async function ping(test: TestLab, from: string, address: string): Promise<boolean> {
  return (await test.lab.exec(from, ['ping', '-c', '1', '-W', '5', address])).status === 0;
}
