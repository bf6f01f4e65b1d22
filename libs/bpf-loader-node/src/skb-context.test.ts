// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import { decodeSkbContext, encodeSkbContext } from './skb-context.ts';

describe('encodeSkbContext()', () => {
  it('decodeSkbContext() gives back what went in', () => {
    const fields = {
      mark: 0xdeadbeef,
      priority: 1,
      ingressIfindex: 2,
      ifindex: 3,
      cb: [4, 5, 6, 7, 8],
      timestampNs: 2n ** 63n,
      wireLength: 1500,
      gsoSegments: 9,
      gsoSize: 1448,
    };
    expect(decodeSkbContext(encodeSkbContext(fields))).toEqual(fields);
  });

  it('leaves everything else at 0, as the kernel demands', () => {
    expect(encodeSkbContext({}).every((byte) => byte === 0)).toBe(true);
  });
});
