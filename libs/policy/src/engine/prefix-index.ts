// SPDX-License-Identifier: Apache-2.0
import { type Cidr, cidrContainsCidr, createCidr, formatCidr, isIpv4Cidr } from '@weir/model';

/** Things found by prefixes that cover theirs, and by prefixes that theirs lie in. */
export interface PrefixIndex<T> {
  add(prefix: Cidr, thing: T): void;
  remove(prefix: Cidr, thing: T): void;
  /** The things of the prefix and of all that cover it. */
  covering(prefix: Cidr): Iterable<T>;
  /** The things of the prefix and of all that lie in it. */
  within(prefix: Cidr): Iterable<T>;
}

interface Place<T> {
  readonly prefix: Cidr;
  readonly things: Set<T>;
}

/** The prefixes of one family, by length and by what they are called. */
type Family<T> = Map<number, Map<string, Place<T>>>;

/** Makes an empty index. To find what covers a prefix costs a step for each length in use, of which there are few. */
export function createPrefixIndex<T>(): PrefixIndex<T> {
  const ipv4: Family<T> = new Map();
  const ipv6: Family<T> = new Map();
  const familyOf = (prefix: Cidr): Family<T> => (isIpv4Cidr(prefix) ? ipv4 : ipv6);

  return {
    add(prefix, thing) {
      const family = familyOf(prefix);
      const places = family.get(prefix.prefixLength) ?? new Map<string, Place<T>>();
      family.set(prefix.prefixLength, places);
      const name = formatCidr(prefix);
      const place = places.get(name);
      if (place === undefined) places.set(name, { prefix, things: new Set([thing]) });
      else place.things.add(thing);
    },
    remove(prefix, thing) {
      const family = familyOf(prefix);
      const places = family.get(prefix.prefixLength);
      const name = formatCidr(prefix);
      const place = places?.get(name);
      place?.things.delete(thing);
      if (place?.things.size === 0) places?.delete(name);
      if (places?.size === 0) family.delete(prefix.prefixLength);
    },
    *covering(prefix) {
      for (const [length, places] of familyOf(prefix)) {
        if (length > prefix.prefixLength) continue;
        yield* places.get(formatCidr(createCidr(prefix.address, length)))?.things ?? [];
      }
    },
    *within(prefix) {
      for (const places of familyOf(prefix).values()) {
        for (const place of places.values()) {
          if (cidrContainsCidr({ outer: prefix, inner: place.prefix })) yield* place.things;
        }
      }
    },
  };
}
