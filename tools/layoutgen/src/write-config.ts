// SPDX-License-Identifier: Apache-2.0
import type { ConfigLayout } from './layout.ts';
import { camelCase, docComment, header } from './names.ts';
import { valueCode } from './scalar-code.ts';
import { importsOf } from './write-imports.ts';

/** `config.ts`: the settings as an interface, their defaults, and the variable and codec of each. */
export function writeConfig(config: readonly ConfigLayout[]): string {
  const name = (variable: ConfigLayout): string => camelCase(variable.name.replace(/^config_/, ''));
  const members = config.map((variable) => {
    return `${docComment(variable.doc, '  ')}  readonly ${name(variable)}: ${valueCode(variable.type).type};\n`;
  });
  const defaults = config.map((variable) => `  ${name(variable)}: ${literal(variable)},\n`);
  const constants = config.map((variable) => {
    const { codec } = valueCode(variable.type);
    return `  ${name(variable)}: { name: '${variable.name}', codec: ${codec} },\n`;
  });
  const body = [
    '/** Settings of the datapath that are fixed when its programs are loaded. */',
    `export interface DatapathConfig {\n${members.join('')}}`,
    '',
    '/** What holds where nobody says otherwise: the initialisers in C. */',
    `export const datapathConfigDefaults: DatapathConfig = {\n${defaults.join('')}};`,
    '',
    '/** The variable behind each setting, and how it is written. */',
    `export const datapathConfigVariables = {\n${constants.join('')}} as const;`,
    '',
  ].join('\n');
  return `${header}${importsOf(body, { from: '../codec.ts' })}\n${body}`;
}

function literal({ type, initial }: ConfigLayout): string {
  const view = new DataView(initial.buffer, initial.byteOffset, initial.byteLength);
  if (type.kind === 'boolean') return String(view.getUint8(0) !== 0);
  if (type.kind === 'bytes') return `Uint8Array.of(${[...initial].join(', ')})`;
  if (type.kind === 'struct') return '{}';
  const bits = BigInt(type.bits);
  const bytes = type.bigEndian ? [...initial] : [...initial].toReversed();
  const raw = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const value = type.signed ? BigInt.asIntN(Number(bits), raw) : raw;
  return type.bits === 64 ? `${value}n` : String(value);
}
