// SPDX-License-Identifier: Apache-2.0
import { WeirError } from '@weir/errors';
import { closedHandle, closeNow, closeWhenCollected } from './native.ts';
import { answersFromReplies, type NetlinkAnswer } from './netlink-answer.ts';
import type { NetworkNamespace } from './network-namespace.ts';
import { socketAddon, type NetlinkHandle, type SocketBinding } from './socket-binding.ts';

/** Where to open a netlink socket. */
export interface NetlinkSocketOptions {
  /** A `NETLINK_*` number. Default: NETLINK_ROUTE (0). */
  readonly protocol?: number;
  /** Default: the namespace of this process. */
  readonly netns?: NetworkNamespace;
}

/** How long to wait for the kernel. */
export interface NetlinkRequestOptions {
  /** Counted from the call, so it includes the requests before this one. Default: 10000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Why nobody waits for a request any more. */
interface Abandonment {
  reason?: WeirError;
}

const timeoutMsDefault = 10_000;
const requestsMax = 1024;

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
  request(messages: Uint8Array, options: NetlinkRequestOptions = {}): Promise<NetlinkAnswer[]> {
    if (this.#requests >= requestsMax) {
      const message = `Cannot queue a netlink request: ${requestsMax} are waiting`;
      return Promise.reject(new WeirError('RESOURCE_EXHAUSTED', message));
    }
    this.#requests++;
    const abandonment: Abandonment = {};
    const answers = this.#lastRequest.then(() => this.#run(messages, abandonment));
    this.#lastRequest = answers.then(
      () => this.#requests--,
      () => this.#requests--,
    );
    return this.#limit(answers, { ...options, abandonment });
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

  /** Passes the answers on, unless time or patience run out first. */
  #limit(
    answers: Promise<NetlinkAnswer[]>,
    { timeoutMs = timeoutMsDefault, signal, abandonment }: NetlinkRequestOptions & { abandonment: Abandonment },
  ): Promise<NetlinkAnswer[]> {
    return new Promise((resolve, reject) => {
      const abandon = (reason: WeirError): void => {
        abandonment.reason = reason;
        if (this.#running === abandonment && this.#handle !== closedHandle) this.#native.netlinkCancel(this.#handle);
        reject(reason);
      };
      const cancel = (): void => {
        abandon(new WeirError('CANCELLED', 'Netlink request was cancelled', { cause: signal?.reason }));
      };
      const timer = setTimeout(() => {
        abandon(new WeirError('TIMEOUT', `Netlink request did not finish within ${timeoutMs} ms`));
      }, timeoutMs);
      signal?.addEventListener('abort', cancel, { once: true });
      if (signal?.aborted === true) cancel();
      answers.then(resolve, reject).finally(() => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', cancel);
      });
    });
  }
}

/** Opens a netlink socket; fails with PERMISSION_DENIED without the capabilities to enter the namespace. */
export function openNetlinkSocket({ protocol = 0, netns }: NetlinkSocketOptions = {}): NetlinkSocket {
  return new NetlinkSocket(socketAddon().netlinkOpen(netns?.handle, protocol));
}
