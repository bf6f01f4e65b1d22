// SPDX-License-Identifier: Apache-2.0
import { assert, WeirError } from '@weir/errors';
import { createFifo } from './fifo.ts';

/** What happens to a message when the queue is full. */
export type OverflowPolicy =
  /** The stream ends with RESOURCE_EXHAUSTED: for streams in which a gap would be an error. */
  | 'fail'
  /** The oldest message goes: for live views. */
  | 'drop-oldest'
  /** The new message goes: for live views whose beginning matters. */
  | 'drop-newest';

export interface StreamQueueOptions {
  readonly itemsMax: number;
  readonly overflow: OverflowPolicy;
  /** Ends the queue when the call that reads it does: a generator that waits on the queue is then not left hanging. */
  readonly signal?: AbortSignal;
}

/** A bounded queue between code that has messages and a stream that may be slow. Iterated once. */
export interface StreamQueue<Message> extends AsyncIterable<Message> {
  /** False when the message was dropped or the queue has ended. Never blocks. */
  push(message: Message): boolean;
  /** What has been pushed is still delivered; then the stream ends, with `error` if there is one. */
  end(error?: WeirError): void;
  readonly length: number;
  /** Messages lost to overflow so far. */
  readonly droppedCount: number;
  /** True once the reader is gone or `end` was called. */
  readonly ended: boolean;
}

type State = { readonly kind: 'open' } | { readonly kind: 'ended'; readonly error: WeirError | undefined };

/** Makes a queue that a handler returns as its stream and fills from wherever messages arise. */
export function createStreamQueue<Message>(options: StreamQueueOptions): StreamQueue<Message> {
  const { itemsMax, overflow, signal } = options;
  assert(Number.isInteger(itemsMax) && itemsMax > 0, `a queue holds at least one item, not ${itemsMax}`);
  const items = createFifo<Message>();
  let droppedCount = 0;
  let state: State = { kind: 'open' };
  let wake: (() => void) | undefined;

  const end = (error?: WeirError): void => {
    if (state.kind === 'ended') return;
    state = { kind: 'ended', error };
    signal?.removeEventListener('abort', onAbort);
    wake?.();
  };
  const makeRoom = (): boolean => {
    droppedCount += 1;
    if (overflow === 'fail') {
      end(new WeirError('RESOURCE_EXHAUSTED', `The reader is too slow: more than ${itemsMax} messages are waiting`));
      return false;
    }
    if (overflow === 'drop-oldest') items.take();
    return overflow === 'drop-oldest';
  };

  const onAbort = (): void => end();
  if (signal?.aborted === true) end();
  signal?.addEventListener('abort', onAbort, { once: true });

  async function* iterate(): AsyncGenerator<Message> {
    for (;;) {
      while (items.length > 0) yield items.take() as Message;
      if (state.kind === 'ended') {
        if (state.error !== undefined) throw state.error;
        return;
      }
      await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  return {
    push(message) {
      if (state.kind === 'ended') return false;
      if (items.length >= itemsMax && !makeRoom()) return false;
      items.push(message);
      wake?.();
      return true;
    },
    end,
    get length() {
      return items.length;
    },
    get droppedCount() {
      return droppedCount;
    },
    get ended() {
      return state.kind === 'ended';
    },
    [Symbol.asyncIterator]() {
      const generator = iterate();
      return {
        next: () => generator.next(),
        return() {
          end();
          items.clear();
          return generator.return(undefined);
        },
      };
    },
  };
}
