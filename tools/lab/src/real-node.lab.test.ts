// SPDX-License-Identifier: Apache-2.0
// The lab with Weir's own programs, as `make build` leaves them: what the network of a pod is, and what stays of it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  cniAdd,
  cniCheck,
  cniDelete,
  createLab,
  netnsPath,
  type AgentClient,
  type CniCall,
  type Pod,
} from './index.ts';
import type { PodRecord } from './pods/pod-record.ts';

const dist = join(import.meta.dirname, '../../../dist');
const lab = createLab({ name: `real${process.pid % 100_000}` });
const { stateDirectory, runDirectory, cniSocket } = lab.paths.node('node1');
let agent: AgentClient;

const installed = join(stateDirectory, 'installed');
const agentArguments = [
  ...['--cni-bin-dir', join(installed, 'bin'), '--cni-conf-dir', join(installed, 'net.d'), '--cni-chain', 'portmap'],
];
beforeAll(async () => {
  await lab.up({ agentArguments });
  agent = lab.agent();
});
afterEach(async () => {
  await lab.up();
  for (const pod of await lab.pods()) await lab.removePod(pod.name);
});
afterAll(async () => {
  agent.close();
  await lab.down();
});

const ping = async (target: string, address: string): Promise<boolean> =>
  (await lab.exec(target, ['ping', '-c', '1', '-W', '2', address])).status === 0;

