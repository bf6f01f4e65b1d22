// SPDX-License-Identifier: Apache-2.0

/** A function of a program that was written in Go, built for a 64-bit machine with Go 1.18 or 1.19. */
export interface GoFunction {
  /** Where it is in memory. */
  readonly address: number;
  /** Where it is in the file. */
  readonly offset: number;
}

interface Section {
  readonly address: number;
  readonly offset: number;
}

const u64 = (image: Buffer, offset: number): number => Number(image.readBigUInt64LE(offset));
const textAt = (image: Buffer, offset: number): string => image.toString('latin1', offset, image.indexOf(0, offset));

// Offsets in the headers of ELF.
const elf = { sections: 0x28, sectionSize: 0x3a, sectionCount: 0x3c, namesIndex: 0x3e } as const;
// Go 1.18 and 1.19; every change of the table has another one.
const tableMagic = 0xff_ff_ff_f0;

function sectionsOf(image: Buffer): Map<string, Section> {
  const [first, size] = [u64(image, elf.sections), image.readUInt16LE(elf.sectionSize)];
  const headers = Array.from({ length: image.readUInt16LE(elf.sectionCount) }, (_, index) => first + index * size);
  const names = u64(image, (headers[image.readUInt16LE(elf.namesIndex)] ?? 0) + 24);
  return new Map(
    headers.map((header) => [
      textAt(image, names + image.readUInt32LE(header)),
      { address: u64(image, header + 16), offset: u64(image, header + 24) },
    ]),
  );
}

/** Finds functions by their full names; undefined for a program that is none of these, or where one of them is not there. */
export function findGoFunctions<Name extends string>(
  image: Buffer,
  wanted: readonly Name[],
): Readonly<Record<Name, GoFunction>> | undefined {
  const sections = sectionsOf(image);
  const [text, table] = [sections.get('.text'), sections.get('.gopclntab')?.offset];
  if (text === undefined || table === undefined || image.readUInt32LE(table) !== tableMagic) return undefined;
  const header = (index: number): number => u64(image, table + 8 + index * 8);
  const [count, textStart, names, functions] = [header(0), header(2), table + header(3), table + header(7)];
  const found = new Map<string, GoFunction>();
  for (let index = 0; index < count && found.size < wanted.length; index += 1) {
    const entry = functions + image.readUInt32LE(functions + index * 8 + 4);
    const name = textAt(image, names + image.readInt32LE(entry + 4));
    if (!(wanted as readonly string[]).includes(name)) continue;
    const address = textStart + image.readUInt32LE(entry);
    found.set(name, { address, offset: address - text.address + text.offset });
  }
  if (found.size < wanted.length) return undefined;
  return Object.fromEntries(found) as Readonly<Record<Name, GoFunction>>;
}
