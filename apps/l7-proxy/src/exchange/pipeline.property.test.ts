// SPDX-License-Identifier: Apache-2.0
// Goal: however a client cuts and pipelines its requests, each is answered once, in order, by the server or by a refusal.
// Method: random requests in one stream, cut at random, through the proxy to a server that says what it has read.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { startProxy, type ProxyHarness } from '../testing/proxy-harness.ts';

let origin: Server;
let proxy: ProxyHarness;
beforeAll(async () => {
  origin = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const text = `${request.method} ${request.url} ${Buffer.concat(parts).toString('latin1')}`;
      // Half of the answers come in chunks.
      if (text.length % 2 === 0) response.setHeader('content-length', text.length);
      response.write(text.slice(0, 3));
      response.end(text.slice(3));
    });
  });
  origin.listen(0, '127.0.0.1');
  await once(origin, 'listening');
  proxy = await startProxy({ upstreamPort: (origin.address() as AddressInfo).port });
});
afterAll(async () => {
  await proxy.close();
  origin.closeAllConnections();
  origin.close();
});

interface Sent {
  readonly text: string;
  readonly answer: string;
}

const request: fc.Arbitrary<Sent> = fc
  .record({
    allowed: fc.boolean(),
    framing: fc.constantFrom('none', 'length', 'chunked'),
    body: fc.string({ unit: fc.constantFrom('a', '0', '\r', '\n', 'GET / HTTP/1.1', ' ', ':'), maxLength: 30 }),
    cut: fc.nat(40),
    emptyLine: fc.boolean(),
  })
  .map(({ allowed, framing, body, cut, emptyLine }) => {
    const path = allowed ? '/ok' : '/no';
    const method = framing === 'none' ? 'GET' : 'POST';
    const head = `${emptyLine ? '\r\n' : ''}${method} ${path} HTTP/1.1\r\nHost: h\r\n`;
    const chunk = (data: string): string => (data === '' ? '' : `${data.length.toString(16)};x=y\r\n${data}\r\n`);
    const text = {
      none: `${head}\r\n`,
      length: `${head}Content-Length: ${body.length}\r\n\r\n${body}`,
      chunked: `${head}Transfer-Encoding: chunked\r\n\r\n${chunk(body.slice(0, cut))}${chunk(body.slice(cut))}0\r\nT: v\r\n\r\n`,
    }[framing]!;
    return { text, answer: allowed ? `${method} ${path} ${framing === 'none' ? '' : body}` : 'Access denied\r\n' };
  });

/** The bodies of a stream of responses, without their framing. */
function bodiesOf(text: string): string[] {
  const bodies: string[] = [];
  for (let rest = text; rest !== '';) {
    const end = rest.indexOf('\r\n\r\n') + 4;
    const length = /content-length: (\d+)/i.exec(rest.slice(0, end))?.[1];
    rest = rest.slice(end);
    let body = '';
    if (length !== undefined) {
      body = rest.slice(0, Number(length));
      rest = rest.slice(Number(length));
    } else {
      for (let size = Number.parseInt(rest, 16); ; size = Number.parseInt(rest, 16)) {
        rest = rest.slice(rest.indexOf('\r\n') + 2);
        body += rest.slice(0, size);
        rest = rest.slice(size + 2);
        if (size === 0) break;
      }
    }
    bodies.push(body);
  }
  return bodies;
}

describe('a stream of requests', () => {
  it('is answered in order, one by one, however it is cut', async () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 8 }), cuts, async (requests, sizes) => {
        const client = await proxy.client();
        const text = requests.map((each) => each.text).join('');
        for (let at = 0, i = 0; at < text.length; i++) {
          const size = sizes[i % sizes.length]!;
          client.send(text.slice(at, at + size));
          at += size;
          if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        client.socket.end();
        expect(bodiesOf(await client.ended())).toEqual(requests.map((each) => each.answer));
        client.socket.destroy();
      }),
      { numRuns: 150 },
    );
  });
});
