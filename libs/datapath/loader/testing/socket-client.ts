// SPDX-License-Identifier: Apache-2.0
// A process whose sockets are balanced: puts itself into a cgroup, and does what its parent tells it.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

/** What it can be told; each is answered with `done`. */
export type SocketTask =
  | { readonly kind: 'enter'; readonly cgroup: string }
  | { readonly kind: 'udp'; readonly address: string; readonly port: number; readonly count: number }
  | { readonly kind: 'open'; readonly address: string; readonly port: number; readonly text: string }
  | { readonly kind: 'close' };

let open: Socket | undefined;

async function connectUdp(address: string, port: number): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.connect(port, address);
  await once(socket, 'connect');
  socket.close();
}

async function run(task: SocketTask): Promise<void> {
  switch (task.kind) {
    case 'enter':
      return writeFileSync(`${task.cgroup}/cgroup.procs`, String(process.pid));
    case 'udp':
      for (let left = task.count; left > 0; left--) await connectUdp(task.address, task.port);
      return;
    case 'open':
      open = connect(task.port, task.address);
      await once(open, 'connect');
      open.write(task.text);
      // Whoever it is answers with as much.
      for (let left = task.text.length; left > 0; left -= ((await once(open, 'data'))[0] as Buffer).length);
      return;
    case 'close':
      open?.end();
      if (open?.closed === false) await once(open, 'close');
  }
}

process.on('message', (task: SocketTask) => void run(task).then(() => process.send?.('done')));
