// SPDX-License-Identifier: Apache-2.0
// A process of its own that makes the kernel report: runs the program of a pod's veth on one packet, over and over. Arguments:
// BPF root of the node, its network namespace, index of the pod's veth, MAC address and IPv4 address of the pod, seconds, and
// packets a second at most. Prints a FloodResult. Each packet is an event where the pod wants every packet told.
import { setTimeout as sleep } from 'node:timers/promises';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { encodeSkbContext, openPinnedProgram } from '@weir/bpf-loader-node';
import { conversation, udp, type Pod, world } from '@weir/datapath-testing';

/** What a run came to. */
export interface FloodResult {
  readonly packets: number;
  readonly seconds: number;
}

const packetsPerRun = 10_000;

const [bpfRoot = '', netns = '', ifindex = '', mac = '', ipv4 = '', seconds = '', rate = ''] = process.argv.slice(2);
const programs = join(bpfRoot, 'programs');
const [path = ''] = globSync('*/weir_from_pod', { cwd: programs });
const program = openPinnedProgram(join(programs, path));

const pod = { name: 'pod', ipv4, ipv6: '::1', mac, place: 'pod', ifindex: Number(ifindex) } as Pod;
// To somebody outside of the cluster: nothing of the packet is changed, so that it can be sent again as it is.
const talk = conversation({ family: 'ipv4', from: pod, to: world, over: udp(40_000, 9) });
const context = encodeSkbContext({ ifindex: Number(ifindex) });

const beginMs = performance.now();
const elapsedS = (): number => (performance.now() - beginMs) / 1_000;
let packets = 0;
while (elapsedS() < Number(seconds)) {
  program.testRun({ data: talk.ask().bytes(), context, repeat: packetsPerRun, netns });
  packets += packetsPerRun;
  const aheadS = packets / Number(rate) - elapsedS();
  if (aheadS > 0) await sleep(aheadS * 1_000);
}
process.stdout.write(`${JSON.stringify({ packets, seconds: elapsedS() } satisfies FloodResult)}\n`);
program.close();
