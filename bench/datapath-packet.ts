// SPDX-License-Identifier: Apache-2.0
// Program time of a packet: how much longer a run takes than that of a program that does nothing. Established TCP between
// two pods, a thousand flows in turn, policies on both pods, 100,000 addresses known. The same of the host under a policy of
// its own, and what the program on the way out costs a pod's packet without one.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeSkbContext, loadObject, openObject, type BpfObject, type BpfProgram } from '@weir/bpf-loader-node';
import { ipcacheEntry, mapSpecs, toBytes } from '@weir/datapath-layout';
import {
  client,
  conversation,
  createPacketNode,
  host,
  server,
  tcp,
  uplinkIfindex,
  world,
  type Family,
  type PacketNode,
  type Party,
  type Rule,
} from '@weir/datapath-testing';
import { WeirError } from '@weir/errors';
import { parseIpAddress } from '@weir/model';
import { interleaved, type BenchPart, type BenchSettings, type Figure } from './lib/index.ts';

const packetsPerRun = 1_000_000;
const flowCount = 1000;
const firstPort = 20_000;
const ipcacheAddresses = 100_000;
const policyEntries = 500;
const tcActRedirect = 7;

/** Compiles the driver; it is no part of the datapath. */
function loadDriver(): BpfObject {
  const directory = mkdtempSync(join(tmpdir(), 'weir-bench-'));
  const output = join(directory, 'driver.o');
  try {
    const include = `-I/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`;
    const source = join(import.meta.dirname, 'datapath-packet.bpf.c');
    execFileSync('clang', ['-target', 'bpf', '-mcpu=v3', '-g', '-O2', include, '-c', source, '-o', output]);
    return loadObject(openObject({ path: output }), {
      variables: {
        source_mac: Uint8Array.from(client.mac.split(':'), (octet) => Number.parseInt(octet, 16)),
        first_port: firstPort,
        flow_count: flowCount,
      },
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function fillIpcache(node: PacketNode): void {
  const { name, keySize, valueSize } = mapSpecs.ipcache;
  const keys = new Uint8Array(ipcacheAddresses * keySize);
  const values = new Uint8Array(ipcacheAddresses * valueSize);
  for (let index = 0; index < ipcacheAddresses; index++) {
    const address = `10.${100 + (index >> 16)}.${(index >> 8) & 0xff}.${index & 0xff}`;
    keys.set(parseIpAddress(address), index * keySize);
    values.set(toBytes(ipcacheEntry, { identity: 256 + (index % 5000) }), index * valueSize);
  }
  node.object.map(name).updateMany({ keys, values });
}

/** Allows what is measured, among many other things. */
function setPolicies(node: PacketNode): void {
  const others: Rule[] = Array.from({ length: policyEntries }, (_, index) => ({
    peer: { identity: 10_000 + index },
    protocol: 6,
    port: 8000 + index,
  }));
  const rule = { protocol: 6, port: 80 };
  node.setPolicy(client, { egress: [...others, { peer: server, ...rule }, { peer: world, ...rule }] });
  node.setPolicy(server, { ingress: [...others, { peer: client, ...rule }] });
}

interface Case {
  readonly name: string;
  readonly family: Family;
  readonly from: Party;
  readonly to: Party;
  readonly flags: string;
  /** What is measured, where it is not the program on the pod's veth. */
  readonly program?: 'weir_from_network' | 'weir_to_network';
  readonly hasHostPolicy?: boolean;
}

const cases: readonly Case[] = [
  { name: 'established TCP, pod to pod, IPv4', family: 'ipv4', from: client, to: server, flags: 'ACK' },
  { name: 'established TCP, pod to pod, IPv6', family: 'ipv6', from: client, to: server, flags: 'ACK' },
  { name: 'new TCP flow, pod to pod, IPv4', family: 'ipv4', from: client, to: server, flags: 'SYN' },
  {
    ...{ name: 'established TCP, world to host under a policy, IPv4', family: 'ipv4', from: world, to: host },
    ...{ flags: 'ACK', program: 'weir_from_network', hasHostPolicy: true },
  },
  {
    ...{ name: 'pod to world at the uplink, no policy of the host, IPv4', family: 'ipv4', from: client, to: world },
    ...{ flags: 'ACK', program: 'weir_to_network' },
  },
];

const peer = 'est. 500–1200';
const target = { kind: 'value', value: 250 } as const;

async function measureCase(
  { node, driver }: { readonly node: PacketNode; readonly driver: BpfObject },
  each: Case,
  settings: BenchSettings,
): Promise<Figure[]> {
  const talk = (port: number) =>
    conversation({ family: each.family, from: each.from, to: each.to, over: tcp(firstPort + port, 80) });
  node.forgetFlows();
  node.setHostPolicy(each.hasHostPolicy === true ? { ingress: [{ protocol: 6, port: 80 }] } : undefined);
  // The node checks what each packet adds to the counters; those of the case before are not its business.
  node.metrics();
  for (let port = 0; port < flowCount; port++) {
    const outwards = each.to === host ? ({ outwards: 'own' } as const) : {};
    node.send(each.from, talk(port).ask('SYN'));
    node.send(each.to, talk(port).answer('SYN ACK'), outwards);
    node.send(each.from, talk(port).ask());
  }
  const run = (program: BpfProgram, retval: number) => (): Promise<number> => {
    driver.map('measured').updateProgram(new Uint8Array(4), program);
    const result = driver.program('drive').testRun({
      data: talk(0).ask(each.flags).bytes(),
      context: encodeSkbContext({ ifindex: each.program === undefined ? client.ifindex : uplinkIfindex }),
      netns: node.netns,
      repeat: packetsPerRun,
    });
    // A packet that is dropped early would look fast.
    if (result.retval === retval) return Promise.resolve(result.durationNs);
    throw new WeirError('FAILED_PRECONDITION', `Expected action ${retval} of ${each.name}, found ${result.retval}`);
  };
  const { ours, empty } = await interleaved({
    ...settings,
    variants: {
      ours: run(node.object.program(each.program ?? 'weir_from_pod'), each.program === undefined ? tcActRedirect : 0),
      empty: run(driver.program('do_nothing'), 0),
    },
  });
  const above = ours.map((value, index) => value - (empty[index] ?? Number.NaN));
  settings.say(`an empty program and the driver take ${Math.min(...empty)} ns of it`);
  const wanted = each.flags === 'ACK' && each.to === server ? { target, peer } : {};
  return [{ name: each.name, unit: 'ns/packet', better: 'lower', ours: above, ...wanted }];
}

export const part: BenchPart = {
  name: 'datapath-packet',
  async run(settings) {
    const node = createPacketNode({ sizes: { ct: mapSpecs.ct.maxEntries }, keepEvents: true });
    let driver: BpfObject | undefined;
    try {
      driver = loadDriver();
      fillIpcache(node);
      setPolicies(node);
      const measured = { node, driver };
      for (const each of cases) await settings.step(each.name, () => measureCase(measured, each, settings));
    } finally {
      driver?.close();
      node.close();
    }
  },
};
