// SPDX-License-Identifier: Apache-2.0
// Requests are built by hand here: what they mean is the business of another library.
import { endianness } from 'node:os';
import { createTestNamespaces, type TestNamespaces } from '../testing/namespaces.ts';
import { openNetlinkSocket, type NetlinkSocket } from './netlink-socket.ts';
import { openNetworkNamespace, type NetworkNamespace } from './network-namespace.ts';

const littleEndian = endianness() === 'LE';
const NEWLINK = 16;
const DELLINK = 17;
const GETLINK = 18;
const NEWADDR = 20;
const GETADDR = 22;
const dump = 0x300;
const createExclusively = 0x600;

/** A message of any type; `fixed` is the structure before the attributes. */
function request(
  header: { type: number; flags?: number },
  fixed: DataView,
  attributes: readonly number[] = [],
): Uint8Array {
  const bytes = Uint8Array.from([...new Uint8Array(16), ...new Uint8Array(fixed.buffer), ...attributes]);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, littleEndian);
  view.setUint16(4, header.type, littleEndian);
  view.setUint16(6, header.flags ?? 0, littleEndian);
  return bytes;
}

interface LinkRequest {
  readonly type: number;
  readonly flags?: number;
  readonly index?: number;
  readonly attributes?: readonly number[];
}

function linkRequest({ index = 0, attributes, ...header }: LinkRequest): Uint8Array {
  const ifinfomsg = new DataView(new ArrayBuffer(16));
  ifinfomsg.setInt32(4, index, littleEndian);
  return request(header, ifinfomsg, attributes);
}

function attribute(type: number, payload: readonly number[]): number[] {
  const header = new Uint8Array(4);
  new DataView(header.buffer).setUint16(0, 4 + payload.length, littleEndian);
  new DataView(header.buffer).setUint16(2, type, littleEndian);
  return [...header, ...payload, ...new Array<number>((4 - (payload.length % 4)) % 4).fill(0)];
}

const text = (value: string): number[] => [...Buffer.from(`${value}\0`)];
const bridge = attribute(18, attribute(1, text('bridge')));
const addBridge = (name: string): Uint8Array =>
  linkRequest({ type: NEWLINK, flags: createExclusively, attributes: [...attribute(3, text(name)), ...bridge] });

const AF_INET = 2;
/** Of IPv4; `index` is that of the link. */
function addressHeader({ lengthBits, index }: { lengthBits: number; index: number }): DataView {
  const ifaddrmsg = new DataView(new ArrayBuffer(8));
  ifaddrmsg.setUint8(0, AF_INET);
  ifaddrmsg.setUint8(1, lengthBits);
  ifaddrmsg.setUint32(4, index, littleEndian);
  return ifaddrmsg;
}
/** Adds an address to the loopback. */
const addAddress = (bytes: readonly number[]): Uint8Array =>
  request(
    { type: NEWADDR, flags: createExclusively },
    addressHeader({ lengthBits: 32, index: 1 }),
    attribute(2, bytes),
  );
const addressDump = request({ type: GETADDR, flags: dump }, addressHeader({ lengthBits: 0, index: 0 }));

const indexOf = (body: Uint8Array): number => new DataView(body.buffer, body.byteOffset).getInt32(4, littleEndian);

let namespaces: TestNamespaces;
let netns: NetworkNamespace;
let socket: NetlinkSocket;
beforeAll(() => {
  namespaces = createTestNamespaces(['nl']);
  netns = openNetworkNamespace(namespaces.path('nl'));
  socket = openNetlinkSocket({ netns });
});
afterAll(() => {
  socket.close();
  netns.close();
  namespaces.remove();
});

