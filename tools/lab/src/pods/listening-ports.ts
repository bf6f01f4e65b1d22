// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';

// TCP_LISTEN of the kernel, as /proc/net/tcp prints it.
const listenState = '0A';

/** The ports of the listening sockets in the text of /proc/net/tcp or /proc/net/tcp6. */
export function parseListeningPorts(text: string): readonly number[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[3] === listenState)
    .map((fields) => parseInt(fields[1]?.split(':')[1] ?? '', 16));
}

/** Whether anything in the network namespace of a process listens on a TCP port. */
export async function isListening(pid: number, port: number): Promise<boolean> {
  const texts = await Promise.all(
    ['tcp', 'tcp6'].map((file) => readFile(`/proc/${pid}/net/${file}`, 'utf8').catch(() => '')),
  );
  return texts.some((text) => parseListeningPorts(text).includes(port));
}
