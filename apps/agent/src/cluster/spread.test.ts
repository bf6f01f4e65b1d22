// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, it } from '@jest/globals';
import { createManualClock, type ManualClock } from '@weir/clock';
import type { ClusterPod } from '@weir/model';
import { silent } from '../testing/test-agent.ts';
import { createSpread, type Spread, type SpreadOptions } from './spread.ts';

const pod = { identity: 300, addresses: ['10.0.0.2', 'fd00::2'] };
type Connection = ReturnType<SpreadOptions['client']['status']>['connection'];

let clock: ManualClock;
let spread: Spread;
let endpoints: Map<string, ClusterPod>;
let nodes: Map<string, never>;
let connection: Connection;
let refusal: string | undefined;
let isOver: boolean;
beforeEach(() => {
  clock = createManualClock();
  endpoints = new Map();
  nodes = new Map(['n1', 'n2'].map((name) => [name, undefined as never]));
  connection = { kind: 'connected' } as Connection;
  refusal = undefined;
  isOver = false;
  const client = { nodes, endpoints, status: () => ({ connection, refusal }) };
  spread = createSpread({ client, clock, logger: silent });
});
const tell = (address: string, identity: number): void => {
  endpoints.set(address, { identity, namespace: 'default', pod: 'a' });
  spread.changed();
};
const wait = async (): Promise<boolean> => {
  void spread.wait(pod).then(() => (isOver = true));
  return look();
};
const look = async (): Promise<boolean> => {
  await new Promise(setImmediate);
  return isOver;
};

describe('createSpread()', () => {
  it('waits until all addresses are told with the identity, not one that they had before', async () => {
    tell('10.0.0.2', 299);
    tell('fd00::2', 299);
    expect(await wait()).toBe(false);
    tell('10.0.0.2', 300);
    expect(await look()).toBe(false);
    tell('fd00::2', 300);
    expect(await look()).toBe(true);
  });

  it('does not wait for what is told already', async () => {
    for (const address of pod.addresses) tell(address, 300);
    expect(await wait()).toBe(true);
  });

  it('waits for a second and not longer', async () => {
    expect(await wait()).toBe(false);
    await clock.advance(999);
    expect(await look()).toBe(false);
    await clock.advance(1);
    expect(await look()).toBe(true);
  });

  it.each<[string, () => void]>([
    ['nobody else is there', () => nodes.delete('n2')],
    ['nobody tells', () => (connection = { kind: 'disconnected' } as unknown as Connection)],
    ['this node is refused', () => (refusal = 'the range is taken')],
  ])('does not wait, or no longer, where %s', async (_, change) => {
    expect(await wait()).toBe(false);
    change();
    spread.changed();
    expect(await look()).toBe(true);
    isOver = false;
    expect(await wait()).toBe(true);
  });
});
