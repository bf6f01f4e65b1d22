// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Lab } from '@weir/lab';

/** One end of an open TCP connection. */
export interface Connection {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  /** Resolves when the kernel has taken the text, which says nothing of whether it arrives. */
  send(text: string): Promise<void>;
  /** At least `bytes` bytes as text. Rejects with the code NOTHING_CAME, CLOSED, or that of the socket's error. */
  receive(bytes: number, timeoutMs?: number): Promise<string>;
  /** Sends many bytes, 64 KiB every `periodMs`, and gives their checksum. */
  pour(bytes: number, periodMs?: number): Promise<string>;
  /** Receives many bytes and gives their checksum; rejects when nothing comes for 30 s. */
  drain(bytes: number): Promise<string>;
  close(): Promise<void>;
}

/** A listening TCP port, of both families. */
export interface Listener {
  accept(timeoutMs?: number): Promise<Connection>;
  close(): Promise<void>;
}

/** A UDP socket, of both families. */
export interface Datagrams {
  /** To whom it is connected, or to a target. */
  send(to: Omit<Target, 'localPort'> | undefined, text: string): Promise<void>;
  receive(timeoutMs?: number): Promise<{ readonly text: string; readonly address: string; readonly port: number }>;
  close(): Promise<void>;
}

/** Where to, and from which port if it matters. */
export interface Target {
  readonly address: string;
  readonly port: number;
  readonly localPort?: number;
}

/** A process in a pod (or on a node, or in the world) that does with its sockets what the test says. */
export interface Puppet {
  listen(port: number): Promise<Listener>;
  /** Rejects with the code NOT_CONNECTED when nothing answers in time, ECONNREFUSED … */
  connect(target: Target, timeoutMs?: number): Promise<Connection>;
  /** Of one family, where it is connected. */
  bind(port: number, peer?: Omit<Target, 'localPort'>): Promise<Datagrams>;
  /** One datagram from a socket of its own and its answer. Rejects with NOTHING_CAME, or ECONNREFUSED as ICMP says it. */
  ask(target: Target, text: string, timeoutMs?: number): Promise<string>;
  /** Sends back whatever comes to a TCP and UDP port, over UDP to these addresses only, from now on. */
  echo(port: number, addresses: readonly string[]): Promise<void>;
  /** Says a word to whoever comes to a TCP and UDP port, over UDP to these addresses only, from now on. */
  announce(place: { readonly port: number; readonly addresses: readonly string[] }, word: string): Promise<void>;
  /** Word → how many times it was heard, each time by a socket of its own. What goes wrong counts by its code. */
  tally(
    target: Target & { readonly protocol: 'TCP' | 'UDP' },
    count: number,
  ): Promise<Readonly<Record<string, number>>>;
}

const program = join(import.meta.dirname, 'puppet-program.ts');
const patienceMs = 10_000;

type Answer = Readonly<Record<string, never>>;
type Call = (operation: string, fields?: object) => Promise<Answer>;

/** Starts a puppet in a pod, `@node1` or `@world`. It ends with its pod, or with the lab. */
export async function startPuppet(lab: Lab, target: string): Promise<Puppet> {
  const env = { PATH: process.env.PATH, NODE_OPTIONS: '' };
  const child = await lab.spawn(target, [process.execPath, program], { stdio: ['pipe', 'pipe', 'inherit'], env });
  const waiting = new Map<number, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>();
  let lastId = 0;
  const expectAnswer = (id: number): Promise<Answer> =>
    new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  const ready = expectAnswer(0);
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const { id, result, error } = JSON.parse(line) as { id: number; result?: Answer; error?: object };
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (result === undefined) waiter?.reject(Object.assign(new Error(`in ${target}: ${JSON.stringify(error)}`), error));
    else waiter?.resolve(result);
  });
  child.on('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error(`the process in ${target} has ended`));
    waiting.clear();
  });
  child.stdin?.on('error', () => undefined);
  const call: Call = (operation, fields = {}) => {
    const answer = expectAnswer(++lastId);
    child.stdin?.write(`${JSON.stringify({ id: lastId, operation, ...fields })}\n`);
    return answer;
  };
  await ready;
  return puppetOf(call);
}

function puppetOf(call: Call): Puppet {
  return {
    async listen(port) {
      const { handle } = await call('listen', { port });
      return {
        accept: async (timeoutMs = patienceMs) => connectionOf(call, await call('accept', { handle, timeoutMs })),
        close: async () => void (await call('close', { handle })),
      };
    },
    connect: async (target, timeoutMs = patienceMs) =>
      connectionOf(call, await call('connect', { ...target, timeoutMs })),
    async bind(port, peer) {
      const { handle } = await call('bind', { port, address: peer?.address ?? '', peerPort: peer?.port ?? 0 });
      return {
        send: async (to, text) => void (await call('sendTo', { handle, ...to, text })),
        receive: (timeoutMs = patienceMs) => call('receiveFrom', { handle, timeoutMs }) as never,
        close: async () => void (await call('close', { handle })),
      };
    },
    ask: async (target, text, timeoutMs = patienceMs) => (await call('ask', { ...target, text, timeoutMs })).text!,
    announce: async ({ port, addresses }, text) =>
      void (await call('announce', { port, address: addresses.join(' '), text })),
    tally: async (target, count) => (await call('tally', { ...target, count, timeoutMs: patienceMs })).words!,
    echo: async (port, addresses) => void (await call('echo', { port, address: addresses.join(' ') })),
  };
}

function connectionOf(call: Call, { handle, remoteAddress, remotePort, localPort }: Answer): Connection {
  return {
    remoteAddress: remoteAddress!,
    remotePort: remotePort!,
    localPort: localPort!,
    send: async (text) => void (await call('send', { handle, text })),
    receive: async (bytes, timeoutMs = patienceMs) => (await call('receive', { handle, bytes, timeoutMs })).text!,
    pour: async (bytes, periodMs = 0) => (await call('pour', { handle, bytes, periodMs })).checksum!,
    drain: async (bytes) => (await call('drain', { handle, bytes, timeoutMs: 30_000 })).checksum!,
    close: async () => void (await call('close', { handle })),
  };
}
