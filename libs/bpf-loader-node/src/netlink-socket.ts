// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { createDeadline, type Deadline, type DeadlineOptions } from './deadline.ts';
import { closedHandle, closeNow, closeWhenCollected } from './native.ts';
import { answersFromReplies, type NetlinkAnswer } from './netlink-answer.ts';
import type { NetnsReference } from './netns-path.ts';
import { useNamespace } from './network-namespace.ts';
import { socketAddon, type NetlinkHandle, type SocketBinding } from './socket-binding.ts';

/** Where to open a netlink socket. */
export interface NetlinkSocketOptions {
  /** A `NETLINK_*` number. Default: NETLINK_ROUTE (0). */
  readonly protocol?: number;
  /** Default: the namespace of this process. */
  readonly netns?: NetnsReference;
}

/** Why nobody waits for a request any more. */
interface Abandonment {
  reason?: WeirError;
}

const requestsMax = 1024;

/**
 * How many requests of this process are in the kernel at a time. They all want the same lock there, so more would only
 * keep more threads of the pool waiting, which then are not there for files and names.
 */
const requestsInKernelMax = 2;
let requestsInKernel = 0;
const waitingForKernel: (() => void)[] = [];

async function inKernel<Result>(act: () => Promise<Result>): Promise<Result> {
  if (requestsInKernel >= requestsInKernelMax) await new Promise<void>((resolve) => waitingForKernel.push(resolve));
  else requestsInKernel++;
  try {
    return await act();
  } finally {
    // Whoever waits takes this place over.
    const next = waitingForKernel.shift();
    if (next === undefined) requestsInKernel--;
    else next();
  }
}

/**
 * A netlink socket for requests. They run one after the other, off the main thread: rtnetlink may make the caller wait
 * for milliseconds. A request that is given up fails at once, but what the kernel has begun it finishes.
 */
export class NetlinkSocket implements Disposable {
  readonly #native: SocketBinding;
  #handle: NetlinkHandle;
  #lastRequest: Promise<unknown> = Promise.resolve();
  #requests = 0;
  #running: Abandonment | undefined;

  /** Takes over a handle of the addon: made by {@link openNetlinkSocket}. */
  constructor(handle: NetlinkHandle) {
    this.#native = socketAddon();
    this.#handle = handle;
    closeWhenCollected(this, handle);
  }

  /**
   * Sends whole netlink messages, at most 1024, in one go, and resolves with one answer for each, in their order. Sequence
   * numbers and the request for an acknowledgement are filled in here. The messages are independent: the kernel goes on
   * after one that it refuses. Rejects if nothing is known about what happened: TIMEOUT, CANCELLED, RESOURCE_EXHAUSTED.
   */
  async request(messages: Uint8Array, options: DeadlineOptions = {}): Promise<NetlinkAnswer[]> {
    const deadline = createDeadline('Netlink request', options);
    if (this.#requests >= requestsMax) {
      throw new WeirError('RESOURCE_EXHAUSTED', `Cannot queue a netlink request: ${requestsMax} are waiting`);
    }
    this.#requests++;
    const abandonment: Abandonment = {};
    const answers = this.#lastRequest.then(() => inKernel(() => this.#run(messages, abandonment)));
    this.#lastRequest = answers.then(
      () => this.#requests--,
      () => this.#requests--,
    );
    return await this.#limit(answers, { deadline, abandonment });
  }

  /** Closes the socket; a request under way fails. Closing twice is harmless. */
  close(): void {
    closeNow(this, this.#handle);
    this.#handle = closedHandle as NetlinkHandle;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #run(messages: Uint8Array, abandonment: Abandonment): Promise<NetlinkAnswer[]> {
    if (abandonment.reason !== undefined) throw abandonment.reason;
    this.#running = abandonment;
    try {
      return answersFromReplies(await this.#native.netlinkRequest(this.#handle, messages));
    } finally {
      this.#running = undefined;
    }
  }

  /** Passes the answers on, unless time or patience runs out first. */
  #limit(
    answers: Promise<NetlinkAnswer[]>,
    { deadline, abandonment }: { deadline: Deadline; abandonment: Abandonment },
  ): Promise<NetlinkAnswer[]> {
    return new Promise((resolve, reject) => {
      const stop = deadline.start((reason) => {
        abandonment.reason = reason;
        if (this.#running === abandonment && this.#handle !== closedHandle) this.#native.netlinkCancel(this.#handle);
        reject(reason);
      });
      void answers.then(resolve, reject).finally(stop);
    });
  }
}

/** Opens a netlink socket; fails with PERMISSION_DENIED without the capabilities to enter the namespace. */
export function openNetlinkSocket({ protocol = 0, netns }: NetlinkSocketOptions = {}): NetlinkSocket {
  return new NetlinkSocket(useNamespace(netns, (handle) => socketAddon().netlinkOpen(handle, protocol)));
}
