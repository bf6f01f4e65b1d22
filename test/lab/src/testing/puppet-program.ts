// SPDX-License-Identifier: Apache-2.0
// Runs inside a pod, and does with sockets what it is told: one JSON command a line on standard input, one JSON answer a
// line on standard output, in whatever order they are done. It imports nothing of Weir, as it stands for a user's program.
import { createHash } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

interface Command {
  readonly id: number;
  readonly operation: string;
  readonly handle: number;
  readonly address: string;
  readonly port: number;
  readonly localPort: number;
  readonly text: string;
  readonly bytes: number;
  readonly periodMs: number;
  readonly timeoutMs: number;
  readonly protocol: 'TCP' | 'UDP';
  readonly count: number;
  readonly peerPort: number;
}

/** What has come in and was not asked for yet, and who asks. */
interface Inbox<Item> {
  put(item: Item): void;
  take(timeoutMs: number): Promise<Item>;
  fail(error: Error): void;
}

const failure = (code: string): Error => Object.assign(new Error(code), { code });

function createInbox<Item>(): Inbox<Item> {
  const items: Item[] = [];
  const takers = new Set<{ give: (item: Item) => void; fail: (error: Error) => void }>();
  let failed: Error | undefined;
  return {
    put(item) {
      const [taker] = takers;
      if (taker === undefined) items.push(item);
      else taker.give(item);
    },
    take(timeoutMs) {
      const { promise, resolve, reject } = Promise.withResolvers<Item>();
      const [item] = items.splice(0, 1);
      if (item !== undefined) return Promise.resolve(item);
      if (failed !== undefined) return Promise.reject(failed);
      const leave = (): void => {
        clearTimeout(timer);
        takers.delete(taker);
      };
      const taker = {
        give: (given: Item) => (leave(), resolve(given)),
        fail: (error: Error) => (leave(), reject(error)),
      };
      const timer = setTimeout(() => taker.fail(failure('NOTHING_CAME')), timeoutMs);
      takers.add(taker);
      return promise;
    },
    fail(error) {
      failed = error;
      for (const taker of [...takers]) taker.fail(error);
    },
  };
}

interface Connection {
  readonly socket: Socket;
  readonly inbox: Inbox<Buffer>;
}
interface Listener {
  readonly server: Server;
  readonly inbox: Inbox<Socket>;
}
interface Datagrams {
  readonly socket: UdpSocket;
  readonly inbox: Inbox<{ readonly text: string; readonly from: RemoteInfo }>;
}

const things = new Map<number, Connection | Listener | Datagrams>();
let lastHandle = 0;
const keep = (thing: Connection | Listener | Datagrams): number => {
  things.set(++lastHandle, thing);
  return lastHandle;
};
const the = <Thing>({ handle }: Command): Thing => things.get(handle) as Thing;

const plain = (address = ''): string => address.replace(/^::ffff:/, '');

function connectionOf(socket: Socket): {
  handle: number;
  remoteAddress: string;
  remotePort: number;
  localPort: number;
} {
  const inbox = createInbox<Buffer>();
  socket.setNoDelay(true);
  socket.on('data', (data) => inbox.put(data));
  socket.on('end', () => inbox.fail(failure('CLOSED')));
  socket.on('error', (error) => inbox.fail(error));
  const { remoteAddress, remotePort = 0, localPort = 0 } = socket;
  return { handle: keep({ socket, inbox }), remoteAddress: plain(remoteAddress), remotePort, localPort };
}

const listening = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => server.once('error', reject).listen({ port, host: '::' }, resolve));

function connect({ address, port, localPort, timeoutMs }: Command): Promise<object> {
  const { promise, resolve, reject } = Promise.withResolvers<object>();
  const local = localPort ? { localPort, localAddress: address.includes(':') ? '::' : '0.0.0.0' } : {};
  const socket = createConnection({ host: address, port, ...local });
  const timer = setTimeout(() => {
    socket.destroy();
    reject(failure('NOT_CONNECTED'));
  }, timeoutMs);
  socket.once('error', (error) => (clearTimeout(timer), reject(error)));
  socket.once('connect', () => (clearTimeout(timer), resolve(connectionOf(socket))));
  return promise;
}

const bound = async ({ port, address }: Command): Promise<Datagrams> => {
  const socket = createSocket(address === '' || address.includes(':') ? 'udp6' : 'udp4');
  const inbox: Datagrams['inbox'] = createInbox();
  socket.on('message', (data, from) => inbox.put({ text: data.toString(), from }));
  await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(port, resolve));
  socket.on('error', (error) => inbox.fail(error));
  return { socket, inbox };
};

/** Writes `bytes` bytes, a piece every `periodMs`, and says what their checksum is. */
async function pour({ socket }: Connection, { bytes, periodMs }: Command): Promise<object> {
  const hash = createHash('sha256');
  for (let sent = 0; sent < bytes;) {
    const piece = Buffer.alloc(Math.min(65_536, bytes - sent), `${sent} `);
    hash.update(piece);
    sent += piece.length;
    const isFull = !socket.write(piece);
    if (isFull) await new Promise((resolve) => socket.once('drain', resolve));
    if (periodMs > 0) await new Promise((resolve) => setTimeout(resolve, periodMs));
  }
  return { checksum: hash.digest('hex') };
}

