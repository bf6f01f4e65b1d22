// SPDX-License-Identifier: Apache-2.0
import { expect, it } from '@jest/globals';
import { encodedOnce } from './method.ts';
import { IdentityAllocatorDefinition } from './gen/services.ts';

const { responseSerialize } = IdentityAllocatorDefinition.getIdentity;
const message = () => ({ identity: { id: 300, labels: ['k8s:app=web'] } });

it('encodedOnce() has a message encoded for the first stream only', () => {
  const shared = encodedOnce(message());
  const bytes = responseSerialize(shared);
  expect(responseSerialize(shared)).toBe(bytes);
  const own = message();
  expect(responseSerialize(own)).toEqual(bytes);
  expect(responseSerialize(own)).not.toBe(responseSerialize(own));
});
