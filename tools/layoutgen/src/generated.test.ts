// SPDX-License-Identifier: Apache-2.0
// Runs what was generated: the codecs of the fixture, imported from where layoutgen has put them.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fixture, withObject } from './compile-fixture.ts';

// Beside src/gen/, so that `../codec.ts` is the real one.
const library = fileURLToPath(new URL('../../../libs/datapath/layout/src/', import.meta.url));
const hex = (view: DataView): string => Buffer.from(view.buffer).toString('hex');
const bytes = (length: number, first: number): Uint8Array => Uint8Array.from({ length }, (_, index) => first + index);

describe('generated code', () => {
  let directory: string;
  // The shape of what is generated for a fixture is what these tests are about: the compiler cannot know it.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  const modules: Record<string, any> = {};

  beforeAll(async () => {
    directory = mkdtempSync(`${library}fixture-`);
    const main = fileURLToPath(new URL('main.ts', import.meta.url));
    withObject(fixture, (object) => execFileSync(process.execPath, [main, object, directory]));
    for (const name of ['structs', 'enums', 'maps', 'config']) modules[name] = await import(`${directory}/${name}.ts`);
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const key = { source: bytes(16, 0), destination: bytes(16, 16), sourcePort: 80, destinationPort: 65535, protocol: 6 };

  it('encodes at an offset in network and host order, and clears padding', () => {
    const view = new DataView(new Uint8Array(42).fill(0xff).buffer);
    modules['structs'].flowKey.encode(view, 1, key);
    const addresses = Buffer.from(bytes(32, 0)).toString('hex');
    expect(hex(view)).toBe(`ff${addresses}0050ffff06000000ff`);
    expect(modules['structs'].flowKey.decode(view, 1)).toEqual(key);
  });

  it('decodes what it encoded, for every kind of member', () => {
    const { flowEntry } = modules['structs'];
    const side = { ifindex: 7, mac: bytes(6, 1), flags: 513 };
    const value = {
      revision: 2n ** 64n - 1n,
      packets: [1n, 2n ** 40n],
      sides: [side, { ...side, ifindex: 8 }],
      via: { ...side, flags: 0 },
      spi: 0x01020304,
      delta: -5,
      seen: true,
    };
    const view = new DataView(new ArrayBuffer(flowEntry.size));
    flowEntry.encode(view, 0, value);
    expect(flowEntry.decode(view, 0)).toEqual(value);
    expect(hex(view).slice(120, 128)).toBe('01020304');
    expect(flowEntry.readPacketsNumber(view, 0, 1)).toBe(2 ** 40);
    expect(flowEntry.readDelta(view, 0)).toBe(-5);
    expect(modules['structs'].side.readIfindex(view, flowEntry.atSides(0, 1))).toBe(8);
    flowEntry.writeSpi(view, 0, 5);
    expect(flowEntry.readSpi(view, 0)).toBe(5);
  });

  it('decode() keeps no hold of the buffer, a reader of bytes does', () => {
    const { flowKey } = modules['structs'];
    const view = new DataView(new ArrayBuffer(flowKey.size));
    const before = flowKey.decode(view, 0);
    const live = flowKey.readSource(view, 0);
    view.setUint8(0, 9);
    expect([before.source[0], live[0]]).toEqual([0, 9]);
  });

  it.each([
    ['sourcePort', 65536, 'flow_key.source_port is 65536, expected an integer from 0 to 65535'],
    ['sourcePort', 1.5, 'flow_key.source_port is 1.5, expected an integer from 0 to 65535'],
    ['protocol', -1, 'flow_key.protocol is -1, expected an integer from 0 to 255'],
    ['source', bytes(4, 0), 'flow_key.source is 4 long, expected 16'],
  ])('refuses %s = %s', (field, value, message) => {
    const view = new DataView(new ArrayBuffer(40));
    expect(() => modules['structs'].flowKey.encode(view, 0, { ...key, [field]: value })).toThrow(message);
  });

  it('gives enums, maps and settings', () => {
    expect(modules['enums'].dropReason).toEqual({ policyDenied: 133, invalidSourceMac: 134 });
    expect(modules['enums'].dropReasonNames[134]).toBe('invalidSourceMac');
    expect(modules['enums'].dropReasonTexts[133]).toBe('Policy denied');
    expect(modules['maps'].mapSpecs.flows).toMatchObject({ name: 'weir_flows_v2', key: modules['structs'].flowKey });
    expect(modules['maps'].mapSpecs.counters.value.size).toBe(8);
    expect(modules['config'].datapathConfigDefaults).toEqual({
      hostIfindex: 7,
      rateLimitNs: 1000000n,
      hostMac: Uint8Array.of(238, 238, 238, 238, 238, 238),
      policyEnabled: true,
    });
    expect(modules['config'].datapathConfigVariables.hostIfindex.name).toBe('host_ifindex');
  });
});
