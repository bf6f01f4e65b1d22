// SPDX-License-Identifier: Apache-2.0
// node transparent-relay.ts PORT [NETNS]: takes every TCP connection that is routed to it, whoever it is for, and passes it
// on to the address the client dialled, from the client's own address: neither end can tell that it is there. Needs root,
// and routing that delivers the packets of both sides here, such as `ip rule add iif X lookup 100` and
// `ip route add local default dev lo table 100`.
import { once } from 'node:events';
import { createServer, Socket } from 'node:net';
import { connectTcp, listenTcp, type NetnsReference } from '../src/index.ts';

const [port = '15001', netnsPath] = process.argv.slice(2);
const place: { netns?: NetnsReference } = netnsPath === undefined ? {} : { netns: netnsPath };

async function relay(client: Socket): Promise<void> {
  const { localAddress = '', localPort = 0, remoteAddress = '' } = client;
  const fd = await connectTcp({ ...place, address: localAddress, port: localPort, source: { address: remoteAddress } });
  const server = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
  const destroyBoth = (): void => {
    client.destroy();
    server.destroy();
  };
  client.on('error', destroyBoth);
  server.on('error', destroyBoth);
  client.pipe(server).pipe(client);
  console.log(`${remoteAddress} -> ${localAddress}:${localPort}`);
}

const listener = createServer({ allowHalfOpen: true }, (client) => {
  relay(client).catch((error: unknown) => {
    console.error(String(error));
    client.destroy();
  });
});
listener.listen({ fd: listenTcp({ ...place, address: '0.0.0.0', port: Number(port), transparent: true }) });
await once(listener, 'listening');
console.log(`Listening on port ${port}`);
