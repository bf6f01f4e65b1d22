// SPDX-License-Identifier: Apache-2.0
// node count-packets.ts INTERFACE [SECONDS]: what arrives at an interface, by IP protocol. Needs root.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { attachTc, loadObject, openObject, openRingReader } from '../src/index.ts';

const [interfaceName = 'lo', seconds = '3'] = process.argv.slice(2);
const ifindex = Number(readFileSync(`/sys/class/net/${interfaceName}/ifindex`, 'utf8'));

const spec = openObject({ path: join(import.meta.dirname, '../build/testing/count-packets.bpf.o') });
using object = loadObject(spec, { variables: { long_packet_bytes: 1400 } });
using reader = openRingReader(object.map('long_packets'), {
  onBatch: ({ count, lost }) => {
    console.log(`${count + lost} long packets`);
  },
});
using link = attachTc(object.program('count_packets'), { ifindex, direction: 'ingress' });
console.log(`Attached to ${interfaceName} by ${link.info().type}`);

await sleep(Number(seconds) * 1000);

for await (const { count, keys, values } of object.map('packets').slices()) {
  const protocols = new Uint32Array(keys.buffer, keys.byteOffset, count);
  const packets = new BigUint64Array(values.buffer, values.byteOffset, count);
  protocols.forEach((protocol, index) => {
    console.log(`protocol ${protocol}: ${packets[index]} packets`);
  });
}
console.log(`${reader.stats().records} long packets in all`);
