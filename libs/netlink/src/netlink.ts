// SPDX-License-Identifier: Apache-2.0
import {
  openNetlinkSocket,
  type NetlinkAnswer,
  type DeadlineOptions,
  type NetlinkSocket,
  type NetnsReference,
} from '@weir/bpf-loader-node';
import { WeirError } from '@weir/errors';
import { netlinkError } from './netlink-error.ts';
import type { Operation } from './operation.ts';

/** Whose links, addresses, routes, rules and neighbours to work on. */
export interface NetlinkOptions {
  /** Default: the namespace of this process. */
  readonly netns?: NetnsReference;
  /** Which part of the kernel to speak to; `route` by default. Each operation is for one of them. */
  readonly protocol?: keyof typeof protocolNumbers;
}

const protocolNumbers = { route: 0, 'sock-diag': 4 } as const;

/** The results of operations, in their order. */
export type Results<Operations extends readonly Operation<unknown>[]> = {
  -readonly [Index in keyof Operations]: Operations[Index] extends Operation<infer Result> ? Result : never;
};

/** What became of operations, in their order: each succeeded or failed by itself. */
export type SettledResults<Operations extends readonly Operation<unknown>[]> = {
  -readonly [Index in keyof Operations]: Operations[Index] extends Operation<infer Result>
    ? PromiseSettledResult<Result>
    : never;
};

/** rtnetlink in one network namespace. Operations run one after the other, in the order of the calls. */
export interface Netlink extends Disposable {
  /** Runs one operation. Rejects with a KernelError that carries the operation's description and the kernel's words. */
  run<Result>(operation: Operation<Result>, options?: DeadlineOptions): Promise<Result>;
  /**
   * Runs operations in one go, with one message to the kernel as far as possible. It is no transaction: the kernel goes on
   * after one that fails. Rejects with the error of the first that failed, once all have been tried; its `details` then
   * hold `failedIndex`.
   */
  batch<const Operations extends readonly Operation<unknown>[]>(
    operations: Operations,
    options?: DeadlineOptions,
  ): Promise<Results<Operations>>;
  /** The same, and resolves with the fate of each operation. Rejects only if nothing is known about what happened. */
  batchSettled<const Operations extends readonly Operation<unknown>[]>(
    operations: Operations,
    options?: DeadlineOptions,
  ): Promise<SettledResults<Operations>>;
  /** Closes the socket. Closing twice is harmless. */
  close(): void;
}

/** What is needed of a netlink socket. */
export type RequestSocket = Pick<NetlinkSocket, 'request' | 'close'>;

/** Messages of one send: what they are answered with must fit into the socket's buffer. */
const messagesPerSendMax = 128;
const bytesPerSendMax = 64 << 10;
const dumpAttemptsMax = 32;

/** Cuts a list of operations into sends; a dump goes alone, since the kernel runs one per socket at a time. */
function planSends(operations: readonly Operation<unknown>[]): Operation<unknown>[][] {
  const sends: Operation<unknown>[][] = [];
  let open: Operation<unknown>[] = [];
  let openBytes = 0;
  for (const operation of operations) {
    const fits = open.length < messagesPerSendMax && openBytes + operation.message.length <= bytesPerSendMax;
    if (open.length > 0 && (!fits || operation.isDump || open[0]?.isDump === true)) {
      sends.push(open);
      open = [];
      openBytes = 0;
    }
    open.push(operation);
    openBytes += operation.message.length;
  }
  if (open.length > 0) sends.push(open);
  return sends;
}

function joinMessages(operations: readonly Operation<unknown>[]): Uint8Array {
  const [first] = operations;
  if (first !== undefined && operations.length === 1) return first.message;
  const joined = new Uint8Array(operations.reduce((length, { message }) => length + message.length, 0));
  let at = 0;
  for (const { message } of operations) {
    joined.set(message, at);
    at += message.length;
  }
  return joined;
}

function settle<Result>(operation: Operation<Result>, answer: NetlinkAnswer | undefined): PromiseSettledResult<Result> {
  if (answer === undefined) {
    const reason = new WeirError('INTERNAL', `${operation.description} brought no answer`);
    return { status: 'rejected', reason };
  }
  try {
    if (answer.errno === 0) {
      return { status: 'fulfilled', value: operation.decode(answer.messages.map(({ body }) => body)) };
    }
    const reason = netlinkError(operation.description, answer);
    const instead = operation.onFailure?.[reason.code];
    return instead === undefined ? { status: 'rejected', reason } : { status: 'fulfilled', value: instead() };
  } catch (error) {
    return { status: 'rejected', reason: WeirError.from(error) };
  }
}

/** Sends, and asks again for a dump that a change has interrupted: it may lack entries or have them twice. */
async function exchange(
  socket: RequestSocket,
  { operations, options }: { operations: readonly Operation<unknown>[]; options: DeadlineOptions },
): Promise<NetlinkAnswer[]> {
  const messages = joinMessages(operations);
  for (let attempt = 1; attempt <= dumpAttemptsMax; attempt++) {
    const answers = await socket.request(messages, options);
    if (!answers.some(({ interrupted }) => interrupted)) return answers;
  }
  const what = operations.map(({ description }) => description).join(', ');
  throw new WeirError('UNAVAILABLE', `${what} was interrupted by changes ${dumpAttemptsMax} times in a row`);
}

function valueOf(outcome: PromiseSettledResult<unknown>, failedIndex: number): unknown {
  if (outcome.status === 'fulfilled') return outcome.value;
  const error = WeirError.from(outcome.reason);
  Object.assign(error, { details: { ...error.details, failedIndex } });
  throw error;
}

/** Opens rtnetlink in a namespace; `netns` need not stay open. */
export function createNetlink({ netns, protocol = 'route' }: NetlinkOptions = {}): Netlink {
  const number = protocolNumbers[protocol];
  return createNetlinkOn(openNetlinkSocket({ protocol: number, ...(netns !== undefined && { netns }) }));
}

/** The same on a socket that is open, which it takes over. */
export function createNetlinkOn(socket: RequestSocket): Netlink {
  async function settleAll(
    operations: readonly Operation<unknown>[],
    options: DeadlineOptions = {},
  ): Promise<PromiseSettledResult<unknown>[]> {
    const outcomes: PromiseSettledResult<unknown>[] = [];
    for (const send of planSends(operations)) {
      const answers = await exchange(socket, { operations: send, options });
      outcomes.push(...send.map((operation, index) => settle(operation, answers[index])));
    }
    return outcomes;
  }

  return {
    run: async (operation, options) => {
      const [outcome] = await settleAll([operation], options);
      if (outcome?.status === 'fulfilled') return outcome.value as never;
      throw outcome?.reason;
    },
    batch: async (operations, options) => (await settleAll(operations, options)).map(valueOf) as never,
    batchSettled: async (operations, options) => (await settleAll(operations, options)) as never,
    close: () => {
      socket.close();
    },
    [Symbol.dispose]: () => {
      socket.close();
    },
  };
}
