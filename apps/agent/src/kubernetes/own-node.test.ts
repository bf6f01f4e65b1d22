// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WeirError } from '@weir/errors';
import { formatCidr } from '@weir/model';
import { silent } from '../testing/test-agent.ts';
import { acquireOwnNode, podRangesOf } from './own-node.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weir-own-node-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const known = { podCidrs: ['10.0.1.0/24'], labels: { zone: 'a' } };

/** Asks a server that gives one answer after the other. */
function acquire(answers: readonly (object | Error)[], needsRanges = true) {
  const left = [...answers];
  const asked: string[] = [];
  const request = async ({ path }: { readonly path: string }): Promise<never> => {
    asked.push(path);
    const answer = left.shift();
    if (answer === undefined || answer instanceof Error) throw answer ?? new WeirError('UNAVAILABLE', 'gone');
    return answer as never;
  };
  const path = join(directory, 'state', 'node.json');
  const retryMs = { initialMs: 1, maxMs: 1 };
  const node = acquireOwnNode({ api: { request }, node: 'n1', needsRanges, path, logger: silent, retryMs });
  return { asked, node };
}
const answer = (podCIDRs?: string[]) => ({ metadata: { labels: known.labels }, spec: { podCIDRs } });

describe('acquireOwnNode()', () => {
  it('waits until Kubernetes has given ranges', async () => {
    const { asked, node } = acquire([new WeirError('UNAVAILABLE', 'no'), answer(), answer(['10.0.1.0/24'])]);
    expect(await node).toEqual(known);
    expect(asked).toEqual(Array.from({ length: 3 }, () => '/api/v1/nodes/n1'));
  });

  it('does not wait for ranges that somebody else gives', async () => {
    expect(await acquire([answer()], false).node).toEqual({ ...known, podCidrs: [] });
  });

  it('goes on with what Kubernetes said before while it is away', async () => {
    await acquire([answer(['10.0.1.0/24'])]).node;
    expect(await acquire([new WeirError('UNAVAILABLE', 'no')]).node).toEqual(known);
    writeFileSync(join(directory, 'state', 'node.json'), 'broken');
    expect(await acquire([new WeirError('UNAVAILABLE', 'no'), answer(['10.0.1.0/24'])]).node).toEqual(known);
  });
});

describe('podRangesOf()', () => {
  const rangesOf = (...podCidrs: string[]): string[] => {
    const { ipv4, ipv6 } = podRangesOf({ podCidrs, labels: {} });
    return [formatCidr(ipv4), formatCidr(ipv6)];
  };

  it('takes both families as they are given', () => {
    expect(rangesOf('fd01:2::/64', '10.0.1.0/24')).toEqual(['10.0.1.0/24', 'fd01:2::/64']);
  });

  it('makes a range of IPv6 that no other node has where none is given', () => {
    expect(rangesOf('10.244.3.0/24')).toEqual(['10.244.3.0/24', 'fd00:af4:300::/64']);
    expect(rangesOf('10.244.3.64/26')[1]).toBe('fd00:af4:340::/64');
  });

  it('refuses a node without IPv4, by name', () => {
    expect(() => rangesOf('fd01:2::/64')).toThrow('The pod ranges fd01:2::/64 of this node have none of IPv4');
  });
});
