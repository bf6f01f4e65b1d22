// SPDX-License-Identifier: Apache-2.0
import { createAbortGate } from './abort-gate.ts';

interface MessageWriter {
  write(message: unknown, onFlushed: () => void): unknown;
}

// A stream of grpc-js counts messages, not bytes, and would take 16. Four keep the wire busy.
const messagesInFlightMax = 4;

/**
 * Writes every message, taking the next one only when the last ones have gone to a reader that reads: memory does not
 * grow with its slowness. Ends, and tells the source so, when `signal` aborts.
 */
export async function writeAll(
  writer: MessageWriter,
  messages: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const gate = createAbortGate(signal);
  const iterator = messages[Symbol.asyncIterator]();
  let inFlight = 0;
  let onRoom: (() => void) | undefined;
  const flushed = (): void => {
    inFlight -= 1;
    onRoom?.();
  };
  try {
    for (;;) {
      const next = await gate.wait(iterator.next());
      if (next.done === true) return;
      inFlight += 1;
      writer.write(next.value, flushed);
      while (inFlight >= messagesInFlightMax) await gate.wait(new Promise<void>((resolve) => (onRoom = resolve)));
    }
  } catch (error) {
    // Not awaited: a generator that is stuck in a wait of its own answers only when that ends.
    iterator.return?.().then(undefined, () => undefined);
    throw error;
  } finally {
    gate.dispose();
  }
}
