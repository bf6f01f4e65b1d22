// SPDX-License-Identifier: Apache-2.0
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '@weir/lab';
import type { Connection } from './puppet.ts';

/** What a pod runs to be an HTTP server on a port; see the program for its paths. */
export const httpServer = (
  port: number,
): { command: [string, ...string[]]; waitPort: number; env: NodeJS.ProcessEnv } => ({
  command: [process.execPath, join(import.meta.dirname, 'http-server-program.ts'), String(port)],
  waitPort: port,
  env: { PATH: process.env.PATH, NODE_OPTIONS: '' },
});

/**
 * Runs nginx in a pod, on the node or in the world until that ends; resolves when it listens. `/who` gives the address of
 * the client, any other path is answered with 200.
 */
export async function nginx(
  lab: Lab,
  options: { readonly target: string; readonly port: number; readonly directory: string },
): Promise<void> {
  const { target, port, directory } = options;
  const name = join(directory, `nginx-${target}`);
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${name}-${kind};`,
  );
  const text = `
    daemon off; pid ${name}.pid; error_log stderr;
    events {}
    http {
      access_log off; ${paths.join(' ')}
      server {
        listen ${port}; listen [::]:${port};
        location = /who { return 200 "$remote_addr"; }
        location / { return 200 "$request_method $request_uri"; }
      }
    }`;
  await writeFile(`${name}.conf`, text);
  await lab.spawn(target, ['nginx', '-c', `${name}.conf`], { stdio: ['ignore', 'inherit', 'inherit'] });
  for (let attempt = 0; (await curl(lab, target, `http://127.0.0.1:${port}/`)).status !== 200; attempt++) {
    if (attempt === 100) throw new Error(`nginx in ${target} does not listen`);
    await sleep(50);
  }
}

/** An answer with a status and a body. */
export interface HttpAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** A request line and its header, for a connection that stays open. */
export const requestText = (method: string, path: string, fields: readonly string[] = []): string =>
  [`${method} ${path} HTTP/1.1`, 'host: server', ...fields, '', ''].join('\r\n');

/** Reads one answer that has a length off a connection; what follows it in the same segment is an error. */
export async function readAnswer(connection: Connection, timeoutMs?: number): Promise<HttpAnswer> {
  let text = '';
  while (!text.includes('\r\n\r\n')) text += await connection.receive(1, timeoutMs);
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const length = Number(/content-length: *(\d+)/i.exec(head)?.[1]);
  let body = rest.join('\r\n\r\n');
  while (body.length < length) body += await connection.receive(1, timeoutMs);
  if (body.length > length) throw new Error(`more than one answer: ${text}`);
  return { status: Number(head.split(' ')[1]), head, body };
}

/** One request over an open connection, and its answer. */
export async function exchange(connection: Connection, path: string, timeoutMs?: number): Promise<HttpAnswer> {
  await connection.send(requestText('GET', path));
  return readAnswer(connection, timeoutMs);
}

/** The part of a URL that names a server. */
export const authority = (address: string, port: number): string =>
  `${address.includes(':') ? `[${address}]` : address}:${port}`;

/** What curl has got. `status` is 0 when there was no answer at all. */
export interface CurlResult {
  readonly status: number;
  readonly body: string;
  /** curl's own exit status: 7 refused, 28 too late, 56 cut. */
  readonly exit: number | null;
}

/** Runs curl in a pod, on the node, or in the world. */
export async function curl(lab: Lab, from: string, ...args: readonly string[]): Promise<CurlResult> {
  const limits = ['--max-time', '30', '--globoff', '--noproxy', '*'];
  const { stdout, status } = await lab.exec(from, ['curl', '-sS', '-w', '\n%{http_code}', ...limits, ...args]);
  const end = stdout.lastIndexOf('\n');
  return { status: Number(stdout.slice(end + 1)), body: stdout.slice(0, end), exit: status };
}
