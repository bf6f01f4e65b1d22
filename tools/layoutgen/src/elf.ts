// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';

/** Where a symbol lies: the section by name, and the bytes in it. */
export interface ElfSymbol {
  readonly section: string;
  readonly offset: number;
  readonly size: number;
}

/** The parts of an ELF object that hold layouts: sections by name, and the symbols of its data. */
export interface ElfObject {
  readonly sections: ReadonlyMap<string, Uint8Array>;
  readonly symbols: ReadonlyMap<string, ElfSymbol>;
}

interface SectionHeader {
  readonly name: number;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

const MACHINE_BPF = 247;
const SECTION_NOBITS = 8;
const SECTION_SYMTAB = 2;
const SYMBOL_BYTES = 24;

/** Reads a 64-bit little-endian BPF object. Anything else is refused with what was found. */
export function parseElf(bytes: Uint8Array): ElfObject {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkIdentity(view);
  const headers = readSectionHeaders(view);
  const content = headers.map((header) =>
    header.type === SECTION_NOBITS
      ? new Uint8Array(header.size)
      : bytes.subarray(header.offset, header.offset + header.size),
  );
  const nameTable = content[view.getUint16(62, true)] ?? new Uint8Array();
  const names = headers.map((header) => readString(nameTable, header.name));
  const sections = new Map(names.map((name, index) => [name, content[index] ?? new Uint8Array()]));
  return { sections, symbols: readSymbols(headers, content, names) };
}

/** The zero-terminated string at an offset of a string table. */
export function readString(table: Uint8Array, offset: number): string {
  const end = table.indexOf(0, offset);
  return new TextDecoder().decode(table.subarray(offset, end === -1 ? table.length : end));
}

function checkIdentity(view: DataView): void {
  const refuse = (what: string): never => {
    throw new WeirError('INVALID_ARGUMENT', `Cannot read the object: ${what}`);
  };
  if (view.byteLength < 64 || view.getUint32(0) !== 0x7f454c46) refuse('it is not an ELF file');
  if (view.getUint8(4) !== 2) refuse('expected a 64-bit ELF file');
  if (view.getUint8(5) !== 1) refuse('expected little-endian byte order, as the codecs are');
  const machine = view.getUint16(18, true);
  if (machine !== MACHINE_BPF) refuse(`its machine is ${machine}, expected ${MACHINE_BPF} (BPF)`);
}

function readSectionHeaders(view: DataView): SectionHeader[] {
  const start = Number(view.getBigUint64(40, true));
  const entrySize = view.getUint16(58, true);
  const count = view.getUint16(60, true);
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * entrySize;
    return {
      name: view.getUint32(at, true),
      type: view.getUint32(at + 4, true),
      offset: Number(view.getBigUint64(at + 24, true)),
      size: Number(view.getBigUint64(at + 32, true)),
      link: view.getUint32(at + 40, true),
    };
  });
}

function readSymbols(headers: SectionHeader[], content: Uint8Array[], names: string[]): Map<string, ElfSymbol> {
  const symbols = new Map<string, ElfSymbol>();
  const index = headers.findIndex((header) => header.type === SECTION_SYMTAB);
  const table = content[index];
  const strings = content[headers[index]?.link ?? 0];
  if (table === undefined || strings === undefined) return symbols;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  for (let at = 0; at + SYMBOL_BYTES <= table.length; at += SYMBOL_BYTES) {
    const name = readString(strings, view.getUint32(at, true));
    const section = names[view.getUint16(at + 6, true)];
    if (name === '' || section === undefined) continue;
    const offset = Number(view.getBigUint64(at + 8, true));
    symbols.set(name, { section, offset, size: Number(view.getBigUint64(at + 16, true)) });
  }
  return symbols;
}
