// SPDX-License-Identifier: Apache-2.0
import { createServer, type Server } from 'node:http';
import { Duplex } from 'node:stream';

/** A request as some parser has read it. */
export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly body: string;
}

/** What a parser made of a stream of requests. */
export interface ReadStream {
  readonly requests: readonly ReadRequest[];
  /** True when it met something that it does not take. */
  readonly refused: boolean;
}

/** Node's own parser, llhttp, behind a stream instead of a socket. */
export interface NodeParser {
  read(text: string): Promise<ReadStream>;
}

class Pipe extends Duplex {
  override _read(): void {
    // The test pushes.
  }
  override _write(_chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    done();
  }
}

/** Reads until the parser has nothing left to do. A lenient one takes what sloppy servers take. */
export function createNodeParser({ lenient }: { lenient: boolean }): NodeParser {
  const server: Server = createServer({
    insecureHTTPParser: lenient,
    keepAliveTimeout: 0,
    requestTimeout: 0,
    headersTimeout: 0,
  });
  server.maxRequestsPerSocket = 0;
  return {
    async read(text) {
      const requests: ReadRequest[] = [];
      let refused = false;
      const pipe = new Pipe();
      const onRequest: Parameters<Server['on']>[1] = (request, response) => {
        let body = '';
        request.setEncoding('latin1');
        request.on('data', (chunk: string) => (body += chunk));
        request.on('end', () => {
          const { method = '', url = '', headers } = request;
          requests.push({ method, target: url, host: headers.host ?? '', body });
          response.end();
        });
        request.on('error', () => undefined);
      };
      const onRefused = (): void => {
        refused = true;
        pipe.destroy();
      };
      server.on('request', onRequest).on('clientError', onRefused);
      server.on('checkContinue', onRequest).on('checkExpectation', onRequest);
      server.on('upgrade', onRequest).on('connect', onRequest);
      server.emit('connection', pipe);
      pipe.push(Buffer.from(text, 'latin1'));
      pipe.push(null);
      for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
      server.removeAllListeners('request').removeAllListeners('clientError');
      for (const event of ['checkContinue', 'checkExpectation', 'upgrade', 'connect']) server.removeAllListeners(event);
      pipe.destroy();
      return { requests, refused };
    },
  };
}