/** How much of everything there is on the node that comes and goes with pods. */
async function inventory(): Promise<Record<string, number>> {
  const [status, links, ipcache, endpoints] = await Promise.all([
    agent.getStatus({}),
    lab.exec('@node1', ['ip', '-oneline', 'link']),
    agent.listIpcache({}),
    agent.listDatapathEndpoints({}),
  ]);
  const files = (directory: string): number =>
    existsSync(directory) ? readdirSync(directory, { recursive: true }).length : 0;
  return {
    ipv4: status.ipv4Allocated,
    ipv6: status.ipv6Allocated,
    endpoints: status.endpointsTotal,
    links: links.stdout.split('\n').length,
    ipcache: ipcache.entries.length,
    datapathEndpoints: endpoints.endpoints.length,
    pins: files(lab.paths.node('node1').bpfRoot),
    state: files(join(stateDirectory, 'endpoints')),
    namespaces: readdirSync(lab.paths.namespaceDirectory).length,
    pods: files(lab.paths.podDirectory),
    logs: files(lab.paths.logDirectory),
  };
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (let i = 0; !(await condition()); i++) {
    if (i === 200) throw new Error('nothing happened for 10 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('a pod', () => {
  it('reaches pods, its node and the world, and is reached by them, in both families', async () => {
    const [a, b] = [await lab.addPod({ name: 'a' }), await lab.addPod({ name: 'b' })];
    const families: (keyof Pick<Pod, 'ipv4' | 'ipv6'>)[] = ['ipv4', 'ipv6'];
    const world = { ipv4: '172.31.0.2', ipv6: 'fd00:172:31::2' };
    const node = { ipv4: '172.31.0.11', ipv6: 'fd00:172:31::11' };
    const reached = await Promise.all(
      families.flatMap((family) => [
        ping('a', b[family]),
        ping('a', node[family]),
        ping('a', world[family]),
        ping('@node1', a[family]),
        ping('@world', a[family]),
      ]),
    );
    expect(reached).toEqual(Array<boolean>(10).fill(true));
  });

  it('is made with the plugin that the agent has installed, once its configuration is there', () => {
    const text = readFileSync(join(installed, 'net.d', '05-weir.conflist'), 'utf8');
    // No portmap is there: the configuration does without.
    expect(JSON.parse(text)).toMatchObject({ name: 'weir', plugins: [{ type: 'weir-cni', socket: cniSocket }] });
    const plugins = [dist, join(installed, 'bin')].map((directory) => readFileSync(join(directory, 'weir-cni')));
    expect(plugins[0]?.equals(plugins[1] as Buffer)).toBe(true);
  });

  it('gets a new identity with new labels, the same for the same labels', async () => {
    const a = await lab.addPod({ name: 'a', labels: { app: 'x' } });
    const b = await lab.addPod({ name: 'b', labels: { app: 'y' } });
    expect(a.identity).not.toBe(b.identity);
    expect((await lab.labelPod('a', { set: { app: 'y' } })).identity).toBe(b.identity);
    const listed = await lab.pods();
    expect(listed.map(({ identity }) => identity)).toEqual([b.identity, b.identity]);
  });

  it('stays on the network while its agent is dead, and after it came back', async () => {
    const [, b] = [await lab.addPod({ name: 'a' }), await lab.addPod({ name: 'b' })];
    await lab.stopService('node1/agent', 'SIGKILL');
    expect(await ping('a', b.ipv4)).toBe(true);
    await lab.startService('node1/agent');
    await lab.up();
    expect(await ping('a', b.ipv6)).toBe(true);
    const c = await lab.addPod({ name: 'c' });
    expect(await ping('a', c.ipv4)).toBe(true);
  });

  it('that goes while its agent is dead is gone for the agent too when it is back', async () => {
    const before = await inventory();
    await lab.addPod({ name: 'a' });
    await lab.stopService('node1/agent', 'SIGKILL');
    await lab.removePod('a');
    const notes = join(runDirectory, 'cni-deletions');
    expect(readdirSync(notes)).toHaveLength(1);
    await lab.startService('node1/agent');
    await lab.up();
    await until(() => readdirSync(notes).length === 0);
    await until(async () => (await agent.getStatus({})).endpointsTotal === 0);
    expect(await inventory()).toEqual(before);
  });

  it('100 of them, made and removed at the same time, leave nothing', async () => {
    const before = await inventory();
    const names = Array.from({ length: 100 }, (_, i) => `pod-${i}`);
    const pods = await Promise.all(names.map((name, i) => lab.addPod({ name, labels: { app: `app-${i % 5}` } })));
    expect(new Set(pods.map(({ ipv4 }) => ipv4)).size).toBe(100);
    expect(new Set(pods.map(({ ipv6 }) => ipv6)).size).toBe(100);
    expect(new Set(pods.map(({ identity }) => identity)).size).toBe(5);
    expect(await inventory()).toMatchObject({ ipv4: 100, endpoints: 100, datapathEndpoints: 100 });
    expect(await ping('pod-0', pods[99]?.ipv6 ?? '')).toBe(true);
    await Promise.all(names.map((name) => lab.removePod(name)));
    expect(await inventory()).toEqual(before);
  });
});

describe('weir-cni, called as a runtime calls it', () => {
  const callFor = (pod: PodRecord): Omit<CniCall, 'command'> => ({
    plugin: join(dist, 'weir-cni'),
    containerId: pod.containerId,
    netnsPath: netnsPath(pod.netns),
    namespace: pod.namespace,
    pod: pod.name,
    socket: cniSocket,
  });
  const addPod = async (): Promise<PodRecord> => {
    await lab.addPod({ name: 'a', labels: { app: 'x' } });
    return JSON.parse(readFileSync(join(lab.paths.podDirectory, 'default_a.json'), 'utf8')) as PodRecord;
  };

  it('ADD names the interface in the pod and both addresses', async () => {
    const pod = await addPod();
    expect(pod.cniResult).toMatchObject({
      cniVersion: '1.1.0',
      interfaces: expect.arrayContaining([
        expect.objectContaining({ name: 'eth0', sandbox: netnsPath(pod.netns), mac: expect.any(String) }),
      ]),
      ips: expect.arrayContaining([
        expect.objectContaining({ address: `${pod.ipv4}/32` }),
        expect.objectContaining({ address: `${pod.ipv6}/128` }),
      ]),
    });
  });

  it('CHECK succeeds on a sound pod, and fails on one whose interface is gone', async () => {
    const pod = await addPod();
    const call = { ...callFor(pod), prevResult: pod.cniResult };
    await cniCheck(call);
    await lab.exec('a', ['ip', 'link', 'set', 'eth0', 'down']);
    await lab.exec('a', ['ip', 'link', 'delete', 'eth0']);
    await expect(cniCheck(call)).rejects.toThrow('CNI CHECK of pod "default/a" failed');
  });

  it('DEL succeeds as often as it is called, also for what never was', async () => {
    const pod = await addPod();
    const call = { ...callFor(pod), prevResult: pod.cniResult };
    await cniDelete(call);
    await cniDelete(call);
    await cniDelete({ ...call, containerId: 'never-seen', netnsPath: '/run/netns/never-seen' });
    expect((await agent.getStatus({})).endpointsTotal).toBe(0);
  });

  it('ADD of a namespace that does not exist fails, and leaves nothing', async () => {
    const pod = await addPod();
    const before = await inventory();
    const call = { ...callFor(pod), containerId: 'other', netnsPath: '/run/netns/never-seen' };
    await expect(cniAdd(call)).rejects.toThrow('CNI ADD of pod "default/a" failed');
    expect(await inventory()).toEqual(before);
  });

  it('ADD with the agent down answers with code 11', async () => {
    const pod = await addPod();
    await lab.stopService('node1/agent', 'SIGKILL');
    await expect(cniAdd({ ...callFor(pod), containerId: 'other' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { cniCode: 11 },
    });
    await lab.startService('node1/agent');
    await lab.up();
  });
});
