// SPDX-License-Identifier: Apache-2.0
// node attach-namespace.ts /run/netns/NAME: gives a network namespace an interface with IPv4 and IPv6, tied to `ex0` of this
// namespace, the way a pod gets its one. Needs root; `ip link delete ex0` undoes it.
import { openNetworkNamespace } from '@weir/bpf-loader-node';
import { addAddress, addRoute, addVeth, createNetlink, getLink, setLink, tolerating } from '../src/index.ts';

const [path = '/proc/self/ns/net'] = process.argv.slice(2);
using netns = openNetworkNamespace(path);
using here = createNetlink();
using there = createNetlink({ netns });

// Both ends are born where they are to live; one send makes them and asks for their indexes.
const [, link] = await here.batch([
  addVeth({ name: 'ex0', up: true, mtu: 1450, peer: { name: 'eth0', netns, mtu: 1450 } }),
  getLink({ name: 'ex0' }),
]);
const linkIndex = link.peerIndex ?? 0;

await there.batch([
  setLink({ index: 1 }, { up: true }),
  setLink({ index: linkIndex }, { up: true }),
  addAddress({ linkIndex, address: '10.0.0.2/32' }),
  addAddress({ linkIndex, address: 'fd00::2/128', noDuplicateDetection: true }),
  addRoute({ destination: '10.0.0.1/32', linkIndex }),
  addRoute({ destination: '0.0.0.0/0', linkIndex, gateway: '10.0.0.1' }),
  addRoute({ destination: 'fd00::1/128', linkIndex }),
  addRoute({ destination: '::/0', linkIndex, gateway: 'fd00::1' }),
]);

// An operation is a value: one that may fail in a certain way is another value.
const wanted = tolerating(getLink({ name: 'eth9' }), { code: 'NOT_FOUND', result: undefined });
console.log(`eth0 has index ${linkIndex}; eth9 is ${(await there.run(wanted)) === undefined ? 'missing' : 'there'}`);
