// SPDX-License-Identifier: Apache-2.0
import { createServer, type Server } from 'node:http';

/** What the Death Star answers, by method and path. */
const answers: Readonly<Record<string, { readonly status: number; readonly body: string }>> = {
  'POST /v1/request-landing': { status: 200, body: 'Ship landed\n' },
  'PUT /v1/exhaust-port': { status: 500, body: 'Panic: deathstar exploded\n' },
};

/** Serves the Death Star on a TCP port in both families: the one HTTP server of the walkthrough. */
export function serveDeathstar(port: number): Promise<Server> {
  const server = createServer((request, response) => {
    // An answer before the end of the request would leave the connection unusable for the next one.
    request.resume().on('end', () => {
      const { status, body } = answers[`${request.method} ${request.url}`] ?? { status: 404, body: 'No such place\n' };
      response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
    });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '::', () => resolve(server));
  });
}