describe('NetlinkSocket.request()', () => {
  it('reads a link of the namespace, and in another socket one of our own', async () => {
    const [inside] = await socket.request(linkRequest({ type: GETLINK, flags: dump }));
    expect(inside?.messages.map(({ type, body }) => [type, indexOf(body)])).toEqual([[NEWLINK, 1]]);
    using own = openNetlinkSocket();
    const [outside] = await own.request(linkRequest({ type: GETLINK, flags: dump }));
    expect(outside?.messages.length).toBeGreaterThan(1);
  });

  it('answers each message of a batch by itself and goes on after one that fails', async () => {
    const messages = [addBridge('one'), addBridge('one'), linkRequest({ type: GETLINK, index: 99 }), addBridge('two')];
    const answers = await socket.request(Buffer.concat(messages));
    expect(answers.map(({ errno }) => errno)).toEqual([0, 17, 19, 0]);
    const names = JSON.parse(namespaces.ip('nl', '-j link')).map((link: { ifname: string }) => link.ifname);
    expect(names).toEqual(['lo', 'one', 'two']);
  });

  it('passes on the words with which the kernel refuses', async () => {
    const tooLarge = linkRequest({
      type: NEWLINK,
      index: 1,
      attributes: attribute(3, text('a-name-that-is-far-too-long')),
    });
    const [answer] = await socket.request(tooLarge);
    expect(answer).toMatchObject({ errno: 34, extendedAck: 'Attribute failed policy validation' });
  });

  it('brings answers to many dumps asked for at once in the order of the calls', async () => {
    const requests = Array.from({ length: 50 }, () => socket.request(linkRequest({ type: GETLINK, flags: dump })));
    for (const [answer] of await Promise.all(requests)) expect(answer?.messages).toHaveLength(3);
  });

  it('collects the answers to 1024 messages and a dump of many reads', async () => {
    const addresses = Array.from({ length: 1024 }, (_, i) => addAddress([10, 9, i >> 8, i & 0xff]));
    const answers = await socket.request(Buffer.concat(addresses));
    expect(answers.filter(({ errno }) => errno !== 0)).toEqual([]);
    const [dumped] = await socket.request(addressDump);
    expect(dumped?.messages).toHaveLength(1025);
    expect(dumped?.messages.reduce((bytes, { body }) => bytes + body.length, 0)).toBeGreaterThan(32_768);
  });

  it('gives up after its deadline, and is of use again', async () => {
    const slow = Promise.all(Array.from({ length: 20 }, () => socket.request(addressDump)));
    await expect(socket.request(addressDump, { timeoutMs: 1 })).rejects.toMatchObject({ code: 'TIMEOUT' });
    await slow;
    expect((await socket.request(addressDump))[0]?.messages).toHaveLength(1025);
  });

  it('is of use again after a dump was given up half-way', async () => {
    for (let i = 0; i < 100; i++) {
      const controller = new AbortController();
      const request = socket.request(addressDump, { signal: controller.signal });
      const started = performance.now();
      while (performance.now() - started < (i % 10) / 20) await Promise.resolve();
      controller.abort();
      await request.catch(() => undefined);
      expect((await socket.request(addressDump))[0]).toMatchObject({ errno: 0, messages: { length: 1025 } });
    }
  });

  it('gives up when it is cancelled, before its turn, in it, or before the call', async () => {
    const controller = new AbortController();
    const first = socket.request(addressDump, { signal: controller.signal });
    const second = socket.request(addressDump, { signal: controller.signal });
    const last = socket.request(addressDump);
    setImmediate(() => {
      controller.abort();
    });
    const outcomes = await Promise.allSettled([
      first,
      second,
      socket.request(addressDump, { signal: AbortSignal.abort() }),
    ]);
    expect(outcomes[1]).toMatchObject({ status: 'rejected', reason: { code: 'CANCELLED' } });
    expect(outcomes[2]).toMatchObject({ status: 'rejected', reason: { code: 'CANCELLED' } });
    expect((await last)[0]?.messages).toHaveLength(1025);
  });

  it.each([
    ['nothing', new Uint8Array(0)],
    ['half a header', new Uint8Array(8)],
    ['a length of 0', new Uint8Array(16)],
    ['a length beyond the end', linkRequest({ type: GETLINK }).subarray(0, 20)],
    ['a length near 2^32', Uint8Array.of(0xff, 0xff, 0xff, 0xff, ...new Uint8Array(28))],
    ['trailing bytes', Uint8Array.of(...linkRequest({ type: GETLINK, index: 1 }), 1, 2)],
  ])('refuses %s', async (_title, bytes) => {
    await expect(socket.request(bytes)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('refuses what is no Uint8Array', async () => {
    await expect(socket.request('GETLINK' as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  it('fails at once when more than 1024 requests wait', async () => {
    using other = openNetlinkSocket({ netns: namespaces.path('nl') });
    const waiting = Array.from({ length: 1024 }, () => other.request(linkRequest({ type: GETLINK, index: 1 })));
    await expect(other.request(linkRequest({ type: GETLINK, index: 1 }))).rejects.toMatchObject({
      code: 'RESOURCE_EXHAUSTED',
    });
    await Promise.all(waiting);
    await expect(other.request(linkRequest({ type: GETLINK, index: 1 }))).resolves.toHaveLength(1);
  });

  it('fails after close(), and a request under way ends', async () => {
    const other = openNetlinkSocket({ netns });
    const running = other.request(linkRequest({ type: GETLINK, flags: dump }));
    other.close();
    await Promise.allSettled([running]);
    await expect(other.request(linkRequest({ type: GETLINK, index: 1 }))).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
    });
  });

  it('deletes what the tests have made', async () => {
    const names = ['one', 'two'];
    const messages = names.map((name) => linkRequest({ type: DELLINK, attributes: attribute(3, text(name)) }));
    expect((await socket.request(Buffer.concat(messages))).map(({ errno }) => errno)).toEqual([0, 0]);
  });
});

describe('openNetlinkSocket()', () => {
  it('opens sockets of other protocols', () => {
    openNetlinkSocket({ protocol: 16 }).close();
  });

  it.each([32, -1, 0.5, Number.NaN])('refuses protocol %p', (protocol) => {
    expect(() => openNetlinkSocket({ protocol })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });
});
