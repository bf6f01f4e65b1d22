// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { createLabelSet, type LabelSet, parseLabelSet } from '@weir/model';
import { createSelectorSpec, labelIs, type Requirement, selectorMatches } from '../selector-spec.ts';
import { createSelectorCache } from './selector-cache.ts';
import { createSelectorIndex } from './selector-index.ts';

const namespaceKey = 'io.kubernetes.pod.namespace';
const key = fc.constantFrom('a', 'b', namespaceKey);
const value = fc.constantFrom('1', '2', '3');
const labels: fc.Arbitrary<LabelSet> = fc
  .uniqueArray(fc.record({ source: fc.constantFrom('k8s' as const, 'container' as const), key, value }), {
    selector: (label) => label.source + label.key,
    maxLength: 4,
  })
  .map(createLabelSet);
const requirement: fc.Arbitrary<Requirement> = fc.record({
  source: fc.constantFrom('any' as const, 'k8s' as const),
  key,
  operator: fc.constantFrom('In' as const, 'NotIn' as const, 'Exists' as const, 'DoesNotExist' as const),
  values: fc.uniqueArray(value, { minLength: 1, maxLength: 2 }),
});
const spec = fc.array(requirement, { maxLength: 3 }).map(createSelectorSpec);

const operation = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), id: fc.nat(9), labels }),
  fc.record({ kind: fc.constant('remove' as const), id: fc.nat(9) }),
  fc.record({ kind: fc.constant('use' as const), user: fc.nat(3), spec }),
  fc.record({ kind: fc.constant('release' as const), user: fc.nat(3), position: fc.nat(20) }),
);

describe('createSelectorCache()', () => {
  it('knows at all times who is selected by what, as a comparison of all with all does', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const cache = createSelectorCache<number>();
        const members = new Map<number, LabelSet>();
        const uses: { user: number; spec: ReturnType<typeof createSelectorSpec> }[] = [];
        for (const step of operations) {
          if (step.kind === 'add' && !members.has(step.id)) {
            cache.addMember(step.id, step.labels);
            members.set(step.id, step.labels);
          } else if (step.kind === 'remove') {
            cache.removeMember(step.id);
            members.delete(step.id);
          } else if (step.kind === 'use') {
            cache.use(step.spec, step.user);
            if (!uses.some((use) => use.user === step.user && use.spec.key === step.spec.key)) uses.push(step);
          } else if (step.kind === 'release') {
            const [use] = uses.splice(step.position % Math.max(uses.length, 1), 1);
            if (use !== undefined) cache.release(use.spec, use.user);
          }
          const specs = new Map(uses.map((use) => [use.spec.key, use.spec]));
          expect(cache.selectorCount).toBe(specs.size);
          for (const used of specs.values()) {
            const expected = [...members].filter(([, set]) => selectorMatches(used, set)).map(([id]) => id);
            expect([...cache.find(used)!.members].sort()).toEqual(expected.sort());
          }
          for (const id of members.keys()) {
            const expected = [...specs.values()].filter((used) => cache.find(used)!.members.has(id));
            expect([...cache.selectorsOf(id)].map((s) => s.spec.key).sort()).toEqual(expected.map((s) => s.key).sort());
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('makes one object of equal selectors, for as long as anybody uses it', () => {
    const cache = createSelectorCache<string>();
    const selector = cache.use(createSelectorSpec([labelIs('any', 'a', '1')]), 'x');
    expect(cache.use(createSelectorSpec([labelIs('any', 'a', '1')]), 'y')).toBe(selector);
    cache.release(selector.spec, 'x');
    expect(cache.find(selector.spec)).toBe(selector);
    cache.release(selector.spec, 'y');
    expect(cache.find(selector.spec)).toBeUndefined();
  });
});

describe('createSelectorIndex()', () => {
  it('compares a new identity with few of many selectors', () => {
    const index = createSelectorIndex<number>();
    for (let i = 0; i < 10_000; i++) {
      const app = labelIs('any', 'app', `app${i % 100}`);
      index.add(createSelectorSpec([app, labelIs('k8s', namespaceKey, `ns${Math.floor(i / 100)}`)]), i);
    }
    const pod = parseLabelSet([`k8s:${namespaceKey}=ns7`, 'k8s:app=app9', 'k8s:tier=x', 'k8s:version=1']);
    expect([...index.candidates(pod)]).toEqual([709]);
  });
});