async function receive({ inbox }: Connection, { bytes, timeoutMs }: Command): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let length = 0; length < bytes;) {
    const part = await inbox.take(timeoutMs);
    length += part.length;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Reads `bytes` bytes, none of them later than `timeoutMs` after the one before, and says what their checksum is. */
async function drain({ inbox }: Connection, { bytes, timeoutMs }: Command): Promise<object> {
  const hash = createHash('sha256');
  for (let length = 0; length < bytes;) {
    const part = await inbox.take(timeoutMs);
    length += part.length;
    hash.update(part);
  }
  return { checksum: hash.digest('hex') };
}

/** One connection, or one socket with a datagram, and the word that comes back; or what went wrong instead. */
function hear({ address, port, protocol, timeoutMs }: Command): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const failed = (error: NodeJS.ErrnoException): void => resolve(error.code ?? 'UNKNOWN');
  const timer = setTimeout(() => resolve('NOTHING_CAME'), timeoutMs);
  if (protocol === 'TCP') {
    const socket = createConnection({ host: address, port }).on('error', failed);
    socket.on('data', (data) => resolve(data.toString()));
    void promise.then(() => socket.destroy());
  } else {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4').on('error', failed);
    socket.on('message', (data) => resolve(data.toString()));
    socket.send('who?', port, address, (error) => error && failed(error));
    void promise.then(() => socket.close());
  }
  return promise.finally(() => clearTimeout(timer));
}

/** Word → how many times it was heard, over `count` connections, some of them at the same time. */
async function tally(command: Command): Promise<Readonly<Record<string, number>>> {
  const words: Record<string, number> = {};
  let left = command.count;
  const hearer = async (): Promise<void> => {
    while (left-- > 0) {
      const word = await hear(command);
      words[word] = (words[word] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: 20 }, hearer));
  return words;
}

const operations: Readonly<Record<string, (command: Command) => Promise<object | undefined> | object | undefined>> = {
  async listen({ port }) {
    const inbox = createInbox<Socket>();
    const server = createServer((socket) => inbox.put(socket));
    await listening(server, port);
    return { handle: keep({ server, inbox }) };
  },
  accept: async (command) => connectionOf(await the<Listener>(command).inbox.take(command.timeoutMs)),
  connect,
  send(command) {
    const { socket } = the<Connection>(command);
    return new Promise((resolve, reject) => {
      socket.write(command.text, (error) => (error ? reject(error) : resolve(undefined)));
    });
  },
  receive: async (command) => ({ text: (await receive(the<Connection>(command), command)).toString() }),
  pour: (command) => pour(the<Connection>(command), command),
  drain: (command) => drain(the<Connection>(command), command),
  close(command) {
    const thing = the<Connection | Listener | Datagrams>(command);
    if ('server' in thing) thing.server.close();
    else if ('setNoDelay' in thing.socket) thing.socket.destroy();
    else thing.socket.close();
    things.delete(command.handle);
    return undefined;
  },
  /** Sends back whatever comes, over TCP and UDP, until the process ends. */
  async echo(command) {
    const server = createServer((socket) => {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.pipe(socket);
    });
    await listening(server, command.port);
    // Of a host with several addresses, the one that was asked must answer: a socket for each.
    for (const address of command.address.split(' ')) {
      const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
      socket.on('message', (data, from) => socket.send(data, from.port, from.address));
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject).bind(command.port, address, resolve);
      });
    }
    return undefined;
  },
  /** Says a word to whoever comes to a TCP port, and in answer to any datagram, until the process ends. */
  async announce(command) {
    await listening(
      createServer((socket) => {
        socket.on('error', () => undefined);
        socket.end(command.text);
      }),
      command.port,
    );
    for (const address of command.address.split(' ')) {
      const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
      socket.on('message', (_, from) => socket.send(command.text, from.port, from.address));
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject).bind(command.port, address, resolve);
      });
    }
    return undefined;
  },
  tally: async (command) => ({ words: await tally(command) }),
  async bind(command) {
    const datagrams = await bound(command);
    const { socket } = datagrams;
    if (command.peerPort) {
      await new Promise<void>((resolve) => socket.connect(command.peerPort, command.address, resolve));
    }
    return { handle: keep(datagrams) };
  },
  sendTo(command) {
    const { socket } = the<Datagrams>(command);
    if (!command.port) {
      return new Promise((resolve, reject) => {
        socket.send(command.text, (error) => (error ? reject(error) : resolve(undefined)));
      });
    }
    // A socket for both families wants IPv4 addresses in their mapped form.
    const isMapped = socket.address().family === 'IPv6' && !command.address.includes(':');
    const address = isMapped ? `::ffff:${command.address}` : command.address;
    return new Promise((resolve, reject) => {
      const done = (error: Error | null): void => (error ? reject(error) : resolve(undefined));
      socket.send(command.text, command.port, address, done);
    });
  },
  /** Asks by a connected socket of its own, which alone is told of ICMP errors. */
  async ask(command) {
    const { socket, inbox } = await bound({ ...command, port: command.localPort });
    try {
      await new Promise<void>((resolve) => socket.connect(command.port, command.address, resolve));
      socket.send(command.text);
      const { text } = await inbox.take(command.timeoutMs);
      return { text };
    } finally {
      socket.close();
    }
  },
  async receiveFrom(command) {
    const { text, from } = await the<Datagrams>(command).inbox.take(command.timeoutMs);
    return { text, address: plain(from.address), port: from.port };
  },
};

createInterface({ input: process.stdin }).on('line', (line) => {
  void obey(JSON.parse(line) as Command);
});

async function obey(command: Command): Promise<void> {
  let answer: object;
  try {
    answer = { id: command.id, result: (await operations[command.operation]?.(command)) ?? {} };
  } catch (error) {
    const { code = 'UNKNOWN', message } = error as NodeJS.ErrnoException;
    answer = { id: command.id, error: { code, message } };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.stdout.write('{"id":0,"result":{}}\n');
