// SPDX-License-Identifier: Apache-2.0
// What hardly ever happens on a real kernel, and not when it is wanted: dumps that a change interrupts, lost answers.
import type { NetlinkAnswer } from '@weir/bpf-loader-node';
import { listAddresses } from './address.ts';
import { littleEndian } from './byte-order.ts';
import { getLink, listLinks } from './link.ts';
import { createNetlinkOn, type RequestSocket } from './netlink.ts';

const empty: NetlinkAnswer = { errno: 0, interrupted: false, messages: [] };
const cut: NetlinkAnswer = { ...empty, interrupted: true };

/** A socket that gives prepared answers, then empty ones, and remembers how many messages each request had. */
function scriptedSocket(answers: NetlinkAnswer[][]): RequestSocket & { readonly requests: number[] } {
  const requests: number[] = [];
  return {
    requests,
    request: (messages) => {
      const view = new DataView(messages.buffer, messages.byteOffset, messages.length);
      let count = 0;
      for (let at = 0; at < messages.length; at += view.getUint32(at, littleEndian)) count++;
      requests.push(count);
      return Promise.resolve(answers.shift() ?? Array.from({ length: count }, () => empty));
    },
    close: () => undefined,
  };
}

describe('Netlink.run()', () => {
  it('asks again for a dump that was interrupted, until it is whole', async () => {
    const socket = scriptedSocket([[cut], [cut]]);
    expect(await createNetlinkOn(socket).run(listLinks())).toEqual([]);
    expect(socket.requests).toEqual([1, 1, 1]);
  });

  it('rejects with UNAVAILABLE when a dump is interrupted 32 times in a row', async () => {
    const socket = scriptedSocket(Array.from({ length: 32 }, () => [cut]));
    await expect(createNetlinkOn(socket).run(listLinks())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'Listing links was interrupted by changes 32 times in a row',
    });
    expect(socket.requests).toHaveLength(32);
  });

  it('rejects with INTERNAL when an answer lacks what was asked for, or is missing', async () => {
    await expect(createNetlinkOn(scriptedSocket([])).run(getLink({ name: 'a' }))).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    await expect(createNetlinkOn(scriptedSocket([[]])).run(listLinks())).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('does not know an errno that has no name, and says so', async () => {
    const socket = scriptedSocket([[{ ...empty, errno: 4000 }]]);
    await expect(createNetlinkOn(socket).run(listLinks())).rejects.toMatchObject({
      code: 'SYSTEM_CALL_FAILED',
      errno: 4000,
    });
  });
});

describe('Netlink.batchSettled()', () => {
  it('sends dumps alone and the rest in sends of at most 128 messages', async () => {
    const socket = scriptedSocket([]);
    const reads = Array.from({ length: 130 }, () => getLink({ index: 1 }));
    await createNetlinkOn(socket).batchSettled([...reads, listLinks(), listAddresses(), ...reads.slice(0, 3)]);
    expect(socket.requests).toEqual([128, 2, 1, 1, 3]);
  });
});
