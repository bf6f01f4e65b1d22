// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from '@jest/globals';
import type { EntryOrigin, PolicyEntry } from '@weir/policy';
import { createPolicyTranslation } from './policy-translation.ts';

const origin = (policy: string, path = 'ingress[0]'): EntryOrigin => ({
  policy,
  rule: 0,
  direction: 'ingress',
  path,
  line: 1,
});
const entry = (origins: readonly EntryOrigin[], path = '/public'): PolicyEntry => ({
  ...{ direction: 'ingress', peerIdentity: 300, protocol: 6, port: 80, verdict: 'redirect' },
  ruleSet: { key: JSON.stringify([{ path }]), http: [{ path }] },
  origins,
});

describe('createPolicyTranslation(), rule sets of the proxy', () => {
  it('are told apart by the policies behind them, so that calls are told in the name of the right one', () => {
    const told = new Map<number, readonly string[]>();
    const translation = createPolicyTranslation({
      cookie: () => undefined,
      ruleSet: (number, origins) =>
        told.set(
          number,
          origins.map(({ policy }) => policy),
        ),
    });
    const cart = translation.entry(entry([origin('shop/cart')])).ruleSet;
    const frontend = translation.entry(entry([origin('shop/frontend')])).ruleSet;
    expect([told.get(cart), told.get(frontend)]).toEqual([['shop/cart'], ['shop/frontend']]);
    expect(translation.ruleSetTable()).toEqual(
      new Map([
        [cart, [{ path: '/public' }]],
        [frontend, [{ path: '/public' }]],
      ]),
    );
  });

  it('are one where policy and rules are the same, and not where a policy says it both ways', () => {
    const { entry: translate } = createPolicyTranslation();
    const first = translate(entry([origin('shop/cart')])).ruleSet;
    expect(translate(entry([origin('shop/cart')])).ruleSet).toBe(first);
    expect(translate(entry([origin('shop/cart', 'egress[0]')])).ruleSet).not.toBe(first);
    expect(translate(entry([origin('shop/cart')], '/other')).ruleSet).not.toBe(first);
  });

  it('keep their numbers for what the kernel has, and forget the others', () => {
    const translation = createPolicyTranslation();
    const kept = translation.entry(entry([origin('shop/cart')]));
    translation.entry(entry([origin('shop/frontend')]));
    translation.retain({ listPolicySlots: () => [1], listPolicy: () => [kept] });
    expect([...translation.ruleSetTable().keys()]).toEqual([kept.ruleSet]);
  });
});
