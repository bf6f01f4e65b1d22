// SPDX-License-Identifier: Apache-2.0
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { isListening, parseListeningPorts } from './listening-ports.ts';

describe('parseListeningPorts()', () => {
  it('takes listening sockets of either family, and no others', () => {
    const text = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid',
      '   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0',
      '   1: 0100007F:1F90 0100007F:A001 01 00000000:00000000 00:00000000 00000000     0',
      '   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0',
      '',
    ].join('\n');
    expect(parseListeningPorts(text)).toEqual([80, 443]);
  });
});

describe('isListening()', () => {
  it('sees a port while somebody listens on it', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '::', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await isListening(process.pid, port)).toBe(true);
    await new Promise((resolve) => server.close(resolve));
    expect(await isListening(process.pid, port)).toBe(false);
  });
});
