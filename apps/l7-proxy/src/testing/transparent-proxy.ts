// SPDX-License-Identifier: Apache-2.0
// transparent-proxy PORT: the proxy on transparent sockets, in whatever network namespace it is started; says when it
// listens, and ends with its parent.
import { createTransparentSockets } from '../sockets/transparent-sockets.ts';
import { startProxy } from './proxy-harness.ts';

const sockets = createTransparentSockets({ port: Number(process.argv[2]), clientMark: 0xa00, serverMark: 0xb00 });
const proxy = await startProxy({ server: { sockets } });
process.stdout.write(`listening on ${proxy.port}\n`);
process.stdin.on('end', () => process.exit(0)).resume();
