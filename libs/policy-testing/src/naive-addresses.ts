// SPDX-License-Identifier: Apache-2.0

/** An address as a number, with how many bits it has. */
interface Address {
  readonly bits: number;
  readonly value: bigint;
}

function parts(text: string, separator: string, base: number): bigint[] {
  return text === '' ? [] : text.split(separator).map((part) => BigInt(parseInt(part, base)));
}

function join(numbers: readonly bigint[], width: bigint): bigint {
  return numbers.reduce((sum, number) => (sum << width) | number, 0n);
}

function parse(text: string): Address {
  if (!text.includes(':')) return { bits: 32, value: join(parts(text, '.', 10), 8n) };
  const [head = '', tail = ''] = text.split('::');
  const [first, last] = [parts(head, ':', 16), parts(tail, ':', 16)];
  const zeros = Array<bigint>(8 - first.length - last.length).fill(0n);
  return { bits: 128, value: join([...first, ...zeros, ...last], 16n) };
}

/** Whether an address lies in a prefix, or is the address that stands in its place. */
export function addressLiesIn(address: string, prefix: string): boolean {
  const [base = '', length] = prefix.split('/');
  const [inner, outer] = [parse(address), parse(base)];
  const rest = BigInt(outer.bits - Number(length ?? outer.bits));
  return inner.bits === outer.bits && inner.value >> rest === outer.value >> rest;
}
