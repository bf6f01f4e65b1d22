// SPDX-License-Identifier: Apache-2.0
// An HTTP server in a pod, on the port of its first argument. It imports nothing of Weir, as it stands for a user's.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

const piece = Buffer.alloc(65_536, '0123456789abcdef');
let requests = 0;

const handlers: Readonly<Record<string, (request: IncomingMessage, response: ServerResponse) => void>> = {
  /** The address that the connection seems to come from. */
  '/who': ({ socket }, response) => void response.end(socket.remoteAddress?.replace(/^::ffff:/, '')),
  /** The header that the request has come with, each field as it was. */
  '/header': ({ rawHeaders }, response) => void response.end(JSON.stringify(rawHeaders)),
  /** How many requests this server has seen. */
  '/count': (_, response) => void response.end(String(requests)),
  /** Checksum of the body, and how it was sent. */
  '/checksum': (request, response) => {
    const hash = createHash('sha256');
    request.on('data', (data: Buffer) => hash.update(data));
    request.on('end', () => {
      response.end(`${hash.digest('hex')} ${request.headers['transfer-encoding'] ?? 'with a length'}`);
    });
  },
  /** 50 MB, with their length. */
  '/large': (_, response) => {
    response.setHeader('content-length', 800 * piece.length);
    let sent = 0;
    const more = (): void => {
      while (sent < 800) {
        sent++;
        if (!response.write(piece)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
  },
  /** A body in chunks with a trailer. */
  '/chunks': (_, response) => {
    response.setHeader('trailer', 'x-end');
    response.write('first ');
    setTimeout(() => {
      response.write('second');
      response.addTrailers({ 'x-end': 'reached' });
      response.end();
    }, 50);
  },
  /** A word every 20 ms, for ever. */
  '/ticks': (request, response) => {
    const timer = setInterval(() => response.write('tick '), 20);
    request.socket.on('close', () => clearInterval(timer));
  },
};

// A test of an open connection may take its time between two requests: 5 s, the default, end it on a busy machine.
const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  requests++;
  const handler = handlers[request.url ?? ''];
  if (handler !== undefined) return handler(request, response);
  response.end(`${request.method} ${request.url}`);
});
server.on('upgrade', (request, socket) => {
  socket.on('error', () => undefined);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: ${request.headers.upgrade}\r\nconnection: upgrade\r\n\r\n`,
  );
  socket.pipe(socket);
});
server.listen(Number(process.argv[2]), '::');
