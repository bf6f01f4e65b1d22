// SPDX-License-Identifier: Apache-2.0
// layoutgen OBJECT DIRECTORY: writes the TypeScript of an object's layouts into a directory.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readLayout } from './read-layout.ts';
import { writeConfig } from './write-config.ts';
import { writeEnums } from './write-enums.ts';
import { writeMaps } from './write-maps.ts';
import { writeStructs } from './write-structs.ts';

const [object, directory] = process.argv.slice(2);
if (object === undefined || directory === undefined) {
  process.stderr.write('usage: layoutgen OBJECT DIRECTORY\n');
  process.exit(2);
}

const layout = readLayout(readFileSync(object));
const files = {
  'structs.ts': writeStructs(layout.structs),
  'enums.ts': writeEnums(layout.enums),
  'maps.ts': writeMaps(layout.maps, layout.structs),
  'config.ts': writeConfig(layout.config),
};
mkdirSync(directory, { recursive: true });
for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
