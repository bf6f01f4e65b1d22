// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createTestNamespaces, type TestNamespaces } from '../testing/namespaces.ts';
import { describeAsRoot, emptyPacket, loadSample, temporaryBpffs } from '../testing/sample.ts';
import {
  decodeSkbContext,
  encodeSkbContext,
  openNetworkNamespace,
  openPinnedProgram,
  openProgramById,
  unpin,
  type BpfObject,
  type NetworkNamespace,
} from './index.ts';

describeAsRoot('BpfProgram', () => {
  const bpffs = temporaryBpffs();
  let sample: BpfObject;
  let namespaces: TestNamespaces;
  beforeAll(() => {
    sample = loadSample();
    namespaces = createTestNamespaces(['here', 'there']);
    namespaces.join('veth0', { here: [], there: [] });
  });
  afterAll(() => {
    sample.close();
    namespaces.remove();
  });

  it('info() tells name, type, id and tag', () => {
    const info = sample.program('drop_packets').info();
    expect(info).toMatchObject({ name: 'drop_packets', type: 'sched_cls' });
    expect(info.tag).toMatch(/^[0-9a-f]{16}$/);
    expect(info.id).toBeGreaterThan(0);
  });

  it('testRun() gives the verdict, the packet and the context as the program left them', () => {
    const data = emptyPacket();
    const context = encodeSkbContext({ mark: 41, priority: 3, cb: [1, 2, 3, 4, 5] });
    const result = sample.program('change_packet').testRun({ data, context });
    expect(result.retval).toBe(-1);
    expect(result.data.length).toBe(data.length + 4);
    expect(result.data[0]).toBe(0x5a);
    expect(data[0]).toBe(0);
    expect(decodeSkbContext(result.context)).toMatchObject({ mark: 42, priority: 3, cb: [1, 2, 3, 4, 5] });
  });

  it('testRun() runs XDP programs', () => {
    const result = sample.program('xdp_pass').testRun({ data: emptyPacket() });
    expect(result.retval).toBe(2);
    expect(result.data[0]).toBe(0xa5);
  });

  it('testRun() repeats and gives the mean time', () => {
    const { durationNs } = sample.program('drop_packets').testRun({ data: emptyPacket(), repeat: 10_000 });
    expect(durationNs).toBeGreaterThan(0);
    expect(durationNs).toBeLessThan(10_000);
  });

  it('testRun() runs in another network namespace, with the interfaces of that one', () => {
    const run = (ifindex: number, netns: NetworkNamespace | string): unknown =>
      sample.program('drop_packets').testRun({ data: emptyPacket(), context: encodeSkbContext({ ifindex }), netns })
        .retval;
    const veth = Number(namespaces.ip('here', '-o link show veth0').split(':')[0]);
    using here = openNetworkNamespace(namespaces.path('here'));
    expect([run(veth, namespaces.path('here')), run(veth, here)]).toEqual([2, 2]);
    expect(() => run(60_000, here)).toThrow('No such device (ENODEV)');
    expect(() => run(0, '/run/netns/weir-none')).toThrow('Cannot open the network namespace "/run/netns/weir-none"');
  });

  it('testRun() says how long the packet is if it does not fit into the given buffer', () => {
    const run = (): unknown =>
      sample.program('change_packet').testRun({ data: emptyPacket(64), into: new Uint8Array(64) });
    expect(run).toThrow('its packet of 68 bytes does not fit into 64 bytes');
  });

  it('testRun() says what was given when the kernel refuses it', () => {
    expect(() => sample.program('drop_packets').testRun({ data: new Uint8Array(5) })).toThrow(
      'Cannot run the program with 5 bytes of data and 0 bytes of context: Invalid argument (EINVAL)',
    );
  });

  it('can be pinned, opened again and unpinned', () => {
    const program = sample.program('drop_packets');
    program.pin(bpffs.path('drop'));
    const again = openPinnedProgram(bpffs.path('drop'));
    const byId = openProgramById(program.info().id);
    expect([again.info().id, byId.info().id]).toEqual([program.info().id, program.info().id]);
    again.close();
    byId.close();
    expect([unpin(bpffs.path('drop')), unpin(bpffs.path('drop'))]).toEqual([true, false]);
  });

  it('throws FAILED_PRECONDITION after close()', () => {
    const program = openProgramById(sample.program('drop_packets').info().id);
    program.close();
    program.close();
    expect(() => program.info()).toThrow(
      expect.objectContaining({ code: 'FAILED_PRECONDITION', message: 'Program is closed' }),
    );
    expect(() => program.testRun({})).toThrow('Program is closed');
  });
});
