// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import type { BpfMap } from './bpf-map.ts';
import type { BpfProgram } from './bpf-program.ts';

/** What a load brought. */
export interface BpfObjectParts {
  readonly maps: ReadonlyMap<string, BpfMap>;
  readonly programs: ReadonlyMap<string, BpfProgram>;
  readonly adopted: ReadonlySet<string>;
  readonly log: string;
}

/** A loaded object: its maps and programs by the names of the source. Needs no memory but theirs. */
export class BpfObject implements Disposable {
  readonly maps: ReadonlyMap<string, BpfMap>;
  readonly programs: ReadonlyMap<string, BpfProgram>;
  /** Names of the maps that were found pinned and taken over. */
  readonly adopted: ReadonlySet<string>;
  /** What libbpf had to say, as a rule nothing. */
  readonly log: string;

  constructor({ maps, programs, adopted, log }: BpfObjectParts) {
    this.maps = maps;
    this.programs = programs;
    this.adopted = adopted;
    this.log = log;
  }

  /** The map `name`; NOT_FOUND lists those there are. */
  map(name: string): BpfMap {
    return this.#get(this.maps, { kind: 'map', name });
  }

  /** The program `name`; NOT_FOUND lists those there are. */
  program(name: string): BpfProgram {
    return this.#get(this.programs, { kind: 'program', name });
  }

  /** Closes all maps and programs. What is pinned or attached lives on. */
  close(): void {
    for (const map of this.maps.values()) map.close();
    for (const program of this.programs.values()) program.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #get<Part>(parts: ReadonlyMap<string, Part>, { kind, name }: { kind: string; name: string }): Part {
    const part = parts.get(name);
    if (part !== undefined) return part;
    throw new WeirError('NOT_FOUND', `No ${kind} "${name}" was loaded; there are ${[...parts.keys()].join(', ')}`);
  }
}
