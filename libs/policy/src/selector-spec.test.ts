// SPDX-License-Identifier: Apache-2.0
import { parseLabelSet } from '@weir/model';
import { createSelectorSpec, labelIs, type Requirement, selectorMatches } from './selector-spec.ts';

const requirement = (text: string, operator: Requirement['operator'], values: string[] = []): Requirement => {
  const [source, key] = text.split(':') as ['any' | 'k8s', string];
  return { source, key, operator, values };
};

describe('createSelectorSpec()', () => {
  it('gives equal selectors equal keys, whatever the order and duplicates', () => {
    const one = createSelectorSpec([labelIs('any', 'a', '1'), requirement('k8s:b', 'In', ['y', 'x', 'y'])]);
    const other = createSelectorSpec([
      requirement('k8s:b', 'In', ['x', 'y']),
      labelIs('any', 'a', '1'),
      labelIs('any', 'a', '1'),
    ]);
    expect(other).toEqual(one);
    expect(one.key).toBe('any:a=1 && k8s:b in (x,y)');
  });

  it('writes all operators', () => {
    const key = createSelectorSpec([
      requirement('any:a', 'Exists'),
      requirement('any:b', 'DoesNotExist'),
      requirement('any:c', 'NotIn', ['1']),
    ]).key;
    expect(key).toBe('!any:b && any:a && any:c notin (1)');
    expect(createSelectorSpec([]).key).toBe('*');
  });

  it('lets no value look like another selector', () => {
    const forged = createSelectorSpec([labelIs('any', 'a', '1 && any:b=2')]);
    const real = createSelectorSpec([labelIs('any', 'a', '1'), labelIs('any', 'b', '2')]);
    expect(forged.key).not.toBe(real.key);
    const oneValue = createSelectorSpec([requirement('any:a', 'In', ['x,y', 'z'])]);
    expect(oneValue.key).not.toBe(createSelectorSpec([requirement('any:a', 'In', ['x', 'y', 'z'])]).key);
  });
});

describe('selectorMatches()', () => {
  const pod = parseLabelSet(['k8s:app=web', 'container:tier=db', 'k8s:bare']);
  const matches = (...requirements: Requirement[]): boolean => selectorMatches(createSelectorSpec(requirements), pod);

  it('without requirements matches everybody', () => {
    expect(matches()).toBe(true);
  });

  it('looks at every source for "any", and at the given one otherwise', () => {
    expect(matches(labelIs('any', 'tier', 'db'))).toBe(true);
    expect(matches(labelIs('container', 'tier', 'db'))).toBe(true);
    expect(matches(labelIs('k8s', 'tier', 'db'))).toBe(false);
  });

  it('takes a bare key for an empty value', () => {
    expect(matches(labelIs('k8s', 'bare'))).toBe(true);
    expect(matches(labelIs('k8s', 'app'))).toBe(false);
  });

  it('lets NotIn and DoesNotExist hold where there is no such label', () => {
    expect(matches(requirement('any:other', 'NotIn', ['x']))).toBe(true);
    expect(matches(requirement('any:other', 'DoesNotExist'))).toBe(true);
    expect(matches(requirement('any:app', 'NotIn', ['web']))).toBe(false);
    expect(matches(requirement('any:app', 'NotIn', ['db']))).toBe(true);
    expect(matches(requirement('any:app', 'DoesNotExist'))).toBe(false);
  });

  it('wants all requirements to hold', () => {
    expect(matches(labelIs('any', 'app', 'web'), requirement('any:bare', 'Exists'))).toBe(true);
    expect(matches(labelIs('any', 'app', 'web'), requirement('any:x', 'Exists'))).toBe(false);
  });
});
