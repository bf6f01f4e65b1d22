// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { DeclaredVariable, ObjectSpec } from './object-spec.ts';
import type { VariablePlan } from './bpf-binding.ts';

/** A number or boolean for a scalar, bytes of the exact size for anything. */
export type VariableValue = number | bigint | boolean | Uint8Array;

/** Where in the object each value goes; INVALID_ARGUMENT names the variable that is unknown or whose value does not fit. */
export function planVariables(spec: ObjectSpec, values: Readonly<Record<string, VariableValue>>): VariablePlan[] {
  return Object.entries(values).map(([name, value]) => {
    const variable = spec.variables.find((candidate) => candidate.name === name);
    if (variable === undefined) {
      const known = spec.variables.map((candidate) => candidate.name).join(', ') || 'none';
      throw invalid(name, `is not a variable of the object "${spec.name}"; it has ${known}`);
    }
    return [variable.section, variable.offset, encode(variable, value)];
  });
}

function encode(variable: DeclaredVariable, value: VariableValue): Uint8Array {
  const { name, size, encoding } = variable;
  if (value instanceof Uint8Array) {
    if (value.length !== size) throw invalid(name, `takes ${size} bytes, found ${value.length}`);
    return value;
  }
  if (encoding === 'bytes') throw invalid(name, `takes a Uint8Array of ${size} bytes, found ${typeof value} ${value}`);
  return encodeInteger(variable, value);
}

function encodeInteger({ name, size, encoding }: DeclaredVariable, value: number | bigint | boolean): Uint8Array {
  const bits = BigInt(size * 8);
  const [least, greatest] =
    encoding === 'boolean'
      ? [0n, 1n]
      : encoding === 'signed'
        ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n]
        : [0n, (1n << bits) - 1n];
  if (typeof value === 'number' && !Number.isInteger(value)) throw invalid(name, `takes an integer, found ${value}`);
  const number = BigInt(value);
  if (number < least || number > greatest) {
    throw invalid(name, `takes ${encoding} ${size * 8}-bit numbers from ${least} to ${greatest}, found ${value}`);
  }
  const bytes = new Uint8Array(size);
  for (let i = 0, rest = BigInt.asUintN(size * 8, number); i < size; i++, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return bytes;
}

function invalid(name: string, problem: string): WeirError {
  return new WeirError('INVALID_ARGUMENT', `variables: "${name}" ${problem}`, { details: { variable: name } });
}
