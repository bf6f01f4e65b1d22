// SPDX-License-Identifier: Apache-2.0
import { reportProblem } from '../document/place.ts';
import { type Reader, readString, refineReader } from '../document/readers.ts';

const dnsLabel = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
// Kubernetes bounds the parts of a name only together.
const nameLabel = '[a-z0-9](?:[-a-z0-9]*[a-z0-9])?';

function nameReader(pattern: RegExp, expected: string): Reader<string> {
  return refineReader(readString, (name, place) =>
    pattern.test(name) ? name : reportProblem(place, `"${name}" is not ${expected}`),
  );
}

/** Reads the name of an object of Kubernetes. */
export const readName = nameReader(
  new RegExp(`^(?=.{1,253}$)${nameLabel}(\\.${nameLabel})*$`),
  'a name (1–253 lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit)',
);

/** Reads the name of a namespace. */
export const readNamespace = nameReader(
  new RegExp(`^${dnsLabel}$`),
  'a namespace (1–63 lower-case letters, digits and "-", beginning and ending with a letter or digit)',
);
